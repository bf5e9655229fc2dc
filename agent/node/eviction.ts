/**
 * Watches over what is left of the node, frees what nobody needs, and ends one pod after the other while that is not enough.
 * Sleeps where no threshold is configured. Not for: whether there is too little (model/node_pressure.ts), whom it meets
 * (model/eviction.ts), pods that exceed a limit of their own (storage_limits.ts).
 *
 * Source: kubernetes pkg/kubelet/eviction, eviction_manager.go.
 */
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import { aborted, atMost, pause } from "../lib/pause.ts";
import type { AskedEnd } from "../model/end.ts";
import { errorText } from "../model/errors.ts";
import { type Consumptions, evictionOf, noConsumption, rankPods } from "../model/eviction.ts";
import {
  type Pressure,
  resourceOf,
  type Signal,
  type StarvedResource,
  type Threshold,
} from "../model/eviction_thresholds.ts";
import type { Pod } from "../model/gen/v1.ts";
import {
  isRelieved,
  lookAtPressure,
  nextDue,
  noPressure,
  pressuresOf,
  type PressureState,
  type Rooms,
} from "../model/node_pressure.ts";
import type { StorageLimit } from "../model/storage_limits.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";

export interface EvictionOptions {
  host: Pick<Host, "now" | "monotonic">;
  store: StatusStore;
  log: Log;
  metrics: Metrics;
  nodeName: string;
  thresholds: readonly Threshold[];
  /** In ms. */
  pressureTransition: number;
  /** In seconds. */
  maxGrace: number;
  everyMs: number;
  /** So long an evicted pod may take to end before the next look, in ms. */
  patienceMs: number;
  /** What is left now; `dedicated`: images and containers have a file system of their own. */
  look(signal: AbortSignal): Promise<{ rooms: Rooms; dedicated: boolean }>;
  /** By uid of the pod; what the resource does not need is not measured. */
  measure(pods: readonly Pod[], resource: StarvedResource, signal: AbortSignal): Promise<Consumptions>;
  /** Frees what no pod needs of what the signal is about. */
  reclaim(signal: AbortSignal): Promise<void>;
  /** Resolves when the pod has ended. */
  end(uid: string, end: AskedEnd): Promise<unknown>;
  /** Told after each look. */
  onPressures(pressures: ReadonlySet<Pressure>): void;
}

/** Whether anything but pods can be ended for it: files that nobody needs lie where images are. */
const isReclaimable = (threshold: Threshold, dedicated: boolean): boolean => {
  const resource = resourceOf(threshold.signal);
  if (resource !== "ephemeral-storage" && resource !== "inodes") return false;
  return !dedicated || threshold.signal.startsWith("imagefs.");
};

/** Never rejects; ends with the signal. */
export async function runEvictions(o: EvictionOptions, signal: AbortSignal): Promise<void> {
  if (o.thresholds.length === 0) return await aborted(signal);
  const asked = new Set<string>();
  let state = noPressure;
  while (!signal.aborted) {
    try {
      const now = o.host.monotonic();
      const found = { at: now, ...await o.look(signal) };
      state = lookAtPressure(state, o.thresholds, found.rooms, now, o.pressureTransition);
      o.onPressures(pressuresOf(state));
      if (state.due.length > 0 && await relieve(o, state, found, asked, signal)) continue;
    } catch (error) {
      if (!signal.aborted) {
        o.log.error("cannot look after what is left of the node", { error: errorText(error) });
      }
    }
    await pause(Math.min(o.everyMs, nextDue(state, o.host.monotonic())), signal);
  }
}

type Found = Awaited<ReturnType<EvictionOptions["look"]>> & { at: number };

/** True: a pod was ended, and it is time to look whether that was enough. */
async function relieve(
  o: EvictionOptions,
  { due }: PressureState,
  { at, rooms, dedicated }: Found,
  asked: Set<string>,
  signal: AbortSignal,
): Promise<boolean> {
  const [threshold] = due;
  const resource = resourceOf(threshold!.signal);
  o.log.warn("the node is short of a resource", { resource, signal: threshold!.signal });
  tellNode(o, resource);
  if (isReclaimable(threshold!, dedicated)) {
    await o.reclaim(signal).catch((error) =>
      o.log.warn("cannot free what nobody needs", { error: errorText(error) })
    );
    if (isRelieved(o.thresholds, (await o.look(signal)).rooms)) return false;
  }
  const pods = o.store.pods();
  for (const uid of asked) if (!pods.some((pod) => pod.metadata?.uid === uid)) asked.delete(uid);
  const candidates = pods.filter((pod) => !asked.has(pod.metadata?.uid ?? ""));
  const uses = await o.measure(candidates, resource, signal);
  const [pod] = rankPods(candidates, threshold!.signal, uses, dedicated);
  if (pod === undefined) return false;
  observeAges(o, due, at);
  asked.add(pod.metadata?.uid ?? "");
  await evict(o, pod, { due, rooms, use: uses.get(pod.metadata?.uid ?? "") ?? noConsumption }, signal);
  return true;
}

const tellNode = ({ store, host, nodeName }: EvictionOptions, resource: StarvedResource) =>
  store.addEvent({
    type: "Warning",
    reason: "EvictionThresholdMet",
    message: `Attempting to reclaim ${resource}`,
    object: { kind: "Node", name: nodeName },
  }, host.now());

/** Ends the pod and waits until what it had is free. */
async function evict(
  o: EvictionOptions,
  pod: Pod,
  reasons: Omit<Parameters<typeof evictionOf>[1], "maxGrace">,
  signal: AbortSignal,
): Promise<void> {
  const { namespace = "default", name = "", uid = "" } = pod.metadata ?? {};
  const { end, annotations } = evictionOf(pod, { ...reasons, maxGrace: o.maxGrace });
  const { reason, message } = end;
  o.log.warn("a pod is evicted", { pod: `${namespace}/${name}`, message });
  const object = { kind: "Pod", namespace, name, uid };
  o.store.addEvent({ type: "Warning", reason, message, object, annotations }, o.host.now());
  countEviction(o.metrics, reasons.due[0]!.signal);
  await atMost(o.patienceMs, o.end(uid, { ...end, told: true }), signal);
}

/** As the kubelet counts; for limits of a pod's own the name of the limit stands for the signal. */
export const countEviction = (metrics: Metrics, signal: Signal | StorageLimit): void =>
  metrics.counter("kubelet_evictions", "Cumulative number of pod evictions by eviction signal").inc({
    eviction_signal: signal,
  });

function observeAges({ host, metrics }: EvictionOptions, due: readonly Threshold[], at: number): void {
  const age = metrics.histogram(
    "kubelet_eviction_stats_age_seconds",
    "Time between when stats are collected, and when pod is evicted based on those stats by eviction signal",
  );
  for (const { signal } of due) age.observe((host.monotonic() - at) / 1000, { eviction_signal: signal });
}
