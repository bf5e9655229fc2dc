/**
 * What a key is when nobody set it. For the node's own agent that is the table's default; a root directory of one's own
 * makes a private instance, all of whose paths, its cgroup, its sockets and its port differ from every other's, so that
 * `--root-dir /x` alone is safe beside a kubelet or another agent. Not for: reading settings.
 */
import { keyByName, keys } from "./keys.ts";
import type { Settings } from "./settings.ts";

export interface Instance {
  rootDir: string;
  /** Another root directory than the table's default. */
  isPrivate: boolean;
  /** Label value that tells agents apart that share one runtime: `default`, or 8 hex digits from the root directory. */
  instanceId: string;
}

export function instanceOf(rootDir: string): Instance {
  const isPrivate = rootDir !== keyByName.get("rootDir")!.default;
  return { rootDir, isPrivate, instanceId: isPrivate ? shortHash(rootDir) : "default" };
}

/** Where ours are others than the kubelet's. */
export function kubeletDefaults(): Settings {
  const others: Record<string, unknown> = {
    staticPodPath: "",
    serializeImagePulls: true,
    rotateCertificates: false,
  };
  const place = { file: "default of the kubelet" };
  const settings = Object.entries(others).map(([key, value]) => ({
    spec: keyByName.get(key)!,
    value,
    place,
  }));
  return { settings, problems: [] };
}

/** Of the agent itself, below the root directory: what it must remember. */
export const stateDirOf = (rootDir: string): string => `${rootDir}/agent`;

/**
 * Value of every supported key that has a default. `chosen` are the values that were set: some defaults follow them.
 */
export function defaultValues(
  instance: Instance,
  chosen: (key: string) => unknown,
): { values: Map<string, unknown>; ownToInstance: Set<string> } {
  const values = new Map<string, unknown>();
  for (const spec of keys) {
    if (spec.supported && spec.default !== undefined) values.set(spec.key, spec.default);
  }
  const own = Object.entries(instance.isPrivate ? privatePaths(instance) : {});
  for (const [key, value] of own) values.set(key, value);
  const effective = (key: string) => String(chosen(key) ?? values.get(key));
  values.set("containerLogsDir", sibling(effective("podLogsDir"), "containers"));
  values.set("imagesDir", `${stateDirOf(instance.rootDir)}/images`);
  values.set("certDir", `${instance.rootDir}/pki`);
  values.set("managedRuntime.root", `${stateDirOf(instance.rootDir)}/containerd`);
  values.set("managedRuntime.state", `${runDirOf(instance)}/containerd`);
  values.set("managedRuntime.socket", `${effective("managedRuntime.state")}/containerd.sock`);
  if (!instance.isPrivate) values.set("managedRuntime.cniConfDir", "/etc/cni/net.d");
  // Who asks for one by one has not asked for several.
  if (chosen("serializeImagePulls") === true) values.delete("maxParallelImagePulls");
  return { values, ownToInstance: new Set(own.map(([key]) => key)) };
}

/** Volatile, and short: socket paths hold some 100 bytes, and root directories may be deep. */
const runDirOf = (instance: Instance): string =>
  instance.isPrivate ? `/run/agent-${instance.instanceId}` : "/run/agent";

function privatePaths(instance: Instance): Record<string, unknown> {
  const { rootDir, instanceId } = instance;
  return {
    staticPodPath: `${rootDir}/manifests`,
    pluginsDir: `${rootDir}/plugins.d`,
    podLogsDir: `${rootDir}/logs/pods`,
    volumesDir: `${rootDir}/volumes`,
    socket: `${runDirOf(instance)}/agent.sock`,
    cgroupRoot: `/agent-${instanceId}`,
    healthzPort: 0,
    port: 0,
    "managedRuntime.cniConfDir": `${stateDirOf(rootDir)}/cni/net.d`,
  };
}

function sibling(path: string, name: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) + name;
}

/** FNV-1a, 32 bits: stable over versions and machines. */
function shortHash(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
