/**
 * How outcomes of steps change what a worker remembers. Pure. Not for: the runtime's state, which is observed anew.
 */
import type { Pod } from "./gen/v1.ts";
import type { Memory, PostStart, ReadyImage, Step } from "./plan.ts";
import { failureKey } from "./plan.ts";
import type { Reason } from "./errors.ts";
import type { ObservedPod } from "./observed.ts";
import { type AskedEnd, forgiven } from "./end.ts";
import { newestOf, runOf } from "./need.ts";
import type { Clocks } from "./spans.ts";
import { nextFailure } from "./restart.ts";
import { imageVolumes } from "./volumes.ts";

/** What became of one step, and how long it took. */
export type StepOutcome =
  & { step: Step; tookMs?: number }
  & ({ ok: true; result: StepResult } | { ok: false; reason: Reason; message: string });

/** What a step brought that the world will not tell. */
export type StepResult =
  | { kind: "nothing" }
  | { kind: "image"; image: ReadyImage }
  | { kind: "volumes"; hash: string; stale?: boolean }
  | { kind: "resources"; given: readonly [id: string, text: string][] }
  | { kind: "cpus"; given: readonly { id: string; cpus: string }[] }
  /** A preStop hook has used up the grace, and its container has not been told to end yet. */
  | { kind: "graceOver" }
  /** Of a container that was started, or whose hook was run; undefined: there is none, or it has succeeded. */
  | { kind: "postStart"; containerId: string; hook: PostStart | undefined };

export const nothing: StepResult = { kind: "nothing" };

export function remember(memory: Memory, outcomes: readonly StepOutcome[], { now, steady }: Clocks): Memory {
  const failures = new Map(memory.failures);
  const images = new Map(memory.images);
  const stoppedSandboxes = new Set(memory.stoppedSandboxes);
  const resources = new Map(memory.resources);
  const moved = new Map(memory.cpus);
  let { volumesHash, staleVolumes, cleared, end, endReported, asked, firstSeen } = memory;
  for (const o of outcomes) {
    const key = failureKey(o.step);
    if (!o.ok) {
      if (o.reason !== "Aborted") {
        failures.set(key, nextFailure(failures.get(key), steady, o.reason, o.message));
      }
      // Whatever of the pod is left on record, it is not the end of the one that may come back.
      if (o.step.kind === "removePod") end = forgiven(end);
      if (o.step.kind === "runContainer") images.delete(o.step.container);
      if (o.step.kind === "updateCpus") { for (const { id } of o.step.containers) moved.set(id, ""); }
      continue;
    }
    failures.delete(key);
    if (o.result.kind === "image" && o.step.kind === "ensureImage") {
      images.set(o.step.container, o.result.image);
    }
    if (o.result.kind === "volumes") {
      [volumesHash, staleVolumes, cleared] = [o.result.hash, o.result.stale === true, false];
    }
    if (o.step.kind === "sweepVolumes") staleVolumes = false;
    if (o.step.kind === "clearVolumes") [volumesHash, cleared] = [undefined, true];
    if (o.result.kind === "resources") { for (const [id, text] of o.result.given) resources.set(id, text); }
    if (o.result.kind === "cpus") { for (const { id, cpus } of o.result.given) moved.set(id, cpus); }
    if (o.step.kind === "stopSandbox") stoppedSandboxes.add(o.step.sandboxId);
    if (o.step.kind === "removeSandbox") {
      stoppedSandboxes.delete(o.step.sandboxId);
      resources.delete(o.step.sandboxId);
    }
    if (o.step.kind === "removeContainer") {
      resources.delete(o.step.containerId);
      moved.delete(o.step.containerId);
    }
    if (o.step.kind === "keepEnd") {
      [end, asked] = [o.step.end, { ...asked, end: undefined }];
      if (end === undefined) firstSeen = now;
    }
    if (o.step.kind === "removePod") [volumesHash, end] = [undefined, undefined];
    if (o.step.kind === "reportEnd") endReported = true;
  }
  const kept = {
    failures,
    images,
    stoppedSandboxes,
    resources,
    cpus: moved,
    volumesHash,
    staleVolumes,
    cleared,
    end,
    endReported,
    asked,
    firstSeen,
  };
  const next = { ...memory, ...kept };
  return { ...next, ...hooksAfter(memory, outcomes), ...stopsAfter(next, outcomes) };
}

