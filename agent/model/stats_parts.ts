/**
 * What /stats/summary says in the same form of the node, of pods and of containers. Pure. Source:
 * k8s.io/kubelet/pkg/apis/stats/v1alpha1, types.go.
 */
import type { CgroupReading, InterfaceReading, Pressure } from "./cgroup_reading.ts";
import { isoTime } from "./iso_time.ts";
import { nanoCores, type Usage } from "./usage.ts";

/** Of a file system. */
export interface Capacity {
  capacity: number;
  /** To others than root, for whom file systems keep some back. */
  available: number;
  /** To root, too; absent: as much. */
  free?: number;
  inodes: number;
  inodesFree: number;
}

/** What is known of a thing beside its usage. */
export type Details = Partial<
  Pick<
    CgroupReading,
    "limits" | "pageFaults" | "majorPageFaults" | "pressure" | "swap" | "swapLimit"
  >
>;

export const usedOf = ({ capacity, free, available }: Capacity): number => capacity - (free ?? available);

export const cpuOf = (before: Usage | undefined, now: Usage, { pressure }: Details = {}) => ({
  time: isoTime(now.at),
  ...(nanoCores(before, now) === undefined ? {} : { usageNanoCores: nanoCores(before, now) }),
  usageCoreNanoSeconds: now.cpu,
  ...psiOf(pressure?.cpu),
});

export const memoryOf = (now: Usage, { limits, pageFaults, majorPageFaults, pressure }: Details = {}) => ({
  time: isoTime(now.at),
  ...(limits?.memory === undefined ? {} : { availableBytes: Math.max(0, limits.memory - now.workingSet) }),
  usageBytes: now.memory,
  workingSetBytes: now.workingSet,
  ...(now.rss === undefined ? {} : { rssBytes: now.rss }),
  ...(pageFaults === undefined ? {} : { pageFaults }),
  ...(majorPageFaults === undefined ? {} : { majorPageFaults }),
  ...psiOf(pressure?.memory),
});

/** No swap where nothing is known of it. */
export const swapAndIoOf = (at: number, { swap, swapLimit, pressure }: Details) => ({
  io: { time: isoTime(at), ...psiOf(pressure?.io) },
  ...(swap === undefined ? {} : {
    swap: {
      time: isoTime(at),
      ...(swapLimit === undefined ? {} : { swapAvailableBytes: Math.max(0, swapLimit - swap) }),
      swapUsageBytes: swap,
    },
  }),
});

const psiOf = (pressure: Pressure | undefined) =>
  pressure === undefined ? {} : { psi: { full: pressure.full, some: pressure.some } };

export function fsOf(at: number, disk: Capacity | undefined, used: number | undefined, inodesUsed?: number) {
  return {
    time: isoTime(at),
    ...(disk === undefined ? {} : { availableBytes: disk.available, capacityBytes: disk.capacity }),
    ...(used === undefined ? {} : { usedBytes: used }),
    ...(disk === undefined ? {} : { inodesFree: disk.inodesFree, inodes: disk.inodes }),
    ...(inodesUsed === undefined ? {} : { inodesUsed }),
  };
}

/** The interface that the kubelet puts before the others. */
const first = "eth0";

export function networkOf(at: number, interfaces: readonly InterfaceReading[]) {
  const told = interfaces.map(({ name, receive, transmit }) => ({
    name,
    rxBytes: receive.bytes,
    rxErrors: receive.errors,
    txBytes: transmit.bytes,
    txErrors: transmit.errors,
  }));
  return { time: isoTime(at), ...told.find(({ name }) => name === first) ?? { name: "" }, interfaces: told };
}
