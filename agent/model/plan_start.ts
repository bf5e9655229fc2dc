/**
 * A pod that should run: from whatever is observed towards what the manifest says, changing only what must change.
 * Not for: what one container needs (need.ts), the end of a pod (plan_stop.ts).
 */
import type { Container, Pod } from "./gen/v1.ts";
import { isOfApi, isOverAtApi } from "./api_pod.ts";
import type { Facts, Plan, Step } from "./plan.ts";
import { earliest, planSteps } from "./plan.ts";
import type { Wish } from "./wish.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "./observed.ts";
import { type AskedEnd, deadlineExceeded, deadlineOf, endOf, givesBack, keptEnd, startOf } from "./end.ts";
import {
  assess,
  type Assessment,
  fits,
  type Need,
  newestOf,
  sameSandbox,
  triggerOf,
  usableSandbox,
  wantedRun,
} from "./need.ts";
import { lacksNetworks } from "./networks.ts";
import { isPodOutdated } from "./resize.ts";
import { runtimeHandlerOf } from "./runtime_class.ts";
import { volumesHash } from "./volumes_hash.ts";
import { ephemeralNeeds } from "./ephemeral.ts";
import {
  firstLayer,
  isAlive,
  removeSandboxes,
  removeStrays,
  stopAlive,
  stopInOrder,
  type Stopping,
  stopSandboxes,
} from "./plan_stop.ts";

type Present = Extract<Wish, { kind: "present" }>;

export function planPresent(wish: Present, o: ObservedPod, facts: Facts): Plan {
  const { pod } = wish.pod;
  const { end, asked } = facts.memory;
  const ended = endOf(pod, facts);
  const stopping = (why: string): Stopping => ({ pod, why, facts, grace: ended?.grace });
  const clear = () => ended !== undefined && givesBack(ended) ? clearSteps(facts) : [];
  if (isOverAtApi(pod)) {
    return planFinished(o, stopping("the pod has ended"), [
      clear,
      () => asked.tidy ? removeAll(o, false) : [],
    ]);
  }
  if (ended !== undefined && end === undefined && isOfApi(pod)) {
    // What the API server was told of an end holds for good, whatever becomes of its reason.
    return planSteps("stopping", [{ kind: "keepEnd", end: keptEnd(ended, pod), told: true }], facts);
  }
  if (ended !== undefined) {
    return planFinished(o, stopping(`the pod has been ended: ${ended.reason}`), [clear]);
  }
  if (end !== undefined) return planAnew(o, stopping("the pod begins anew"));
  const same = sameSandbox(pod, o);
  const { needs, finished } = assess(pod, same, o, facts);
  if (finished && (same !== undefined || isOfApi(pod))) {
    return planFinished(o, stopping("the pod has finished"));
  }
  const deadline = deadlineOf(pod, o, facts);
  const due: AskedEnd | undefined = asked.end ??
    (deadline !== undefined && deadline <= facts.now ? deadlineExceeded : undefined);
  if (due !== undefined) {
    const step: Step = { kind: "keepEnd", end: keptEnd(due, pod), ...(due.told && { told: due.told }) };
    return planSteps("stopping", [step], facts);
  }
  return lookBy(earliest(deadline, facts.held?.until), planAlive(wish, needs, o, facts));
}

/** Plans again at this time at the latest. */
function lookBy(time: number | undefined, { lookAgain, ...plan }: Plan): Plan {
  const again = earliest(lookAgain, time);
  return again === undefined ? plan : { ...plan, lookAgain: again };
}

function planAlive(wish: Present, needs: Assessment["needs"], o: ObservedPod, facts: Facts): Plan {
  const { pod } = wish.pod;
  const sandbox = usableSandbox(pod, o);
  if (sandbox === undefined) return planSandbox(wish, o, facts);
  const run = wantedRun(pod, o, facts);
  const old = o.containers.filter((c) => isAlive(c) && (c.run ?? 0) < run && c.ephemeral === undefined);
  if (old.length > 0) return planRestart(wish, { ...o, containers: old }, o, facts);
  return planContainers(wish, sandbox, [...needs, ...ephemeralNeeds(pod, o)], o, facts);
}

const removeAll = (o: ObservedPod, logs: boolean): Step[] => [
  ...removeStrays(o),
  ...removeSandboxes(o.sandboxes, o, logs),
];

const clearSteps = ({ memory }: Facts): Step[] => memory.cleared ? [] : [{ kind: "clearVolumes" }];

/** A pod that had been ended begins a new life: nothing of the old one stays. */
function planAnew(o: ObservedPod, s: Stopping): Plan {
  const steps = firstLayer([
    () => stopInOrder(o, s),
    () => stopSandboxes(o.sandboxes, s.facts),
    () => removeAll(o, true),
    () => clearSteps(s.facts),
    () => [{ kind: "keepEnd", end: undefined }],
  ]);
  return planSteps("restarting", steps, s.facts);
}