function hooksAfter(
  memory: Memory,
  outcomes: readonly StepOutcome[],
): Pick<Memory, "postStart" | "preStopped"> {
  const postStart = new Map(memory.postStart);
  const preStopped = new Set(memory.preStopped);
  for (const o of outcomes) {
    const { step } = o;
    if (o.ok && o.result.kind === "postStart") {
      if (o.result.hook === undefined) postStart.delete(o.result.containerId);
      else postStart.set(o.result.containerId, o.result.hook);
    }
    if (step.kind === "preStop" || (step.kind === "stopContainer" && step.preStop !== undefined)) {
      preStopped.add(step.containerId);
    }
    if (step.kind === "removeContainer") {
      postStart.delete(step.containerId);
      preStopped.delete(step.containerId);
    }
  }
  return { postStart, preStopped };
}

/**
 * The grace that the stops of a pod have used; and since a stop that was interrupted by a newer wish has done its work in
 * part, its container may not stay, nor be judged by its exit; nor may those whose hooks were begun with it.
 */
function stopsAfter(memory: Memory, outcomes: readonly StepOutcome[]): Pick<Memory, "graceUsed" | "asked"> {
  const stops = outcomes.filter(({ step }) =>
    step.kind === "preStop" || (step.kind === "stopContainer" && step.ofPod === true)
  );
  const cut = stops.flatMap((o) => !o.ok && o.reason === "Aborted" ? [containerIdOf(o.step)] : []);
  const begun = outcomes.some(({ step, ok }) =>
    ok && (step.kind === "runContainer" || step.kind === "stopSandbox")
  );
  const isOver = stops.some((o) => o.ok && o.result.kind === "graceOver");
  const used = isOver ? Infinity : memory.graceUsed + Math.max(0, ...stops.map((o) => o.tookMs ?? 0));
  const replaced = outcomes.flatMap(({ step }) =>
    step.kind === "stopContainer" && step.replaced === true ? [step.containerId] : []
  );
  const hooked = cut.length === 0
    ? []
    : stops.flatMap(({ step }) => step.kind === "preStop" ? [step.containerId] : []);
  const again = [...cut, ...hooked, ...replaced];
  const restart = again.length === 0 ? memory.asked.restart : new Set([...memory.asked.restart, ...again]);
  return { graceUsed: begun ? 0 : used, asked: { ...memory.asked, restart } };
}

const containerIdOf = (step: Step): string => "containerId" in step ? step.containerId : "";

/** Hooks that are on record as pending; what has become of one since then is known better. */
export const learnHooks = (memory: Memory, onRecord: Memory["postStart"]): Memory => ({
  ...memory,
  postStart: new Map([...onRecord, ...memory.postStart]),
});

/** A new wish deserves a new try: failures are forgotten, and the end that was asked for; the rest stays true. */
export const forgive = (memory: Memory): Memory => ({
  ...memory,
  failures: new Map(),
  graceUsed: 0,
  asked: { ...memory.asked, end: undefined },
});

/** The pod is to be ended as a whole. */
export const askEnd = (memory: Memory, end: AskedEnd): Memory => ({
  ...memory,
  asked: { ...memory.asked, end },
});

/** What the pod has left with the runtime is to go, once it has ended for good. */
export const askTidy = (memory: Memory): Memory => ({ ...memory, asked: { ...memory.asked, tidy: true } });

/**
 * These containers, or all, are to be stopped and started again whatever their policies say. A pod that was ended as a
 * whole begins a new life.
 */
export function askRestart(memory: Memory, o: ObservedPod, names: readonly string[] | undefined): Memory {
  const { asked, end } = forgive(memory);
  const begun = { ...forgive(memory), end: forgiven(end) };
  if (names === undefined) return { ...begun, asked: { ...asked, run: runOf(o) + 1 } };
  const ids = names.flatMap((name) => newestOf(o, name)?.id ?? []);
  return { ...begun, asked: { ...asked, restart: new Set([...asked.restart, ...ids]) } };
}

/** As `forgive`, for what is done with the pod's volumes and their removal: who has them is there again. */
export function forgiveVolumes(memory: Memory): Memory {
  const failures = new Map(memory.failures);
  for (const kind of ["publishVolumes", "sweepVolumes", "removePod"] as const) {
    failures.delete(failureKey({ kind }));
  }
  return { ...memory, failures };
}

/** As `forgive`, for pulls of the images that are here now. */
export function forgiveImages(memory: Memory, pod: Pod, here: (image: string) => boolean): Memory {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const failures = new Map(memory.failures);
  for (const container of containers) {
    const images = [container.image, ...imageVolumes(pod, container).map((v) => v.image.reference)];
    if (!images.some((image) => here(image ?? ""))) continue;
    failures.delete(failureKey({ kind: "ensureImage", container: container.name, attempt: 0 }));
  }
  return { ...memory, failures };
}
