/**
 * What is known of how full volumes of pods are, and how it is told: in /stats/summary and as kubelet_volume_stats_*. Pure.
 * Not for: measuring (node/volume_meter.ts), emptyDirs (usage.ts).
 *
 * Source: kubernetes pkg/kubelet/server/stats/volume_stat_calculator.go, pkg/kubelet/metrics/collectors/volume_stats.go.
 */
import { isoTime } from "./iso_time.ts";
import { claimKeyOf } from "./claim_wish.ts";
import type { PersistentVolume, Pod } from "./gen/v1.ts";
import { gaugeText } from "./resource_metrics.ts";
import type { Objects } from "./wish.ts";

export interface Amounts {
  total: number;
  used: number;
  available: number;
}

export interface VolumeStats {
  bytes?: Amounts;
  inodes?: Amounts;
  /** Absent where nobody tells. */
  condition?: { abnormal: boolean; message: string };
}

/** A volume of a pod that somebody can measure: its CSI driver, or whoever looks at the path. */
export type MeasurableVolume =
  & {
    name: string;
    /** Its claim's name, in the namespace of the pod. */
    claim?: string;
  }
  & ({ specName: string } | { path: string });

export interface MeasuredVolume {
  name: string;
  claim?: string;
  /** Milliseconds since the epoch. */
  at: number;
  stats: VolumeStats;
}

export function measurableVolumes(pod: Pod, objects: Objects): MeasurableVolume[] {
  return (pod.spec?.volumes ?? []).flatMap((volume): MeasurableVolume[] => {
    const { name } = volume;
    if (volume.csi !== undefined) return [{ name, specName: name }];
    const key = claimKeyOf(pod, volume);
    const place = placeOf(boundTo(key, objects));
    return key === undefined || place === undefined ? [] : [{ name, claim: key.split("/")[1]!, ...place }];
  });
}

const boundTo = (key: string | undefined, objects: Objects): PersistentVolume | undefined =>
  objects.persistentVolumes.get(objects.persistentVolumeClaims.get(key ?? "")?.spec?.volumeName ?? "");

/** Exports are left out: asking for one whose server is gone never ends. */
function placeOf(volume: PersistentVolume | undefined): { specName: string } | { path: string } | undefined {
  const { csi, local, hostPath, volumeMode } = volume?.spec ?? {};
  if (csi !== undefined) return { specName: volume?.metadata?.name ?? "" };
  const path = local?.path ?? hostPath?.path;
  return path === undefined || volumeMode === "Block" ? undefined : { path };
}

/** Entries of pods[].volume. */
export const volumeSummaries = (
  volumes: readonly MeasuredVolume[],
  namespace: string,
): object[] =>
  volumes.map(({ name, claim, at, stats: { bytes, inodes, condition } }) => ({
    time: isoTime(at),
    ...(bytes && { availableBytes: bytes.available, capacityBytes: bytes.total, usedBytes: bytes.used }),
    ...(inodes && { inodesFree: inodes.available, inodes: inodes.total, inodesUsed: inodes.used }),
    name,
    ...(claim !== undefined && { pvcRef: { name: claim, namespace } }),
    ...(condition && { volumeHealthStats: { abnormal: condition.abnormal } }),
  }));

type Gauge = [suffix: string, help: string, value: (stats: VolumeStats) => number | undefined];

const gauges: readonly Gauge[] = [
  ["capacity_bytes", "[ALPHA] Capacity in bytes of the volume", (s) => s.bytes?.total],
  ["available_bytes", "[ALPHA] Number of available bytes in the volume", (s) => s.bytes?.available],
  ["used_bytes", "[ALPHA] Number of used bytes in the volume", (s) => s.bytes?.used],
  ["inodes", "[ALPHA] Maximum number of inodes in the volume", (s) => s.inodes?.total],
  ["inodes_free", "[ALPHA] Number of free inodes in the volume", (s) => s.inodes?.available],
  ["inodes_used", "[ALPHA] Number of used inodes in the volume", (s) => s.inodes?.used],
  [
    "health_status_abnormal",
    "[ALPHA] Abnormal volume health status. The count is either 1 or 0. 1 indicates the volume is unhealthy, 0 indicates volume is healthy",
    (s) => s.condition && Number(s.condition.abnormal),
  ],
];

/** Prometheus text: each claim once, however many pods have it. @param volumes by uid of the pod */
export function volumeMetrics(
  pods: readonly Pod[],
  volumes: ReadonlyMap<string, readonly MeasuredVolume[]>,
): string {
  const claims = new Map<string, [labels: Record<string, string>, stats: VolumeStats]>();
  for (const { metadata } of pods) {
    const namespace = metadata?.namespace ?? "default";
    for (const { claim, stats } of volumes.get(metadata?.uid ?? "") ?? []) {
      if (claim === undefined) continue;
      claims.set(`${namespace}/${claim}`, [{ namespace, persistentvolumeclaim: claim }, stats]);
    }
  }
  return gauges.map(([suffix, help, value]) =>
    gaugeText(
      `kubelet_volume_stats_${suffix}`,
      help,
      [...claims.values()].flatMap(([labels, stats]): [Record<string, string>, number][] => {
        const amount = value(stats);
        return amount === undefined ? [] : [[labels, amount]];
      }),
    )
  ).join("");
}

/** What the pod is told of a volume that its driver finds sick; text of drivers is cut off after 1024 characters. */
export const conditionMessage = (name: string, { condition }: VolumeStats): string | undefined =>
  condition?.abnormal === true ? `Volume ${name}: ${condition.message.slice(0, 1024)}` : undefined;
