/**
 * How full the volumes of pods are that have a driver or lie in a directory: measured when somebody asks and what is known
 * is too old, each on its own, so that one that hangs delays nobody. Not for: emptyDirs (usage.ts), telling of it (model/).
 */
import type { Pod } from "../model/gen/v1.ts";
import {
  conditionMessage,
  type MeasurableVolume,
  measurableVolumes,
  type MeasuredVolume,
  type VolumeStats,
} from "../model/volume_stats.ts";
import { usedOf } from "../model/stats_parts.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";

export interface VolumeMeterOptions {
  host: Pick<Host, "now" | "monotonic" | "sleep" | "statfs">;
  store: Pick<StatusStore, "pods" | "objects" | "addEvent">;
  /** Asks the driver of a volume; `undefined`: it does not tell. */
  ask(uid: string, specName: string, signal: AbortSignal): Promise<VolumeStats | undefined>;
  /** Milliseconds that what is known stays good; less than 0: nothing is measured. */
  maxAge: number;
}

export interface VolumeMeter {
  /** What is known by uid of the pod; what hangs or fails is absent, or as old as it says. */
  look(signal: AbortSignal): Promise<ReadonlyMap<string, readonly MeasuredVolume[]>>;
}

/** Who asks waits no longer than this, and a volume's own measurement ends after that. */
const patienceMs = 1_000;
const deadlineMs = 10_000;

interface Entry {
  /** On the monotonic clock. */
  askedAt: number;
  running: Promise<void> | undefined;
  known?: { at: number; stats: VolumeStats };
  told?: string | undefined;
}

export function createVolumeMeter(o: VolumeMeterOptions, leave: AbortSignal): VolumeMeter {
  const { host, store } = o;
  const entries = new Map<string, Entry>();

  async function statsOf(uid: string, volume: MeasurableVolume, signal: AbortSignal) {
    if ("specName" in volume) return await o.ask(uid, volume.specName, signal);
    const found = await host.statfs(volume.path);
    if (found === undefined) return undefined;
    const { capacity, available, inodes, inodesFree } = found;
    return {
      bytes: { total: capacity, available, used: usedOf(found) },
      inodes: { total: inodes, available: inodesFree, used: inodes - inodesFree },
    };
  }

  async function measure(entry: Entry, { metadata }: Pod, volume: MeasurableVolume): Promise<void> {
    const { name = "", namespace = "default", uid = "" } = metadata ?? {};
    try {
      const stats = await statsOf(uid, volume, AbortSignal.any([leave, AbortSignal.timeout(deadlineMs)]));
      if (stats === undefined) return void delete entry.known;
      entry.known = { at: host.now(), stats };
      const message = conditionMessage(volume.name, stats);
      if (message !== undefined && message !== entry.told) {
        const object = { kind: "Pod", namespace, name, uid };
        store.addEvent({ type: "Warning", reason: "VolumeConditionAbnormal", message, object }, host.now());
      }
      entry.told = message;
    } catch {
      delete entry.known; // no numbers rather than wrong ones
    } finally {
      entry.running = undefined;
    }
  }

  function entryOf(key: string, pod: Pod, volume: MeasurableVolume): Entry {
    const entry = entries.get(key) ?? { askedAt: -Infinity, running: undefined };
    entries.set(key, entry);
    if (entry.running === undefined && host.monotonic() - entry.askedAt >= o.maxAge) {
      entry.askedAt = host.monotonic();
      entry.running = measure(entry, pod, volume);
    }
    return entry;
  }

  return {
    async look(signal) {
      const result = new Map<string, MeasuredVolume[]>();
      if (o.maxAge < 0) return result;
      const wanted = store.pods().flatMap((pod) =>
        measurableVolumes(pod, store.objects()).map((volume) => {
          const uid = pod.metadata?.uid ?? "";
          const key = `${uid} ${JSON.stringify(volume)}`;
          return { uid, volume, key, entry: entryOf(key, pod, volume) };
        })
      );
      const keys = new Set(wanted.map(({ key }) => key));
      for (const key of entries.keys()) if (!keys.has(key)) entries.delete(key);
      const fresh = wanted.map(({ entry }) => entry)
        .filter(({ askedAt }) => host.monotonic() - askedAt < patienceMs)
        .flatMap(({ running }) => running ?? []);
      if (fresh.length > 0) await atMost(host, patienceMs, Promise.all(fresh), signal);
      for (const { uid, volume: { name, claim }, entry: { known } } of wanted) {
        if (known === undefined) continue;
        result.set(uid, [...result.get(uid) ?? [], { name, ...(claim && { claim }), ...known }]);
      }
      return result;
    },
  };
}

/** Ends with the work, when the time is over, or with the signal. */
async function atMost(
  host: Pick<Host, "sleep">,
  ms: number,
  work: Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  void work.finally(() => done.abort());
  await host.sleep(ms, AbortSignal.any([signal, done.signal])).catch(() => {});
}
