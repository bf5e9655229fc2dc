/**
 * What pods, containers and the node have used, at one moment and between two. Pure. Not for: measuring
 * (node/usage.ts), the forms in which it is told (stats_summary.ts, resource_metrics.ts).
 */
import type { CgroupReading } from "./cgroup_reading.ts";

/** Of a container, a pod or the node. CPU is counted since its start; bytes are as of now. */
export interface Usage {
  /** Milliseconds since the epoch. */
  at: number;
  /** Nanoseconds of processor time. */
  cpu: number;
  /** Page cache included. */
  memory: number;
  /** Without file pages that were not used for long, which the kernel takes back first: what eviction and OOM go by. */
  workingSet: number;
  /** Anonymous memory, where it is told. */
  rss?: number;
  /** Where it is told. */
  swap?: number;
  /** Absent: as much as there is. */
  swapLimit?: number;
}

export interface ContainerUsage extends Usage {
  id: string;
  /** Of its pod. */
  uid: string;
  name: string;
  /** Its writable layer. */
  disk?: { bytes: number; inodes: number };
}

export interface PodUsage {
  uid: string;
  /** Of its cgroup, where there is one: the sandbox is in it. */
  whole?: Usage;
  containers: ContainerUsage[];
}

/** A cgroup of the node that is no pod's. */
export interface SystemReading {
  /** The agent itself is told as the kubelet that it stands for; `pods`: all of them together. */
  name: "kubelet" | "runtime" | "pods";
  /** When the cgroup was made, in ms, as far as its directory tells. */
  startedAt?: number;
  reading: CgroupReading;
}

export interface NodeUsage {
  at: number;
  node: Usage;
  pods: PodUsage[];
  /** Absent where nobody asked for it. */
  system?: readonly SystemReading[];
}

/** Two looks, the later one being the newest. */
export interface MeasuredUsage {
  before: NodeUsage;
  now: NodeUsage;
}

/** Billionths of a processor between two looks; `undefined` where there is no earlier look at the same thing. */
export function nanoCores(before: Usage | undefined, now: Usage): number | undefined {
  if (before === undefined || now.at <= before.at || now.cpu < before.cpu) return undefined;
  return Math.round((now.cpu - before.cpu) / ((now.at - before.at) / 1000));
}

export const containerIn = (usage: NodeUsage, id: string): ContainerUsage | undefined =>
  usage.pods.flatMap((p) => p.containers).find((c) => c.id === id);

export const podIn = (usage: NodeUsage, uid: string): PodUsage | undefined =>
  usage.pods.find((p) => p.uid === uid);
