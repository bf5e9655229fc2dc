/**
 * The node in /stats/summary: itself, its file systems, its programs. Pure. Not for: its pods (stats_summary.ts).
 *
 * Source: kubernetes pkg/kubelet/server/stats/summary.go, summary_sys_containers.go, pkg/kubelet/stats/pidlimit.
 */
import type { DeviceTraffic, InterfaceReading, Pressures } from "./cgroup_reading.ts";
import { isoTime } from "./iso_time.ts";
import { type Capacity, cpuOf, fsOf, memoryOf, networkOf, swapAndIoOf, usedOf } from "./stats_parts.ts";
import type { MeasuredUsage } from "./usage.ts";

export interface NodeReading {
  at: number;
  /** When the node was started, in ms. */
  bootedAt: number;
  pageFaults: number;
  majorPageFaults: number;
  /** Bytes. */
  swap: { used: number; free: number };
  /** Of disks that were used. */
  io: readonly DeviceTraffic[];
  /** Where the kernel measures it. */
  pressure: Pressures;
  network: readonly InterfaceReading[];
  /** Threads that there are, and that there may be. */
  tasks: { now?: number; most?: number };
}

/** What images take on which file system; absent where the runtime does not tell. */
export interface ImageDisk {
  /** Milliseconds since the epoch. */
  at: number;
  bytes: number;
  inodes?: number;
  disk: Capacity | undefined;
}

export interface NodeFacts {
  nodeName: string;
  /** Bytes. */
  memoryCapacity: number;
  /** When this agent was started, in ms. */
  startedAt: number;
  reading: NodeReading;
  /** Where pods lie. */
  disk: Capacity | undefined;
  /** Of images and of containers' layers. */
  images: { images?: ImageDisk; containers?: ImageDisk };
}

export function nodeSummary({ before, now }: MeasuredUsage, facts: NodeFacts): object {
  const { disk, reading, images } = facts;
  const { at, bootedAt, pressure, swap, tasks } = reading;
  const details = { ...reading, limits: { cpuShares: 0, memory: facts.memoryCapacity } };
  return {
    nodeName: facts.nodeName,
    systemContainers: systemContainers({ before, now }, facts),
    startTime: isoTime(bootedAt),
    cpu: cpuOf(before.node, now.node, { pressure }),
    memory: memoryOf(now.node, { ...details, swap: swap.used }),
    ...swapAndIoOf(at, { pressure, swap: swap.used, swapLimit: swap.used + swap.free }),
    network: networkOf(at, reading.network),
    ...(disk === undefined ? {} : {
      fs: fsOf(now.at, disk, usedOf(disk), disk.inodes - disk.inodesFree),
    }),
    runtime: {
      ...(images.images && { imageFs: imageFs(images.images) }),
      ...(images.containers && { containerFs: imageFs(images.containers) }),
    },
    rlimit: {
      time: isoTime(at),
      ...(tasks.most === undefined ? {} : { maxpid: tasks.most }),
      ...(tasks.now === undefined ? {} : { curproc: tasks.now }),
    },
  };
}

const imageFs = ({ at, bytes, inodes, disk }: ImageDisk) => fsOf(at, disk, bytes, inodes);

/** Nothing limits all pods together but what the node has, where no limit is set. */
const systemContainers = ({ before, now }: MeasuredUsage, facts: NodeFacts): object[] =>
  (now.system ?? []).map(({ name, startedAt, reading: own }) => {
    const limits = { cpuShares: 0, ...own.limits, memory: own.limits?.memory ?? facts.memoryCapacity };
    return {
      name,
      startTime: isoTime(name === "kubelet" ? facts.startedAt : startedAt ?? facts.reading.bootedAt),
      cpu: cpuOf(before.system?.find((s) => s.name === name)?.reading, own, own),
      memory: memoryOf(own, name === "pods" ? { ...own, limits } : own),
      ...swapAndIoOf(own.at, own),
    };
  });
