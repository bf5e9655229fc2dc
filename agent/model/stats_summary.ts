/**
 * The kubelet's /stats/summary. Pure. What is missing there is not measured here: network, inodes of emptyDirs, the image
 * file system. Source: k8s.io/kubelet/pkg/apis/stats/v1alpha1, types.go.
 */
import { isoTime } from "./iso_time.ts";
import type { Pod } from "./gen/v1.ts";
import { type MeasuredVolume, volumeSummaries } from "./volume_stats.ts";
import { containerIn, type MeasuredUsage, nanoCores, podIn, type Usage } from "./usage.ts";

/** Of a file system. */
export interface Capacity {
  capacity: number;
  available: number;
  inodes: number;
  inodesFree: number;
}

/** Bytes on disk of one pod. */
export interface PodDisk {
  /** By volume. */
  emptyDirs: ReadonlyMap<string, number>;
  /** By container. */
  logs: ReadonlyMap<string, number>;
}

export interface SummaryFacts {
  nodeName: string;
  /** Of the node, in bytes. */
  memoryCapacity: number;
  /** When the node was started, in ms. */
  bootedAt: number;
  /** Where pods lie. */
  disk: Capacity | undefined;
  /** By uid of the pod. */
  disks: ReadonlyMap<string, PodDisk>;
  /** Those that are no emptyDirs, by uid of the pod. */
  volumes: ReadonlyMap<string, readonly MeasuredVolume[]>;
}

const cpuOf = (before: Usage | undefined, now: Usage) => ({
  time: isoTime(now.at),
  ...(nanoCores(before, now) === undefined ? {} : { usageNanoCores: nanoCores(before, now) }),
  usageCoreNanoSeconds: now.cpu,
});

const memoryOf = (now: Usage, limit?: number) => ({
  time: isoTime(now.at),
  ...(limit === undefined ? {} : { availableBytes: Math.max(0, limit - now.workingSet) }),
  usageBytes: now.memory,
  workingSetBytes: now.workingSet,
  ...(now.rss === undefined ? {} : { rssBytes: now.rss }),
});

function fsOf(at: number, disk: Capacity | undefined, used: number | undefined, inodesUsed?: number) {
  return {
    time: isoTime(at),
    ...(disk === undefined ? {} : { availableBytes: disk.available, capacityBytes: disk.capacity }),
    ...(used === undefined ? {} : { usedBytes: used }),
    ...(disk === undefined ? {} : { inodesFree: disk.inodesFree, inodes: disk.inodes }),
    ...(inodesUsed === undefined ? {} : { inodesUsed }),
  };
}

function podSummary(measured: MeasuredUsage, pod: Pod, facts: SummaryFacts): object[] {
  const { before, now } = measured;
  const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
  const found = podIn(now, uid);
  if (found === undefined) return [];
  const disk = facts.disks.get(uid);
  const statuses = [...pod.status?.initContainerStatuses ?? [], ...pod.status?.containerStatuses ?? []];
  const startOf = (container: string) =>
    statuses.find((s) => s.name === container)?.state?.running?.startedAt;
  const layers = found.containers.reduce((sum, c) => sum + (c.disk?.bytes ?? 0), 0);
  const sum = (sizes: ReadonlyMap<string, number>) => [...sizes.values()].reduce((a, b) => a + b, 0);
  const ephemeral = layers +
    (disk === undefined ? 0 : sum(disk.logs) + sum(diskVolumes(pod, disk.emptyDirs)));
  return [{
    podRef: { name, namespace, uid },
    startTime: pod.status?.startTime,
    containers: found.containers.map((c) => ({
      name: c.name,
      startTime: startOf(c.name),
      cpu: cpuOf(containerIn(before, c.id), c),
      memory: memoryOf(c),
      rootfs: fsOf(now.at, facts.disk, c.disk?.bytes, c.disk?.inodes),
      logs: fsOf(now.at, facts.disk, disk?.logs.get(c.name)),
    })),
    ...(found.whole === undefined
      ? {}
      : { cpu: cpuOf(podIn(before, uid)?.whole, found.whole), memory: memoryOf(found.whole) }),
    volume: [
      ...[...disk?.emptyDirs ?? []].map(([volume, bytes]) => ({
        ...fsOf(now.at, facts.disk, bytes),
        name: volume,
      })),
      ...volumeSummaries(facts.volumes.get(uid) ?? [], namespace),
    ],
    "ephemeral-storage": fsOf(now.at, facts.disk, ephemeral),
  }];
}

/** Volumes in memory are no disk. */
export function diskVolumes(pod: Pod, sizes: ReadonlyMap<string, number>): Map<string, number> {
  const onDisk = (name: string) =>
    (pod.spec?.volumes ?? []).some((v) => v.name === name && (v.emptyDir?.medium ?? "") === "");
  return new Map([...sizes].filter(([name]) => onDisk(name)));
}

export function statsSummary(measured: MeasuredUsage, pods: readonly Pod[], facts: SummaryFacts): object {
  const { before, now } = measured;
  const { disk } = facts;
  return {
    node: {
      nodeName: facts.nodeName,
      startTime: isoTime(facts.bootedAt),
      cpu: cpuOf(before.node, now.node),
      memory: memoryOf(now.node, facts.memoryCapacity),
      ...(disk === undefined ? {} : { fs: fsOf(now.at, disk, disk.capacity - disk.available) }),
    },
    pods: pods.flatMap((pod) => podSummary(measured, pod, facts)),
  };
}
