/**
 * Device nodes of the host as extended resources: rules that name them by patterns, and what found nodes come to: single
 * devices, or several nodes that go together, each to be given so many times. Pure. Not for: looking into /dev.
 */
import { decode, newBudget } from "./decode.ts";
import { fieldText } from "./finding.ts";
import { patternProblem } from "./glob.ts";
import { qualifiedName } from "./names.ts";

export interface HostDeviceRule {
  /** `agent.local/serial`. */
  resource: string;
  /** Paths of nodes, or of links to them; the first pattern that fits names a node. */
  paths: string[];
  /** So many containers may have each device at a time; default 1. */
  share?: number;
  /** Of `rwm`; default `rw`. */
  permissions?: string;
  /** `device`: the nodes of one piece of hardware are one device; `all`: those of the rule are. */
  group?: "none" | "device" | "all";
}

const table = {
  HostDevices: {
    resource: "string!",
    paths: "string[]!",
    share: "int32",
    permissions: "string",
    group: "string",
  },
};

const mostShares = 1000;

/** Names that the API takes for an extended resource: not Kubernetes' own. */
export const isExtendedResource = (name: string): boolean =>
  name.includes("/") && qualifiedName(name) === undefined &&
  !/^(?:.*\.)?kubernetes\.io\//.test(name) && !name.startsWith("requests.");

/** The rules of a configuration, or what is wrong with them. */
export function readHostDevices(values: readonly unknown[]): { rules: HostDeviceRule[] } | { wrong: string } {
  const rules: HostDeviceRule[] = [];
  for (const [i, value] of values.entries()) {
    const { value: decoded, findings } = decode("HostDevices", value, newBudget(), table);
    if (findings[0] !== undefined) {
      const field = fieldText(findings[0].path);
      return { wrong: `[${i}]${field === "" ? "" : `.${field}`}: ${findings[0].message}` };
    }
    const rule = decoded as HostDeviceRule;
    const wrong = ruleProblem(rule);
    if (wrong !== undefined) return { wrong: `[${i}].${wrong}` };
    rules.push(rule);
  }
  return { rules };
}

function ruleProblem(rule: HostDeviceRule): string | undefined {
  const { resource, paths, share = 1, permissions = "rw", group = "none" } = rule;
  if (!isExtendedResource(resource)) {
    return `resource: ${resource} is no name of a resource: expected one such as agent.local/serial`;
  }
  if (paths.length === 0) return "paths: expected at least one path";
  const bad = paths.findIndex((path) => patternProblem(path) !== undefined);
  if (bad >= 0) return `paths[${bad}]: ${patternProblem(paths[bad]!)}, got ${paths[bad]}`;
  if (share < 1 || share > mostShares) return `share: expected an integer from 1 to ${mostShares}`;
  if (!/^[rwm]+$/.test(permissions)) return "permissions: expected letters of rwm";
  if (!["none", "device", "all"].includes(group)) return "group: expected none, device or all";
  return undefined;
}

/** A node that a rule's patterns found. */
export interface FoundNode {
  /** As the pattern has it. */
  path: string;
  /** Equal for paths that lead to one node. */
  node: string;
  /** The hardware behind it, a path in /sys; absent: none is known. */
  hardware?: string;
  numaNode?: number;
}

/** One device of a resource: nodes that are given together. */
export interface DeviceUnit {
  id: string;
  paths: string[];
  numaNodes: number[];
}

/** What a rule's nodes come to. A node that two patterns find is one. */
export function unitsOf(rule: HostDeviceRule, found: readonly FoundNode[]): DeviceUnit[] {
  const units = new Map<string, DeviceUnit>();
  const seen = new Set<string>();
  for (const node of found) {
    if (seen.has(node.node)) continue;
    seen.add(node.node);
    const id = unitId(rule, node);
    const unit = units.get(id) ?? { id, paths: [], numaNodes: [] };
    unit.paths.push(node.path);
    if (node.numaNode !== undefined && !unit.numaNodes.includes(node.numaNode)) {
      unit.numaNodes.push(node.numaNode);
    }
    units.set(id, unit);
  }
  return [...units.values()];
}

function unitId({ group = "none", paths }: HostDeviceRule, node: FoundNode): string {
  if (group === "all") return paths[0]!;
  const hardware = group === "device" ? node.hardware?.split("/").at(-1) : undefined;
  return hardware ?? node.path;
}

/** The ids under which a device is given to several at a time. */
export const shareIds = (id: string, share: number): string[] =>
  share === 1 ? [id] : Array.from({ length: share }, (_, i) => `${id}::${i}`);

/** The device that an id is a share of. */
export const unitOfId = (id: string): string => id.replace(/::\d+$/, "");

/** What nobody has to configure. Each is given only to containers that ask for the resource. */
export const builtinDevices: readonly HostDeviceRule[] = [
  { resource: "agent.local/kvm", paths: ["/dev/kvm"], share: 100 },
  { resource: "agent.local/fuse", paths: ["/dev/fuse"], share: 100 },
  { resource: "agent.local/tun", paths: ["/dev/net/tun"], share: 100 },
  {
    resource: "agent.local/dri",
    paths: ["/dev/dri/renderD*", "/dev/dri/card*"],
    share: 100,
    group: "device",
  },
  { resource: "agent.local/video", paths: ["/dev/video*"], group: "device" },
  { resource: "agent.local/serial", paths: ["/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*"] },
];

/** The rules of a configuration replace built-in ones of the same resource. */
export function withBuiltins(rules: readonly HostDeviceRule[], builtin: boolean): HostDeviceRule[] {
  const own = new Set(rules.map((rule) => rule.resource));
  return [...rules, ...builtin ? builtinDevices.filter((rule) => !own.has(rule.resource)) : []];
}
