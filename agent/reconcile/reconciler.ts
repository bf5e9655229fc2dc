/**
 * Keeps the set of workers equal to the set of known pods: those that are wanted, and those that were found on the
 * node. Not for: what a worker does.
 */
import type { Runtime, Storage } from "../ports.ts";
import type { Log } from "../lib/log.ts";
import { aborted } from "../lib/pause.ts";
import { type Desired, diffPods, isTerminating, type KnownPod, podKey, type Wish } from "../model/wish.ts";
import type { EphemeralContainer } from "../model/gen/v1.ts";
import type { AskedEnd } from "../model/end.ts";
import type { Admission } from "./admission.ts";
import { createAllocations } from "./allocations.ts";
import type { ProbeReport } from "../model/probe_report.ts";
import { createWorker, type Worker, type WorkerOptions } from "./worker.ts";
import type { PodIdentity } from "./observe.ts";

export interface Reconciler {
  /** The newest set of wanted pods. */
  update(desired: Desired): void;
  /** Something that decides which pods this node takes has changed: judges all of them anew. */
  readmit(): void;
  /** Look again at one pod, or at all. */
  nudge(uid?: string): void;
  /**
   * Ends a pod as a whole: it fails with this reason, until it is edited or restarted. Resolves when it has ended, and what
   * the node needs back of its disk was given back. False: no such pod is wanted.
   */
  end(uid: string, end: AskedEnd): Promise<boolean>;
  /** What pods that have ended for good have left with the runtime is removed; their logs stay. Resolves when it is. */
  tidy(uids: readonly string[]): Promise<void>;
  /**
   * Starts these containers of a pod again, or all in order, init containers first, in the pod's sandbox; whatever their
   * restart policies say, and without back-off. Init containers run again with all others only. False: no such pod.
   */
  restart(uid: string, containers?: readonly string[]): boolean;
  /** Starts an ephemeral container in a pod that runs. False: no such pod. */
  addEphemeral(uid: string, container: EphemeralContainer): boolean;
  /** What the probes of a pod's running containers were answered last. */
  probes(uid: string): ProbeReport[];
  /** Images have come: pods that wait in back-off for one of them try again now. */
  retryImages(brings: (image: string) => boolean): void;
  /** Who has volumes has come: the pod, or all, that wait in back-off for theirs, or for their end, try again now. */
  retryVolumes(uid?: string): void;
  /** Publishes the volumes of a running pod anew: something that nobody can see from here has changed. */
  refreshVolumes(uid: string): void;
  /** Takes over what an earlier run of the agent left: sandboxes, containers, pod directories. Throws when the runtime is away. */
  recover(): Promise<void>;
  /** Takes over the pods among these that have no worker: the runtime may end a creation after its caller is gone. */
  takeOver(pods: readonly PodIdentity[]): void;
  /** Ends when every worker has ended, after the signal. */
  finished(): Promise<void>;
  /** Uids with a worker, for the collection of what nobody owns. */
  known(): ReadonlySet<string>;
}

export interface ReconcilerOptions extends WorkerOptions {
  runtime: Runtime;
  storage: Storage;
  log: Log;
  /** Absent: every pod is taken. */
  admission?: Admission;
  /** Nothing of this pod is left on the node; told for one that never came here, too. */
  gone?(uid: string): void;
}

