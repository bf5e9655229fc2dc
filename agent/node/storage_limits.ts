/**
 * Watches over the limits of what pods keep on disk: measures, at most every ten seconds, the pods that declare one, has
 * those ended that exceed it, and begins them anew after a while where their policy says so. Sleeps while there is no
 * such pod. Not for: the limits themselves (model/storage_limits.ts), room on the node as a whole.
 */
import { isOfApi } from "../model/api_pod.ts";
import type { PodEnd } from "../model/end.ts";
import { errorText } from "../model/errors.ts";
import type { Pod } from "../model/gen/v1.ts";
import { podSpecHash } from "../model/hash.ts";
import {
  comesBackAt,
  type EvictionBackOff,
  exceededStorage,
  limitsStorage,
  nextEvictions,
  parseEvictions,
  type PodStorage,
} from "../model/storage_limits.ts";
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import { pause } from "../lib/pause.ts";
import type { Host, Runtime, Storage } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import { countEviction } from "./eviction.ts";
import { podDisks } from "./usage.ts";

export interface StorageLimitOptions {
  host: Host;
  runtime: Pick<Runtime, "stats">;
  storage: Pick<Storage, "emptyDirUsage" | "keepNote" | "notes">;
  store: StatusStore;
  log: Log;
  metrics: Metrics;
  podLogsDir: string;
  /** At least 10 s on a real node. */
  everyMs: number;
  backOff: EvictionBackOff;
  end(uid: string, end: PodEnd): Promise<unknown>;
  restart(uid: string): boolean;
}

const note = "evictions";
const reason = "Evicted";

/** Pods that are being ended, with the hash of their spec: an edit gives a new life, which may exceed it again. */
type Asked = Map<string, string>;

/** And may come back: the API server's pods are over. */
const isEvicted = (pod: Pod): boolean =>
  pod.status?.phase === "Failed" && pod.status.reason === reason && !isOfApi(pod);
const isLimited = (pod: Pod): boolean => pod.status?.phase === "Running" && limitsStorage(pod) !== "nothing";

export async function runStorageLimits(o: StorageLimitOptions, signal: AbortSignal): Promise<void> {
  const asked: Asked = new Map();
  while (!signal.aborted) {
    const pods = o.store.pods();
    const limited = pods.filter(isLimited);
    await checkAll(o, limited, asked, signal);
    const waits = await Promise.all(pods.filter(isEvicted).map((pod) => comeBack(o, pod)));
    const next = Math.min(
      ...waits.map((wait) => wait ?? Infinity),
      limited.length > 0 ? o.everyMs : Infinity,
    );
    if (next === Infinity) await untilNeeded(o.store, signal);
    else await pause(Math.max(100, Math.min(next, o.everyMs)), signal);
  }
}

/** Until a pod appears that must be looked after. */
function untilNeeded(store: StatusStore, signal: AbortSignal): Promise<void> {
  const needed = (pod: Pod) =>
    isLimited(pod) || (isEvicted(pod) && (pod.spec?.restartPolicy ?? "Always") === "Always");
  const done = new AbortController();
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true, signal: done.signal });
  store.subscribe((change) => {
    if (change.kind === "pod" && !change.deleted && needed(change.pod)) resolve();
  }, done.signal);
  if (signal.aborted || store.pods().some(needed)) resolve();
  return promise.finally(() => done.abort());
}

async function checkAll(
  o: StorageLimitOptions,
  limited: readonly Pod[],
  asked: Asked,
  signal: AbortSignal,
): Promise<void> {
  for (const uid of asked.keys()) if (!limited.some((pod) => pod.metadata?.uid === uid)) asked.delete(uid);
  if (limited.length === 0) return;
  try {
    const layered = limited.some((pod) => limitsStorage(pod) === "all");
    const stats = layered ? await o.runtime.stats(signal) : [];
    const disks = await podDisks(o, limited, "bytes", signal);
    for (const pod of limited) {
      const own = stats.filter((s) => s.uid === pod.metadata?.uid);
      const layers = new Map(own.map((s) => [s.name, s.disk?.bytes ?? 0]));
      const disk = disks.get(pod.metadata?.uid ?? "");
      if (disk !== undefined) await check(o, pod, asked, { ...disk, layers });
    }
  } catch (error) {
    if (!signal.aborted) o.log.error("cannot measure what pods have on disk", { error: errorText(error) });
  }
}

async function check(o: StorageLimitOptions, pod: Pod, asked: Asked, storage: PodStorage): Promise<void> {
  const uid = pod.metadata?.uid ?? "";
  const exceeded = exceededStorage(pod, storage);
  const spec = podSpecHash(pod);
  if (exceeded === undefined || asked.get(uid) === spec) return;
  asked.set(uid, spec);
  const before = parseEvictions((await o.storage.notes(uid)).get(note));
  // First, so that no crash forgets it: the next agent sees an evicted pod and must know since when.
  await o.storage.keepNote(uid, note, JSON.stringify(nextEvictions(before, o.host.now(), o.backOff)));
  countEviction(o.metrics, exceeded.limit);
  void o.end(uid, { reason, message: exceeded.message });
}

/** Begins the pod anew when its time has come, or says how long it is until then, in ms. */
async function comeBack(o: StorageLimitOptions, pod: Pod): Promise<number | undefined> {
  const uid = pod.metadata?.uid ?? "";
  const evictions = parseEvictions((await o.storage.notes(uid)).get(note));
  if (evictions === undefined) return undefined;
  const now = o.host.now();
  const at = comesBackAt(pod, evictions, now, o.backOff);
  if (at === undefined || at > now) return at === undefined ? undefined : at - now;
  o.restart(uid);
  return o.everyMs;
}
