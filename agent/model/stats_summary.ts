/**
 * The kubelet's /stats/summary. Pure. Not for: measuring. Source: kubernetes pkg/kubelet/stats/cri_stats_provider.go.
 */
import type { PodReading } from "./cgroup_reading.ts";
import type { ContainerStatus, Pod } from "./gen/v1.ts";
import { type NodeFacts, nodeSummary } from "./stats_node.ts";
import { cpuOf, type Details, fsOf, memoryOf, networkOf, swapAndIoOf } from "./stats_parts.ts";
import { type MeasuredVolume, volumeSummaries } from "./volume_stats.ts";
import {
  containerIn,
  type ContainerUsage,
  type MeasuredUsage,
  podIn,
  type PodUsage,
  type Usage,
} from "./usage.ts";

/** Bytes on disk of one pod, or how many files. */
export interface PodDisk {
  /** By volume. */
  emptyDirs: ReadonlyMap<string, number>;
  /** By container. */
  logs: ReadonlyMap<string, number>;
}

export interface SummaryFacts {
  node: NodeFacts;
  /** By uid of the pod. */
  readings: ReadonlyMap<string, PodReading>;
  /** Bytes by uid of the pod. */
  disks: ReadonlyMap<string, PodDisk>;
  /** Files and directories. */
  files: ReadonlyMap<string, PodDisk>;
  /** Those that are no emptyDirs, by uid of the pod. */
  volumes: ReadonlyMap<string, readonly MeasuredVolume[]>;
}

/** Since its start, where that was after the look before; younger than this, seconds are too coarse to tell. */
const leastAge = 5_000;

function baseline(before: Usage | undefined, at: number, startedAt: string | undefined): Usage | undefined {
  const start = Date.parse(startedAt ?? "");
  if (before !== undefined || !(at - start >= leastAge)) return before;
  return { at: start, cpu: 0, memory: 0, workingSet: 0 };
}

interface Measured {
  measured: MeasuredUsage;
  pod: Pod;
  found: PodUsage;
  facts: SummaryFacts;
}

const uidOf = (pod: Pod) => pod.metadata?.uid ?? "";

function containerSummary({ measured, pod, facts }: Measured, c: ContainerUsage): object {
  const { before, now } = measured;
  const { node: { disk, images }, disks, files } = facts;
  const uid = uidOf(pod);
  const startTime = statusesOf(pod).find((s) => s.name === c.name)?.state?.running?.startedAt;
  const details: Details = facts.readings.get(uid)?.containers.get(c.id) ?? {};
  return {
    name: c.name,
    startTime,
    cpu: cpuOf(baseline(containerIn(before, c.id), c.at, startTime), c, details),
    memory: memoryOf(c, details),
    ...swapAndIoOf(c.at, details),
    rootfs: fsOf(now.at, images.containers?.disk ?? disk, c.disk?.bytes, c.disk?.inodes),
    logs: fsOf(now.at, disk, disks.get(uid)?.logs.get(c.name), files.get(uid)?.logs.get(c.name)),
  };
}

const statusesOf = ({ status }: Pod): ContainerStatus[] => [
  ...status?.initContainerStatuses ?? [],
  ...status?.containerStatuses ?? [],
];

function wholeOf({ measured, pod, found, facts }: Measured): object {
  const reading = facts.readings.get(uidOf(pod));
  if (found.whole === undefined) return {};
  const details: Details = reading?.whole ?? {};
  const before = baseline(podIn(measured.before, uidOf(pod))?.whole, found.whole.at, pod.status?.startTime);
  return {
    cpu: cpuOf(before, found.whole, details),
    memory: memoryOf(found.whole, details),
    ...swapAndIoOf(found.whole.at, details),
    ...(reading === undefined ? {} : { process_stats: { process_count: processesOf(pod, reading) } }),
    ...(reading === undefined || reading.network.length === 0
      ? {}
      : { network: networkOf(reading.whole.at, reading.network) }),
  };
}

/** Without the sandbox's own. */
function processesOf(pod: Pod, { containers }: PodReading): number {
  const ids = statusesOf(pod).map((s) => s.containerID?.replace(/^.*:\/\//, "") ?? "");
  return ids.reduce((sum, id) => sum + (containers.get(id)?.pids.length ?? 0), 0);
}

/** Of layers, logs and volumes on disk. */
function ephemeralOf({ measured: { now }, pod, found, facts }: Measured): object {
  const sum = (sizes: ReadonlyMap<string, number> | undefined) =>
    [...sizes?.values() ?? []].reduce((a, b) => a + b, 0);
  const total = (all: ReadonlyMap<string, PodDisk>, layer: (c: ContainerUsage) => number) => {
    const own = all.get(uidOf(pod));
    return sum(own?.logs) + sum(own && diskVolumes(pod, own.emptyDirs)) +
      found.containers.reduce((n, c) => n + layer(c), 0);
  };
  const bytes = total(facts.disks, (c) => c.disk?.bytes ?? 0);
  const inodes = total(facts.files, (c) => c.disk?.inodes ?? 0);
  return fsOf(now.at, facts.node.disk, bytes, inodes);
}

function podSummary(measured: MeasuredUsage, pod: Pod, facts: SummaryFacts): object[] {
  const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
  const found = podIn(measured.now, uid);
  if (found === undefined) return [];
  const one = { measured, pod, found, facts };
  const { at } = measured.now;
  return [{
    podRef: { name, namespace, uid },
    startTime: pod.status?.startTime,
    containers: found.containers.map((c) => containerSummary(one, c)),
    ...wholeOf(one),
    volume: [
      ...[...facts.disks.get(uid)?.emptyDirs ?? []].map(([volume, bytes]) => ({
        ...fsOf(at, facts.node.disk, bytes, facts.files.get(uid)?.emptyDirs.get(volume)),
        name: volume,
      })),
      ...volumeSummaries(facts.volumes.get(uid) ?? [], namespace),
    ],
    "ephemeral-storage": ephemeralOf(one),
  }];
}

/** Volumes in memory are no disk. */
export function diskVolumes(pod: Pod, sizes: ReadonlyMap<string, number>): Map<string, number> {
  const onDisk = (name: string) =>
    (pod.spec?.volumes ?? []).some((v) => v.name === name && (v.emptyDir?.medium ?? "") === "");
  return new Map([...sizes].filter(([name]) => onDisk(name)));
}

export const statsSummary = (
  measured: MeasuredUsage,
  pods: readonly Pod[],
  facts: SummaryFacts,
): object => ({
  node: nodeSummary(measured, facts.node),
  pods: pods.flatMap((pod) => podSummary(measured, pod, facts)),
});