export function createReconciler(o: ReconcilerOptions, leave: AbortSignal): Reconciler {
  const workers = new Map<string, Worker>();
  const found = new Map<string, PodIdentity>();
  /** Of the wanted pods that terminate: what the API server may not know yet. */
  let ended = new Set<string>();
  let latest: Desired | undefined;
  let recovered = false;
  const allocations = createAllocations(
    o.apply.node.allocatable,
    (uid) => workers.get(uid)?.nudge(),
    () => readmit(),
  );

  const known = (): KnownPod[] => {
    const ids = new Map<string, PodIdentity>(found);
    for (const [uid, worker] of workers) ids.set(uid, worker.id);
    return [...ids].map(([uid, { namespace, name, source }]) => ({
      uid,
      key: `${namespace}/${name}`,
      ...(source && { source }),
    }));
  };

  const identity = (uid: string, wish: Wish): PodIdentity => {
    const known = found.get(uid);
    if (wish.kind === "absent" && known !== undefined) return known;
    const m = (wish.kind === "absent" ? wish.pod : wish.pod.pod)?.metadata;
    const source = wish.kind === "absent" ? undefined : wish.pod.source;
    return { uid, namespace: m?.namespace ?? "default", name: m?.name ?? "", ...(source && { source }) };
  };

  const start = (uid: string, wish: Wish): Worker => {
    const worker = createWorker(
      { ...o, allocations, admit: (pod) => o.admission?.refusal(pod.uid) },
      identity(uid, wish),
      leave,
    );
    workers.set(uid, worker);
    found.delete(uid);
    worker.finished.then((how) => {
      workers.delete(uid);
      if (how !== "gone") return;
      if (wantedPods().some((p) => p.uid === uid && isTerminating(p))) ended.add(uid);
      o.gone?.(uid);
      if (latest === undefined) return;
      apply(latest);
      takeBackDevices(latest);
    });
    return worker;
  };

  /** A pod whose name is still held by another uid waits until that one is gone. */
  const isHeld = (uid: string, wish: Wish): boolean => {
    if (wish.kind === "absent") return false;
    const key = podKey(wish.pod.pod);
    return known().some((k) => k.key === key && k.uid !== uid);
  };

  const wantedPods = () => [...latest?.pods.values() ?? []].filter((p) => !ended.has(p.uid));

  /** Once it is certain which pods there are. */
  const takeBackDevices = (desired: Desired) => {
    if (!recovered || !desired.complete) return;
    const wanted = wantedPods().map((p) => p.uid);
    const known = new Set([...workers.keys(), ...found.keys(), ...wanted]);
    o.apply.devices?.sweep(known);
    o.apply.placement?.sweep(known);
  };

  const apply = (desired: Desired) => {
    for (const [uid, wish] of diffPods(desired, known())) {
      if (leave.aborted || isHeld(uid, wish) || ended.has(uid)) continue;
      (workers.get(uid) ?? start(uid, wish)).put(wish);
    }
  };

  const takeOver = (pods: readonly PodIdentity[]) => {
    const strangers = pods.filter(({ uid }) => !workers.has(uid) && !found.has(uid));
    for (const { uid, namespace, name, source } of strangers) {
      found.set(uid, { uid, namespace, name, ...(source && { source }) });
    }
    if (strangers.length > 0 && latest !== undefined) apply(latest);
  };

  const wantedOf = (uid: string): Worker | undefined =>
    wantedPods().some((p) => p.uid === uid) ? workers.get(uid) : undefined;

  /** What waits for more resources takes as much of the node as it has, not as it asks for. */
  const judge = () =>
    o.admission?.judge(wantedPods().map(allocations.given), latest?.complete === true) ?? [];

  const readmit = () => {
    for (const uid of judge()) workers.get(uid)?.nudge();
  };

  return {
    update(desired) {
      latest = desired;
      const uids = new Set([...desired.pods.values()].map((p) => p.uid));
      ended = new Set([...ended].filter((uid) => uids.has(uid)));
      const changed = judge();
      apply(desired);
      takeBackDevices(desired);
      for (const uid of changed) workers.get(uid)?.nudge();
    },
    readmit,
    nudge(uid) {
      if (uid !== undefined) workers.get(uid)?.nudge();
      else for (const worker of workers.values()) worker.nudge();
    },
    async end(uid, end) {
      const worker = wantedOf(uid);
      await worker?.end(end);
      return worker !== undefined;
    },
    async tidy(uids) {
      await Promise.all(uids.map((uid) => wantedOf(uid)?.tidy()));
    },
    restart(uid, containers) {
      const worker = wantedOf(uid);
      worker?.restart(containers);
      return worker !== undefined;
    },
    addEphemeral(uid, container) {
      const worker = wantedOf(uid);
      worker?.addEphemeral(container);
      return worker !== undefined;
    },
    probes: (uid) => workers.get(uid)?.probes() ?? [],
    retryImages(brings) {
      for (const worker of workers.values()) worker.retryImages(brings);
    },
    retryVolumes(uid) {
      if (uid !== undefined) workers.get(uid)?.retryVolumes();
      else for (const worker of workers.values()) worker.retryVolumes();
    },
    refreshVolumes: (uid) => workers.get(uid)?.refreshVolumes(),
    async recover() {
      const pods = await o.runtime.observe(undefined, leave);
      o.apply.devices?.restore(pods);
      const inRuntime = new Set(pods.map((p) => p.uid));
      const onDisk = (await o.storage.known()).filter((uid) => !inRuntime.has(uid));
      takeOver([...pods, ...onDisk.map((uid) => ({ uid, namespace: "", name: "" }))]);
      recovered = true;
      if (latest !== undefined) takeBackDevices(latest);
    },
    takeOver,
    async finished() {
      await aborted(leave);
      await Promise.all([...workers.values()].map((w) => w.finished));
    },
    known: () => new Set([...workers.keys(), ...found.keys()]),
  };
}
