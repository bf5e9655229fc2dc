/** What the kernel tells of cgroups and networks. Pure. Not for: reading files, parsing cgroups' (cgroup_parse.ts). */
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
  /** The most that there was. */
  memoryPeak: number;
  workingSet: number;
  rss: number;
  cache: number;
  mapped: number;
  kernel: number;
  activeFile: number;
  inactiveFile: number;
  swap: number;
  /** Absent: as much as there is. */
  swapLimit?: number;
  pageFaults: number;
  majorPageFaults: number;
  /** So often the limit was met. */
  failures: number;
  /** So many processes were killed for want of memory. */
  oomKills: number;
  /** Of the processes that are directly in it. */
  pids: readonly number[];
  threads: number;
  /** 0: as many as there may be. */
  threadsMax: number;
  io: readonly DeviceTraffic[];
  /** Where the kernel measures it for cgroups. */
  pressure?: Pressures;
  limits?: CgroupLimits;
}

/** Of a block device, by what was done: `Read`, `Write`, `Discard`, …, as the kernel names it. */
export interface DeviceTraffic {
  /** `MAJOR:MINOR`. */
  device: string;
  bytes: Readonly<Record<string, number>>;
  operations: Readonly<Record<string, number>>;
}

/** Shares of the time in percent over so many seconds, and microseconds in all. */
export interface Stall {
  avg10: number;
  avg60: number;
  avg300: number;
  total: number;
}

/** How long some, or all, had to wait. */
export interface Pressure {
  some: Stall;
  full: Stall;
}

export type Pressures = Readonly<Record<"cpu" | "memory" | "io", Pressure | undefined>>;

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

/** Of /proc/PID/net/dev, without those that cAdvisor leaves out. */
export function parseInterfaces(text: string): InterfaceReading[] {
  return text.split("\n").flatMap((line): InterfaceReading[] => {
    const [, name, rest] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || /^(lo|veth|docker|nerdctl)/.test(name)) return [];
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
