/**
 * The end of a pod: stop containers, stop sandboxes, remove both, then what lies on the node's disk. One layer a
 * round, so that each is gone before the next is touched. Not for: stopping one container of a living pod.
 */
import type { Facts, Plan, Step } from "./plan.ts";
import { planSteps } from "./plan.ts";
import type { Wish } from "./wish.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "./observed.ts";

const defaultGraceSeconds = 30;

export const isAlive = (c: ObservedContainer): boolean => c.state === "running" || c.state === "unknown";

/** StopContainer for every container that may still run. */
export function stopAlive(
  containers: readonly ObservedContainer[],
  why: string,
  graceSeconds?: number,
): Step[] {
  return containers.filter(isAlive).map((c) => ({
    kind: "stopContainer",
    container: c.name,
    containerId: c.id,
    graceSeconds: graceSeconds ?? c.graceSeconds ?? defaultGraceSeconds,
    why,
  }));
}

/** StopPodSandbox for every sandbox that this worker has not stopped: it also gives back the network of dead ones. */
export const stopSandboxes = (sandboxes: readonly ObservedSandbox[], facts: Facts): Step[] =>
  sandboxes.filter((s) => s.ready || !facts.memory.stoppedSandboxes.has(s.id))
    .map((s) => ({ kind: "stopSandbox", sandboxId: s.id }));

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

export function planAbsent(wish: Extract<Wish, { kind: "absent" }>, o: ObservedPod, facts: Facts): Plan {
  const layers: (() => Step[])[] = [
    () => stopAlive(o.containers, "the pod is to be removed", wish.graceSeconds),
    () => stopSandboxes(o.sandboxes, facts),
    () => [...removeStrays(o), ...removeSandboxes(o.sandboxes, o, false)],
    () => o.hasDirectory ? [{ kind: "removePod" }] : [],
  ];
  for (const layer of layers) {
    const steps = layer();
    if (steps.length > 0) return planSteps("stopping", steps, facts);
  }
  return { steps: [], state: "gone" };
}