/** Containers keep their logs until the pod is removed; network and sidecars go now. */
function planFinished(o: ObservedPod, s: Stopping, last: readonly (() => Step[])[] = []): Plan {
  const steps = firstLayer([() => stopInOrder(o, s), () => stopSandboxes(o.sandboxes, s.facts), ...last]);
  return planSteps("finished", steps, s.facts);
}

/**
 * The way to a new sandbox: while the old one works, it stays until the new one's images and volumes are there; then it
 * must be gone first, wholly when its definition changed.
 */
function planSandbox(wish: Present, o: ObservedPod, facts: Facts): Plan {
  const { pod } = wish.pod;
  const stale = o.sandboxes.filter((s) => !fits(s, pod));
  const alive = o.containers.some(isAlive);
  if (alive && runtimeHandlerOf(pod) === undefined) return planSteps("running", [], facts);
  if (facts.held !== undefined) return planSteps(alive ? "running" : "starting", [], facts);
  const before = firstLayer([
    () => alive ? prepareSteps(wish, () => 0, facts) : [],
    () => stopInOrder(o, { pod, why: "the pod's sandbox is to be replaced", facts }),
    () => stopSandboxes(o.sandboxes, facts),
    () => [...removeStrays(o), ...removeSandboxes(stale, o, true)],
  ]);
  if (before.length > 0) return planSteps("restarting", before, facts);
  const attempt = o.sandboxes[0] === undefined ? 0 : o.sandboxes[0].attempt + 1;
  const { needs } = assess(pod, undefined, o, facts);
  const steps: Step[] = [
    ...volumeSteps(wish, facts),
    { kind: "runSandbox", attempt, since: startOf(pod, o, facts) },
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

/** What may fail and needs no sandbox, for a pod whose containers all are to start again. */
function prepareSteps(wish: Present, attemptOf: (name: string) => number, facts: Facts): Step[] {
  const spec = wish.pod.pod.spec!;
  const all = [...spec.initContainers ?? [], ...spec.containers];
  return [...volumeSteps(wish, facts), ...all.flatMap((c) => imageStep(c, attemptOf(c.name), facts))];
}

/**
 * The pod as a whole starts again in its sandbox. Where somebody asked for it, nothing is stopped before all that may
 * fail has succeeded; where a rule says so, all ends at once, without order, hooks and grace.
 */
function planRestart(wish: Present, old: ObservedPod, o: ObservedPod, facts: Facts): Plan {
  const { pod } = wish.pod;
  if (facts.held !== undefined) return planSteps("running", [], facts);
  const trigger = triggerOf(pod, o, facts);
  if (trigger !== undefined) {
    const why = `${trigger.name} ended with exit code ${trigger.exitCode}: all containers start again`;
    return planSteps("restarting", stopAlive(old.containers, { pod, why, facts, grace: 0 }), facts);
  }
  const next = (name: string) => (newestOf(o, name)?.attempt ?? -1) + 1;
  const steps = firstLayer([
    () => prepareSteps(wish, next, facts),
    () => stopInOrder(old, { pod, why: "a restart was asked for", facts }),
  ]);
  return planSteps("restarting", steps, facts);
}

/** Whether it would be started, now or after what runs has made room, while its devices are not there. */
const isHeld = ({ name }: Container, need: Need, { held }: Facts): boolean =>
  held?.containers.has(name) === true && (need.kind === "start" || need.kind === "replace");

function planContainers(
  wish: Present,
  sandbox: ObservedSandbox,
  needs: Assessment["needs"],
  o: ObservedPod,
  facts: Facts,
): Plan {
  const { pod } = wish.pod;
  if (lacksNetworks(pod, sandbox, o)) {
    const attach: Step = { kind: "attachNetworks", sandboxId: sandbox.id };
    return planSteps("starting", [...volumeSteps(wish, facts), attach, ...imageSteps(needs, facts)], facts);
  }
  const ready = volumesReady(wish, facts);
  const able = needs.filter(({ container, need }) => !isHeld(container, need, facts));
  const acts = (each: Assessment["needs"][number]) => containerSteps(pod, each, sandbox, ready, facts);
  const steps: Step[] = [
    ...volumeSteps(wish, facts),
    ...imageSteps(able, facts),
    ...oneAfterTheOther(able, acts),
    ...resizeSteps(pod, needs, sandbox, facts),
    ...cpuSteps(pod, sandbox, o, facts),
    ...tidySteps(pod, sandbox, o, facts),
  ];
  const waits = needs.map(({ need }) => need.kind === "start" && need.at > facts.now ? need.at : undefined);
  const settled = needs.every(({ need }) => need.kind === "nothing" || need.kind === "done");
  // Only now: until it is replaced a container may use a volume that the pod no longer has.
  if (settled && steps.length === 0 && facts.memory.staleVolumes) steps.push({ kind: "sweepVolumes" });
  return planSteps(settled ? "running" : "starting", steps, facts, earliest(...waits));
}

/** All containers at once, since the pod makes room for them together. */
function resizeSteps(pod: Pod, needs: Assessment["needs"], sandbox: ObservedSandbox, facts: Facts): Step[] {
  const containers = needs.flatMap(({ container: { name }, need }) =>
    need.kind === "update" ? [{ name, id: need.containerId }] : []
  );
  const due = containers.length > 0 || isPodOutdated(pod, sandbox, facts.memory);
  return due ? [{ kind: "updateResources", sandboxId: sandbox.id, containers }] : [];
}

/** What runs elsewhere than where it should is moved. */
function cpuSteps(pod: Pod, sandbox: ObservedSandbox, o: ObservedPod, { cpus, memory }: Facts): Step[] {
  if (cpus === undefined) return [];
  const spec = pod.spec!;
  const all = [...spec.initContainers ?? [], ...spec.containers, ...spec.ephemeralContainers ?? []];
  const names = new Set(all.map((c) => c.name));
  const containers = o.containers.flatMap(({ id, name, state, sandboxId, ...c }) => {
    const wanted = cpus.own.get(name) ?? cpus.shared;
    const runs = state === "running" && sandboxId === sandbox.id && names.has(name);
    const isThere = wanted === (memory.cpus.get(id) ?? c.cpus ?? cpus.all);
    return runs && !isThere ? [{ name, id, cpus: wanted }] : [];
  });
  return containers.length === 0 ? [] : [{ kind: "updateCpus", containers }];
}

/** A container with a postStart hook holds the start of those after it until the hook has run. */
function oneAfterTheOther(
  needs: Assessment["needs"],
  acts: (each: Assessment["needs"][number]) => Step[],
): Step[] {
  let held = false;
  return needs.flatMap((each) => {
    const { container, need } = each;
    if (need.kind === "start" && held) return [];
    const steps = acts(each);
    const hooked = container.lifecycle?.postStart !== undefined;
    held ||= need.kind === "postStart" || (need.kind === "start" && hooked && steps.length > 0);
    return steps;
  });
}

function containerSteps(
  pod: Pod,
  { container, need }: Assessment["needs"][number],
  sandbox: ObservedSandbox,
  volumesAreReady: boolean,
  facts: Facts,
): Step[] {
  const name = container.name;
  switch (need.kind) {
    case "nothing":
    case "starting":
    case "done":
    case "update":
      return [];
    case "fail":
      return stopFailed(pod, need, facts);
    case "postStart":
      return [{ kind: "postStart", container: name, containerId: need.observed.id, hook: need.hook }];
    case "start": {
      const image = imageFor(container, need.attempt, facts);
      if (image === undefined || !volumesAreReady || need.at > facts.now) return [];
      const { attempt, backOff, run } = need;
      return [{
        kind: "runContainer",
        container: name,
        sandboxId: sandbox.id,
        attempt,
        backOff,
        imageRef: image.ref,
        ...(run === 0 ? {} : { run }),
      }];
    }
    case "replace": {
      const { observed, why, successor } = need;
      const ready = successor === undefined ||
        (volumesAreReady && imageFor(container, successor, facts) !== undefined);
      const stops = ready ? stopAlive([observed], { pod, why, facts }) : [];
      return stops.map((step) => isOfApi(pod) ? { ...step, replaced: true } : step);
    }
    case "discard":
      return [removeStep(need.observed)];
  }
}

function stopFailed(pod: Pod, need: Extract<Need, { kind: "fail" }>, facts: Facts): Step[] {
  const { observed, why, probe, restarts } = need;
  const steps = stopAlive([observed], { pod, why, facts, grace: probe?.graceSeconds });
  return steps.map((step) =>
    step.kind === "stopContainer" && probe !== undefined
      ? { ...step, probe: { kind: probe.kind, restarts } }
      : step
  );
}

const removeStep = (c: ObservedContainer): Step => ({
  kind: "removeContainer",
  container: c.name,
  containerId: c.id,
  attempt: c.attempt,
});

/** Each container keeps its newest record and, for `logs --previous`, the one before; the rest goes. */
function tidySteps(pod: Pod, sandbox: ObservedSandbox, o: ObservedPod, facts: Facts): Step[] {
  const spec = pod.spec!;
  const names = new Set([...(spec.initContainers ?? []), ...spec.containers].map((c) => c.name));
  const strangers = o.containers.filter((c) =>
    !names.has(c.name) && (c.ephemeral === undefined || c.sandboxId !== sandbox.id)
  );
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
    ...stopAlive(strangers, { pod, why: "it is no longer in the manifest", facts }),
    ...dead.filter((c) => !emptied.some((s) => s.id === c.sandboxId)).map(removeStep),
    ...removeSandboxes(emptied, o, false),
  ];
}
