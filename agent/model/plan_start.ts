/**
 * A pod that should run: from whatever is observed towards what the manifest says, changing only what must change.
 * Not for: the end of a pod (plan_stop.ts).
 */
import type { Container, Pod, PodSpec } from "./gen/v1.ts";
import type { Facts, Plan, Step } from "./plan.ts";
import { earliest, planSteps } from "./plan.ts";
import type { Wish } from "./wish.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "./observed.ts";
import { containerHash, sandboxHash } from "./hash.ts";
import { volumesHash } from "./volumes.ts";
import type { FailedProbe } from "./probe.ts";
import { isGivenUp, nextStart, restartPolicyOf, shouldRestart } from "./restart.ts";
import { isAlive, removeSandboxes, removeStrays, stopAlive, stopSandboxes } from "./plan_stop.ts";

type Present = Extract<Wish, { kind: "present" }>;

/** What one container of the manifest needs now. */
export type Need =
  | { kind: "nothing" }
  /** Ended, and its policy lets it rest. */
  | { kind: "done"; exitCode: number }
  | { kind: "start"; attempt: number; backOff: number; at: number }
  /** To be stopped; with `successor`, an attempt, only when all that can fail before it starts has succeeded. */
  | { kind: "replace"; observed: ObservedContainer; why: string; successor?: number }
  /** Runs, but a startup or liveness probe has failed. */
  | { kind: "fail"; observed: ObservedContainer; probe: FailedProbe; restarts: boolean }
  /** Runs, but its startup probe has not succeeded yet. */
  | { kind: "starting" }
  | { kind: "discard"; observed: ObservedContainer }
  | { kind: "update"; containerId: string };

/** Everything whose change makes a new pod of it: the sandbox, and the init containers, which run before all else. */
export function wantedSandboxHash(pod: Pod): string {
  const inits = (pod.spec?.initContainers ?? []).filter((c) => !isSidecar(c));
  return [sandboxHash(pod), ...inits.map((c) => containerHash(pod, c))].join(".");
}

export const newestOf = (o: ObservedPod, name: string): ObservedContainer | undefined =>
  o.containers.filter((c) => c.name === name).sort((a, b) => b.attempt - a.attempt)[0];

/**
 * Whether a start was cut off because the agent that asked for it died. That is nobody's exit, and no restart policy
 * judges it; a start that failed for this agent, however it failed, is another matter.
 */
export const wasCutOff = (c: ObservedContainer, facts: Facts): boolean =>
  isGivenUp(c) && !facts.memory.failures.has(`container:${c.name}`);

export function usableSandbox(pod: Pod, o: ObservedPod): ObservedSandbox | undefined {
  const newest = o.sandboxes[0];
  return newest?.ready === true && newest.hash === wantedSandboxHash(pod) ? newest : undefined;
}

/** A failed probe makes any exit a failure: what is told to end may well end with success. */
const exitCodeOf = (c: ObservedContainer, facts: Facts): number =>
  (facts.probes.get(c.id)?.failed === undefined ? 0 : 137) || (c.exitCode ?? 137);

function needOfRunning(
  pod: Pod,
  container: Container,
  isInit: boolean,
  c: ObservedContainer,
  facts: Facts,
): Need {
  const verdict = facts.probes.get(c.id);
  if (verdict?.failed !== undefined) {
    const restarts = restartPolicyOf(pod.spec!, container, isInit) !== "Never";
    return { kind: "fail", observed: c, probe: verdict.failed, restarts };
  }
  if (c.hash !== containerHash(pod, container)) {
    return { kind: "replace", observed: c, why: "its definition changed", successor: c.attempt + 1 };
  }
  const applied = facts.memory.resources.get(c.id) ?? JSON.stringify(c.resources ?? {});
  const wanted = JSON.stringify(container.resources ?? {});
  if (applied !== wanted) return { kind: "update", containerId: c.id };
  return verdict?.started === false ? { kind: "starting" } : { kind: "nothing" };
}

