/**
 * CDI edits in the words of CRI, for runtimes that do not know CDI: what they come to, what of them cannot be carried out
 * so, and what is lost on the way. Not for: looking at the host, which is given as facts.
 */
import { type CdiDeviceNode, type CdiEdits, type CdiMount, type CdiSpec } from "./cdi_schema.ts";
import type { DeviceNode } from "./device_node.ts";
import type { DeviceEdit, MountEdit } from "./edits.ts";
import type { FieldPath, Report } from "./finding.ts";

/** What is there on the host, by path; absent: nothing. */
export type HostPaths = ReadonlyMap<string, DeviceNode | "other">;

export interface AppliedCdi {
  env: { name: string; value: string }[];
  mounts: MountEdit[];
  devices: DeviceEdit[];
  groups: number[];
}

/** What CRI's mounts can say; everything else of fstab's options is lost. */
const knownOptions = new Set([
  ...["bind", "rbind", "ro", "rw", "private", "rprivate", "slave", "rslave", "shared", "rshared"],
]);

/**
 * Reports what of these edits CRI has no words for: as an error where the container would not be what the spec asks for,
 * as a warning where it is less strict, or a node's owner is the host's.
 */
function checkEditsByAgent(edits: CdiEdits, at: FieldPath, runtime: string, report: Report): void {
  const refuse = (path: FieldPath, what: string) => {
    const why = `cannot be passed on to ${runtime}, so that nobody gets the device`;
    report([...at, ...path], `${what} ${why}: expected a runtime that takes CDI devices itself`);
  };
  if ((edits.hooks ?? []).length > 0) refuse(["hooks"], "hooks");
  if (edits.intelRdt !== undefined) refuse(["intelRdt"], "intelRdt");
  if ((edits.netDevices ?? []).length > 0) refuse(["netDevices"], "netDevices");
  for (const [i, node] of (edits.deviceNodes ?? []).entries()) {
    const where = [...at, "deviceNodes", i];
    if (node.type === "p") refuse(["deviceNodes", i, "type"], "a pipe");
    if (node.permissions === "none") refuse(["deviceNodes", i, "permissions"], "permissions none");
    for (const key of ["fileMode", "uid", "gid"] as const) {
      if (node[key] !== undefined) {
        report([...where, key], `has no effect with ${runtime}: the node is as on the host`, "warning");
      }
    }
  }
  for (const [i, mount] of (edits.mounts ?? []).entries()) {
    if (!isBind(mount)) refuse(["mounts", i, "type"], `a mount of type ${mount.type}`);
    const lost = (mount.options ?? []).filter((option) => !knownOptions.has(option));
    if (lost.length > 0) {
      const message = `${lost.join(", ")} cannot be passed on to ${runtime} and has no effect`;
      report([...at, "mounts", i, "options"], message, "warning");
    }
  }
}

const isBind = ({ type = "", options = [] }: CdiMount): boolean =>
  ["", "bind", "none"].includes(type) || options.includes("bind") || options.includes("rbind");

/** As `checkEditsByAgent`, of a whole spec. Returns the devices that cannot be given away. */
export function checkAppliedByAgent(spec: CdiSpec, runtime: string, report: Report): Set<string> {
  const refused = new Set<string>();
  const check = (edits: CdiEdits, at: FieldPath, devices: readonly string[]) =>
    checkEditsByAgent(edits, at, runtime, (path, message, severity = "error") => {
      if (severity === "error") devices.forEach((name) => refused.add(name));
      report(path, message, severity);
    });
  check(spec.containerEdits ?? {}, ["containerEdits"], spec.devices.map((d) => d.name));
  for (const [i, device] of spec.devices.entries()) {
    check(device.containerEdits, ["devices", i, "containerEdits"], [device.name]);
  }
  return refused;
}

const hostPathOf = (node: CdiDeviceNode): string => node.hostPath || node.path;

/** The paths of the host that `applyCdi` must know about. */
export const hostPathsOf = (edits: CdiEdits): string[] => [
  ...(edits.deviceNodes ?? []).map(hostPathOf),
  ...(edits.mounts ?? []).map((m) => m.hostPath),
];

/** Later edits of one path or variable win. Throws with what is missing on the host, or what cannot be carried out. */
export function applyCdi(edits: CdiEdits, host: HostPaths, runtime: string): AppliedCdi {
  checkEditsByAgent(edits, [], runtime, (_path, message, severity = "error") => {
    if (severity === "error") throw new Error(message);
  });
  const env = new Map((edits.env ?? []).map((variable) => {
    const at = variable.indexOf("=");
    return [variable.slice(0, at), variable.slice(at + 1)];
  }));
  const devices = new Map((edits.deviceNodes ?? []).map((node) => [node.path, toDevice(node, host)]));
  const mounts = new Map((edits.mounts ?? []).map((mount) => [mount.containerPath, toMount(mount, host)]));
  return {
    env: [...env].map(([name, value]) => ({ name, value })),
    devices: [...devices.values()],
    mounts: [...mounts.values()].sort((a, b) => depth(a.containerPath) - depth(b.containerPath)),
    groups: [...new Set(edits.additionalGids ?? [])].filter((gid) => gid !== 0),
  };
}

const depth = (path: string): number => path.split("/").filter((part) => part !== "").length;

function toDevice(node: CdiDeviceNode, host: HostPaths): DeviceEdit {
  const hostPath = hostPathOf(node);
  const found = host.get(hostPath);
  if (found === undefined) throw new Error(`device node ${hostPath} does not exist on this host`);
  if (found === "other") throw new Error(`${hostPath} is not a device node`);
  const type = { b: "block", c: "char", u: "char" }[node.type ?? ""];
  const numbers = node.major === undefined || (node.major === 0 && (node.minor ?? 0) === 0)
    ? undefined
    : `${node.major}:${node.minor ?? 0}`;
  if (type !== undefined && type !== found.kind) {
    throw new Error(`device node ${hostPath} is of type ${found.kind}, the CDI spec says ${type}`);
  }
  if (numbers !== undefined && numbers !== `${found.major}:${found.minor}`) {
    throw new Error(
      `device node ${hostPath} is ${found.major}:${found.minor}, the CDI spec says ${numbers}`,
    );
  }
  return { hostPath, containerPath: node.path, permissions: node.permissions || "rwm" };
}

function toMount(mount: CdiMount, host: HostPaths): MountEdit {
  if (!host.has(mount.hostPath)) throw new Error(`${mount.hostPath} does not exist on this host`);
  const options = new Set(mount.options ?? []);
  const has = (name: string) => options.has(name) || options.has(`r${name}`);
  const propagation = has("shared") ? "Bidirectional" : has("slave") ? "HostToContainer" : undefined;
  return {
    hostPath: mount.hostPath,
    containerPath: mount.containerPath,
    readonly: options.has("ro"),
    ...(propagation !== undefined && { propagation }),
  };
}
