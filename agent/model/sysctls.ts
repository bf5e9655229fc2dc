/**
 * Which sysctls a pod may set: those that are safe on this kernel, and those that the node's configuration allows. Pure.
 * Not for: setting them, which the runtime does.
 *
 * Source: kubernetes pkg/kubelet/sysctl, component-helpers/node/util/sysctl.
 */

/** Known to belong to a namespace of the pod and to do nothing to others; with the first kernel where that is so. */
const safe: readonly (readonly [name: string, kernel?: string])[] = [
  ["kernel.shm_rmid_forced"],
  ["net.ipv4.ip_local_port_range"],
  ["net.ipv4.tcp_syncookies"],
  ["net.ipv4.ping_group_range"],
  ["net.ipv4.ip_unprivileged_port_start"],
  ["net.ipv4.ip_local_reserved_ports", "3.16"],
  ["net.ipv4.tcp_keepalive_time", "4.5"],
  ["net.ipv4.tcp_keepalive_intvl", "4.5"],
  ["net.ipv4.tcp_keepalive_probes", "4.5"],
  ["net.ipv4.tcp_fin_timeout", "4.6"],
  ["net.ipv4.tcp_rmem", "4.15"],
  ["net.ipv4.tcp_wmem", "4.15"],
];

const prefixes = { "kernel.shm": "ipc", "kernel.msg": "ipc", "fs.mqueue.": "ipc", "net.": "net" } as const;

/** Slashes part a name whose own parts hold dots (`net/ipv4/conf/eth0.1/rp_filter`). */
export function dotted(name: string): string {
  const [first] = /[./]/.exec(name) ?? [];
  return first === "/" ? [...name].map((c) => c === "/" ? "." : c === "." ? "/" : c).join("") : name;
}

/** The namespace that a sysctl belongs to; `undefined` when none is known. */
export function sysctlNamespace(name: string): "ipc" | "net" | undefined {
  const plain = dotted(name);
  if (plain === "kernel.sem") return "ipc";
  return Object.entries(prefixes).find(([prefix]) => plain.startsWith(prefix))?.[1];
}

/** `kernel` as uname tells it; `unsafe` as allowedUnsafeSysctls has them: names, or beginnings that end in `*`. */
export function isAllowedSysctl(name: string, kernel: string, unsafe: readonly string[]): boolean {
  const plain = dotted(name);
  const known = safe.find(([n]) => n === plain);
  if (known !== undefined && isAtLeast(kernel, known[1] ?? "0")) return true;
  return unsafe.map(dotted).some((p) => p.endsWith("*") ? plain.startsWith(p.slice(0, -1)) : p === plain);
}

function isAtLeast(version: string, least: string): boolean {
  const parts = (text: string) => text.split(".").map((part) => Number.parseInt(part, 10) || 0);
  const [major = 0, minor = 0] = parts(version);
  const [wantedMajor = 0, wantedMinor = 0] = parts(least);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** What is wrong with an entry of allowedUnsafeSysctls. */
export function checkSysctlPattern(pattern: string): string | undefined {
  if (!/^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*([./]?\*)?$/.test(pattern)) {
    return `holds ${JSON.stringify(pattern)}: expected a sysctl, or the beginning of some with * at the end`;
  }
  return sysctlNamespace(pattern.replace(/\*$/, "")) !== undefined
    ? undefined
    : `holds ${
      JSON.stringify(pattern)
    }, which belongs to no namespace of a pod: expected net.*, kernel.shm*, ` +
      "kernel.msg*, kernel.sem or fs.mqueue.*";
}