/** Decides for one container, given the sandbox it should live in (undefined: a new one is about to come). */
export function needOf(
  pod: Pod,
  container: Container,
  isInit: boolean,
  sandbox: ObservedSandbox | undefined,
  o: ObservedPod,
  facts: Facts,
): Need {
  const c = newestOf(o, container.name);
  const first = { kind: "start", backOff: 0, at: 0 } as const;
  if (c === undefined) return { ...first, attempt: 0 };
  const fresh = { ...first, attempt: c.attempt + 1 };
  const here = sandbox !== undefined && c.sandboxId === sandbox.id;
  const changed = c.hash !== containerHash(pod, container);
  if (c.state === "running") {
    return here
      ? needOfRunning(pod, container, isInit, c, facts)
      : { kind: "replace", observed: c, why: "its sandbox changed" };
  }
  if (c.state === "unknown") return { kind: "replace", observed: c, why: "the runtime lost sight of it" };
  // What a crash left between creation and start may lack its pipes after a restart of the runtime: it is made anew.
  if (c.state === "created") return { kind: "discard", observed: c };
  if (changed) return fresh;
  if (wasCutOff(c, facts)) return { kind: "discard", observed: c };
  const exitCode = exitCodeOf(c, facts);
  if (isInit && !isSidecar(container) && exitCode === 0 && !here) return fresh;
  if (!shouldRestart(restartPolicyOf(pod.spec!, container, isInit), exitCode)) {
    return { kind: "done", exitCode };
  }
  return here ? { kind: "start", attempt: c.attempt + 1, ...nextStart(c, facts.backOff, facts.now) } : fresh;
}

interface Assessment {
  /** The containers that may act now, with what they need. */
  needs: { container: Container; need: Need }[];
  /** Nothing will ever run again unless the manifest changes. */
  finished: boolean;
}

/** Init containers one by one, sidecars among them; then all others. */
export function assess(
  pod: Pod,
  sandbox: ObservedSandbox | undefined,
  o: ObservedPod,
  facts: Facts,
): Assessment {
  const spec = pod.spec!;
  const need = (container: Container, isInit: boolean) => ({
    container,
    need: needOf(pod, container, isInit, sandbox, o, facts),
  });
  const inits = (spec.initContainers ?? []).map((c) => need(c, true));
  const apps = spec.containers.map((c) => need(c, false));
  const initialized = sandbox !== undefined &&
    spec.containers.some((c) => newestOf(o, c.name)?.sandboxId === sandbox.id);
  const failedInit = !initialized && inits.some(({ need }) => need.kind === "done" && need.exitCode !== 0);
  const finished = failedInit || apps.every(({ need }) => need.kind === "done");
  if (initialized) return { needs: [...inits.filter((e) => isSidecar(e.container)), ...apps], finished };
  const open = inits.findIndex((e) => e.need.kind !== (isSidecar(e.container) ? "nothing" : "done"));
  return { needs: open < 0 ? [...inits, ...apps] : inits.slice(0, open + 1), finished };
}

const isSidecar = (container: Container) => container.restartPolicy === "Always";

export function planPresent(wish: Present, o: ObservedPod, facts: Facts): Plan {
  const { pod } = wish.pod;
  const sandbox = usableSandbox(pod, o);
  const same = o.sandboxes[0]?.hash === wantedSandboxHash(pod);
  const { needs, finished } = assess(pod, same ? o.sandboxes[0] : undefined, o, facts);
  if (finished && same) return planFinished(o, facts);
  if (sandbox === undefined) return planSandbox(wish, o, facts);
  return planContainers(wish, sandbox, needs, o, facts);
}

/** Containers keep their logs until the pod is removed; network and sidecars go now. */
function planFinished(o: ObservedPod, facts: Facts): Plan {
  const alive = stopAlive(o.containers, "the pod has finished");
  const steps = alive.length > 0 ? alive : stopSandboxes(o.sandboxes, facts);
  return planSteps("finished", steps, facts);
}

/**
 * The way to a new sandbox: while the old one works, it stays until the new one's images and volumes are there; then it
 * must be gone first, wholly when its definition changed.
 */
function planSandbox(wish: Present, o: ObservedPod, facts: Facts): Plan {
  const { pod } = wish.pod;
  const stale = o.sandboxes.filter((s) => s.hash !== wantedSandboxHash(pod));
  const layers: (() => Step[])[] = [
    () => o.containers.some(isAlive) ? prepareSteps(wish, facts) : [],
    () => stopAlive(o.containers, "the pod's sandbox is to be replaced"),
    () => stopSandboxes(o.sandboxes, facts),
    () => [...removeStrays(o), ...removeSandboxes(stale, o, true)],
  ];
  for (const layer of layers) {
    const steps = layer();
    if (steps.length > 0) return planSteps("restarting", steps, facts);
  }
  const attempt = o.sandboxes[0] === undefined ? 0 : o.sandboxes[0].attempt + 1;
  const { needs } = assess(pod, undefined, o, facts);
  const steps: Step[] = [
    ...volumeSteps(wish, facts),
    { kind: "runSandbox", attempt },
    ...imageSteps(needs, facts),
  ];
  return planSteps("starting", steps, facts);
}

const volumesReady = (wish: Present, facts: Facts) =>
  facts.memory.volumesHash === volumesHash(wish.pod.pod, wish.objects);

const volumeSteps = (wish: Present, facts: Facts): Step[] =>
  volumesReady(wish, facts) ? [] : [{ kind: "publishVolumes" }];

