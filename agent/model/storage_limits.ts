/**
 * Limits of what a pod keeps on the node's disk, and when an evicted pod begins anew. Pure. Not for: measuring
 * (node/storage_limits.ts) or ending pods.
 *
 * Source: kubernetes pkg/kubelet/eviction, eviction_manager.go (localStorageEviction) and helpers.go (the words).
 */
import type { Container, Pod } from "./gen/v1.ts";
import { podResources } from "./qos.ts";
import { formatQuantity, parseQuantity } from "./quantity.ts";
import { diskVolumes, type PodDisk } from "./stats_summary.ts";

const resource = "ephemeral-storage";

const containersOf = (pod: Pod): Container[] => [
  ...pod.spec?.initContainers ?? [],
  ...pod.spec?.containers ?? [],
];

const limitText = (container: Container): string | undefined => container.resources?.limits?.[resource];

const amount = (text: string | undefined): number => text === undefined ? 0 : parseQuantity(text) ?? 0;

/** What must be measured to judge a pod: nothing, its emptyDirs, or those, logs and writable layers. */
export function limitsStorage(pod: Pod): "nothing" | "volumes" | "all" {
  if (containersOf(pod).some((c) => limitText(c) !== undefined)) return "all";
  const limited = (pod.spec?.volumes ?? []).some((v) => amount(v.emptyDir?.sizeLimit) > 0);
  return limited ? "volumes" : "nothing";
}

/** What a pod has on disk: bytes of writable layers by container, the rest as PodDisk. */
export interface PodStorage extends PodDisk {
  layers: ReadonlyMap<string, number>;
}

/** As the kubelet's metric names them. */
export type StorageLimit = "emptydirfs.limit" | "ephemeralpodfs.limit" | "ephemeralcontainerfs.limit";

export interface Exceeded {
  limit: StorageLimit;
  /** In the kubelet's words. */
  message: string;
}

/** Which limit the pod exceeds; the first one found. */
export function exceededStorage(pod: Pod, storage: PodStorage): Exceeded | undefined {
  return exceededVolume(pod, storage) ?? exceededTotal(pod, storage) ?? exceededContainer(pod, storage);
}

function exceededVolume(pod: Pod, { emptyDirs }: PodStorage): Exceeded | undefined {
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    const limit = amount(emptyDir?.sizeLimit);
    if (limit > 0 && (emptyDirs.get(name) ?? 0) > limit) {
      const message = `Usage of EmptyDir volume "${name}" exceeds the limit "${emptyDir?.sizeLimit}". `;
      return { limit: "emptydirfs.limit", message };
    }
  }
  return undefined;
}

const ownUse = (container: string, { layers, logs }: PodStorage): number =>
  (layers.get(container) ?? 0) + (logs.get(container) ?? 0);

function exceededTotal(pod: Pod, storage: PodStorage): Exceeded | undefined {
  const limit = podResources(pod).limits[resource];
  if (limit === undefined) return undefined;
  const volumes = [...diskVolumes(pod, storage.emptyDirs).values()].reduce((sum, bytes) => sum + bytes, 0);
  const total = containersOf(pod).reduce((sum, c) => sum + ownUse(c.name, storage), volumes);
  if (total <= limit) return undefined;
  const text = formatQuantity(resource, limit);
  const message = `Pod ephemeral local storage usage exceeds the total limit of containers ${text}. `;
  return { limit: "ephemeralpodfs.limit", message };
}

function exceededContainer(pod: Pod, storage: PodStorage): Exceeded | undefined {
  for (const container of containersOf(pod)) {
    const text = limitText(container);
    if (text === undefined || ownUse(container.name, storage) <= amount(text)) continue;
    const message = `Container ${container.name} exceeded its local ephemeral storage limit "${text}". `;
    return { limit: "ephemeralcontainerfs.limit", message };
  }
  return undefined;
}

/** All in milliseconds. */
export interface EvictionBackOff {
  base: number;
  cap: number;
}

/** How often a pod has been evicted, and when it was the last time. */
export interface Evictions {
  count: number;
  at: number;
}

/** An eviction that comes long after the wait before it has ended starts a new history. */
export function nextEvictions(
  before: Evictions | undefined,
  now: number,
  backOff: EvictionBackOff,
): Evictions {
  const forgotten = before === undefined || now - before.at > waitAfter(before, backOff) + backOff.cap;
  return { count: forgotten ? 1 : before.count + 1, at: now };
}

const waitAfter = ({ count }: Evictions, { base, cap }: EvictionBackOff): number =>
  Math.min(cap, base * 2 ** Math.min(count - 1, 20));

/**
 * When an evicted pod begins anew: nobody else would make it again, as controllers do for theirs. `undefined`: never by
 * itself, because its policy lets it rest.
 */
export function comesBackAt(
  pod: Pod,
  evictions: Evictions,
  now: number,
  backOff: EvictionBackOff,
): number | undefined {
  if ((pod.spec?.restartPolicy ?? "Always") !== "Always") return undefined;
  // An eviction that lies in the future was before the clock was set back.
  return Math.min(evictions.at, now) + waitAfter(evictions, backOff);
}

export function parseEvictions(text: string | undefined): Evictions | undefined {
  try {
    const { count, at } = JSON.parse(text ?? "{}");
    return Number.isInteger(count) && count > 0 && typeof at === "number" ? { count, at } : undefined;
  } catch {
    return undefined;
  }
}
