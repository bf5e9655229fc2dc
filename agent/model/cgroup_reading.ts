/** What the kernel tells of cgroups and networks, and the little that must be parsed of it. Pure. Not for: reading files. */
import type { CgroupLimits } from "./pod_cgroup.ts";

/** CPU times are nanoseconds, memory is bytes. */
export interface CgroupReading {
  /** Milliseconds since the epoch. */
  at: number;
  /** From the root of the cgroups. */
  path: string;
  cpu: number;
  user: number;
  system: number;
  /** Of a CPU limit. */
  periods: number;
  throttledPeriods: number;
  throttled: number;
  /** Page cache included. */
  memory: number;
  workingSet: number;
  rss: number;
  cache: number;
  mapped: number;
  swap: number;
  /** So often the limit was met. */
  failures: number;
  processes: number;
  limits?: CgroupLimits;
}

export interface Traffic {
  bytes: number;
  packets: number;
  errors: number;
  dropped: number;
}

export interface InterfaceReading {
  name: string;
  receive: Traffic;
  transmit: Traffic;
}

export interface PodReading {
  uid: string;
  whole: CgroupReading;
  /** By id; the sandbox's own is among them. */
  containers: ReadonlyMap<string, CgroupReading>;
  /** Of the pod's network namespace. */
  network: InterfaceReading[];
}

/** Of /proc/PID/net/dev, without the loopback and what is no device of the machine or of a pod. */
export function parseInterfaces(text: string): InterfaceReading[] {
  return text.split("\n").flatMap((line): InterfaceReading[] => {
    const [, name, rest] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || name === "lo" || /^(veth|docker|nerdctl|cni|cali)/.test(name)) return [];
    const counts = rest!.trim().split(/\s+/).map(Number);
    const traffic = (from: number): Traffic => ({
      bytes: counts[from] ?? 0,
      packets: counts[from + 1] ?? 0,
      errors: counts[from + 2] ?? 0,
      dropped: counts[from + 3] ?? 0,
    });
    return [{ name, receive: traffic(0), transmit: traffic(8) }];
  });
}