const imageFor = (container: Container, attempt: number, facts: Facts) => {
  const ready = facts.memory.images.get(container.name);
  return ready?.image === container.image && ready?.attempt === attempt ? ready : undefined;
};

const imageStep = (container: Container, attempt: number, facts: Facts): Step[] =>
  imageFor(container, attempt, facts) === undefined
    ? [{ kind: "ensureImage", container: container.name, attempt }]
    : [];

function imageSteps(needs: Assessment["needs"], facts: Facts): Step[] {
  return needs.flatMap(({ container, need }): Step[] => {
    if (need.kind === "replace" && need.successor !== undefined) {
      return imageStep(container, need.successor, facts);
    }
    return need.kind === "start" && need.at <= facts.now ? imageStep(container, need.attempt, facts) : [];
  });
}

/** What may fail and needs no sandbox, for a pod that is to begin anew. */
function prepareSteps(wish: Present, facts: Facts): Step[] {
  const spec = wish.pod.pod.spec!;
  const all = [...spec.initContainers ?? [], ...spec.containers];
  return [...volumeSteps(wish, facts), ...all.flatMap((c) => imageStep(c, 0, facts))];
}

function planContainers(
  wish: Present,
  sandbox: ObservedSandbox,
  needs: Assessment["needs"],
  o: ObservedPod,
  facts: Facts,
): Plan {
  const ready = volumesReady(wish, facts);
  const steps: Step[] = [
    ...volumeSteps(wish, facts),
    ...imageSteps(needs, facts),
    ...needs.flatMap(({ container, need }) => containerSteps(container, need, sandbox, ready, facts)),
    ...tidySteps(wish.pod.pod.spec!, sandbox, o),
  ];
  const waits = needs.map(({ need }) => need.kind === "start" && need.at > facts.now ? need.at : undefined);
  const settled = needs.every(({ need }) => need.kind === "nothing" || need.kind === "done");
  return planSteps(settled ? "running" : "starting", steps, facts, earliest(...waits));
}

function containerSteps(
  container: Container,
  need: Need,
  sandbox: ObservedSandbox,
  volumesAreReady: boolean,
  facts: Facts,
): Step[] {
  const name = container.name;
  switch (need.kind) {
    case "nothing":
    case "starting":
    case "done":
      return [];
    case "fail":
      return stopFailed(need);
    case "start": {
      const image = imageFor(container, need.attempt, facts);
      if (image === undefined || !volumesAreReady || need.at > facts.now) return [];
      const { attempt, backOff } = need;
      return [{
        kind: "runContainer",
        container: name,
        sandboxId: sandbox.id,
        attempt,
        backOff,
        imageRef: image.ref,
      }];
    }
    case "replace": {
      const { observed, why, successor } = need;
      const ready = successor === undefined ||
        (volumesAreReady && imageFor(container, successor, facts) !== undefined);
      return ready ? stopAlive([observed], why) : [];
    }
    case "discard":
      return [removeStep(need.observed)];
    case "update":
      return [{ kind: "updateResources", container: name, containerId: need.containerId }];
  }
}

function stopFailed({ observed, probe, restarts }: Extract<Need, { kind: "fail" }>): Step[] {
  const why = `failed ${probe.kind} probe: ${probe.message}`;
  return stopAlive([observed], why, probe.graceSeconds).map((step) =>
    step.kind === "stopContainer" ? { ...step, probe: { kind: probe.kind, restarts } } : step
  );
}

const removeStep = (c: ObservedContainer): Step => ({
  kind: "removeContainer",
  container: c.name,
  containerId: c.id,
  attempt: c.attempt,
});

/** Each container keeps its newest record and, for `logs --previous`, the one before; the rest goes. */
function tidySteps(spec: PodSpec, sandbox: ObservedSandbox, o: ObservedPod): Step[] {
  const names = new Set([...(spec.initContainers ?? []), ...spec.containers].map((c) => c.name));
  const strangers = o.containers.filter((c) => !names.has(c.name));
  const outdated = [...names].flatMap((name) => {
    const attempts = o.containers.filter((c) => c.name === name).sort((a, b) => b.attempt - a.attempt);
    const newestIsSettled = attempts[0]?.state === "running" || attempts[0]?.state === "exited";
    return newestIsSettled ? attempts.slice(2) : [];
  });
  const dead = [...strangers, ...outdated].filter((c) => !isAlive(c));
  const emptied = o.sandboxes.filter((s) =>
    s.id !== sandbox.id && !o.containers.some((c) => c.sandboxId === s.id && !dead.includes(c))
  );
  return [
    ...stopAlive(strangers, "it is no longer in the manifest"),
    ...dead.filter((c) => !emptied.some((s) => s.id === c.sandboxId)).map(removeStep),
    ...removeSandboxes(emptied, o, false),
  ];
}
