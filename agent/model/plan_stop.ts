/**
 * How containers are stopped: each with its preStop hook and its grace; those of a pod that ends in order, regular ones
 * first, then sidecars, the last one first, all within the pod's grace. And the end of a pod: stop containers, stop
 * sandboxes, remove both, then what lies on the node's disk, one layer a round, so that each is gone before the next is
 * touched. Source: the kubelet's killContainer and termination order (KEP-753). Not for: when to stop.
 */
import type { Pod } from "./gen/v1.ts";
import type { Facts, Plan, Step } from "./plan.ts";
import { failureKey, planSteps } from "./plan.ts";
import type { Wish } from "./wish.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "./observed.ts";
import { preStopOf } from "./hook.ts";
import { isSidecar } from "./restart.ts";

const defaultGraceSeconds = 30;

export const isAlive = (c: ObservedContainer): boolean => c.state === "running" || c.state === "unknown";

/** What a stop depends on besides the container. */
export interface Stopping {
  /** The newest manifest; undefined where nobody has it any more. */
  pod: Pod | undefined;
  why: string;
  facts: Facts;
  /** In seconds; stands instead of the pod's own grace. */
  grace?: number | undefined;
}

const graceOf = (c: ObservedContainer, { pod, grace }: Stopping): number =>
  grace ?? pod?.spec?.terminationGracePeriodSeconds ?? c.graceSeconds ?? defaultGraceSeconds;

/** The hook that is to run now: once in the life of an agent, and only where there is time for it. */
const dueHook = (c: ObservedContainer, grace: number, { pod, facts }: Stopping) =>
  c.state === "running" && grace > 0 && !facts.memory.preStopped.has(c.id) ? preStopOf(pod, c) : undefined;

/** StopContainer for every container that may still run, each on its own. */
export function stopAlive(containers: readonly ObservedContainer[], s: Stopping): Stop[] {
  return containers.filter(isAlive).map((c) => stopOne(c, graceOf(c, s), s));
}

type Stop = Extract<Step, { kind: "stopContainer" }>;

function stopOne(c: ObservedContainer, graceSeconds: number, s: Stopping): Stop {
  const hook = dueHook(c, graceSeconds, s);
  return {
    kind: "stopContainer",
    container: c.name,
    containerId: c.id,
    graceSeconds,
    why: s.why,
    ...(hook === undefined ? {} : { preStop: hook }),
  };
}

/** Place among the sidecars, as the newest manifest says, or what the container itself bears; undefined for all others. */
function rankOf(c: ObservedContainer, pod: Pod | undefined): number | undefined {
  const { initContainers = [], containers = [] } = pod?.spec ?? { containers: [] };
  const at = initContainers.findIndex((i) => i.name === c.name);
  if (at >= 0) return isSidecar(initContainers[at]!) ? at : undefined;
  return containers.some((k) => k.name === c.name) ? undefined : c.sidecar;
}

/**
 * The next to be stopped of a pod that ends. Those that wait for their turn run their preStop hooks meanwhile; once the
 * pod's grace is used up, by hooks or by stops, nobody waits any more.
 */
export function stopInOrder(o: ObservedPod, s: Stopping): Step[] {
  const alive = o.containers.filter(isAlive);
  const left = (c: ObservedContainer) =>
    Math.max(0, graceOf(c, s) - Math.floor(s.facts.memory.graceUsed / 1000));
  const ranks = alive.map((c) => rankOf(c, s.pod) ?? Infinity);
  const last = Math.max(...ranks);
  const inTurn = (c: ObservedContainer, i: number) =>
    ranks[i] === last || (s.facts.memory.graceUsed > 0 && left(c) === 0);
  return alive.flatMap((c, i): Step[] => {
    if (inTurn(c, i)) return [{ ...stopOne(c, left(c), s), ofPod: true }];
    const hook = dueHook(c, left(c), s);
    if (hook === undefined) return [];
    const { name, id } = c;
    return [{ kind: "preStop", container: name, containerId: id, graceSeconds: left(c), why: s.why, hook }];
  });
}

/** So often a plugin may fail to detach before the sandbox ends all the same: what it leaves is collected later. */
const detachTries = 3;

const hasNetworks = ({ id, networks }: ObservedSandbox, { memory }: Facts): boolean =>
  networks?.some((n) => !n.isDefault) === true &&
  (memory.failures.get(failureKey({ kind: "detachNetworks", sandboxId: id }))?.count ?? 0) < detachTries;

/**
 * StopPodSandbox for every sandbox that this worker has not stopped: it also gives back the network of dead ones. Further
 * networks are left before, while their interfaces are still there.
 */
export const stopSandboxes = (sandboxes: readonly ObservedSandbox[], facts: Facts): Step[] =>
  sandboxes.flatMap((s): Step[] => {
    if (hasNetworks(s, facts)) return [{ kind: "detachNetworks", sandboxId: s.id }];
    const due = s.ready || !facts.memory.stoppedSandboxes.has(s.id);
    return due ? [{ kind: "stopSandbox", sandboxId: s.id }] : [];
  });

/** Removes sandboxes with all that is in them. */
export const removeSandboxes = (
  sandboxes: readonly ObservedSandbox[],
  o: ObservedPod,
  logs: boolean,
): Step[] =>
  sandboxes.map((s) => ({
    kind: "removeSandbox",
    sandboxId: s.id,
    containerIds: o.containers.filter((c) => c.sandboxId === s.id).map((c) => c.id),
    logs,
  }));

/** Containers whose sandbox the runtime no longer lists. */
export const removeStrays = (o: ObservedPod): Step[] =>
  o.containers.filter((c) => !o.sandboxes.some((s) => s.id === c.sandboxId)).map((c) => ({
    kind: "removeContainer",
    container: c.name,
    containerId: c.id,
    attempt: c.attempt,
  }));

/** The first of several groups of steps that has any; each is done before the next begins. */
export const firstLayer = (layers: readonly (() => Step[])[]): Step[] => {
  for (const layer of layers) {
    const steps = layer();
    if (steps.length > 0) return steps;
  }
  return [];
};

export function planAbsent(wish: Extract<Wish, { kind: "absent" }>, o: ObservedPod, facts: Facts): Plan {
  const { pod, graceSeconds: grace, awaited = false } = wish;
  const unreported = awaited && !facts.memory.endReported && o.containers.length > 0;
  const steps = firstLayer([
    () => stopInOrder(o, { pod, why: "the pod is to be removed", facts, grace }),
    () => stopSandboxes(o.sandboxes, facts),
    () => unreported ? [{ kind: "reportEnd" }] : [],
    () => [...removeStrays(o), ...removeSandboxes(o.sandboxes, o, false)],
    () => o.hasDirectory ? [{ kind: "removePod" }] : [],
  ]);
  return steps.length > 0 ? planSteps("stopping", steps, facts) : { steps, state: "gone" };
}
