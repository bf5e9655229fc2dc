/**
 * A runtime for one pod, on values only: applies steps, lets containers end, breaks on request. For tests of the
 * planner. Not for: ports (tests/fakes/runtime.ts), what must hold at each step (order_rules.ts).
 */
import type { Pod } from "../../agent/model/gen/v1.ts";
import { noObjects, type Objects } from "../../agent/model/wish.ts";
import { emptyObservation, type ObservedContainer, type ObservedPod } from "../../agent/model/observed.ts";
import { emptyMemory, type Memory, type Step } from "../../agent/model/plan.ts";
import {
  forgive,
  learnHooks,
  nothing,
  remember,
  type StepOutcome,
  type StepResult,
} from "../../agent/model/memory.ts";
import type { KeptEnd } from "../../agent/model/end.ts";
import type { Verdict } from "../../agent/model/probe.ts";
import { isSidecar } from "../../agent/model/restart.ts";
import { containerHash } from "../../agent/model/hash.ts";
import { volumesHash } from "../../agent/model/volumes_hash.ts";
import { networksOf } from "../../agent/model/networks.ts";
import { attachedNetwork } from "../fakes/networks.ts";
import { wantedSandboxHash } from "../../agent/model/need.ts";
import { checkStep } from "./order_rules.ts";

/** How likely it is, at each step, that … */
export interface Faults {
  /** … the step fails, having had its effect or not. */
  failing: number;
  /** … the agent dies after it. */
  crashing: number;
  /** … a stop is interrupted by a newer wish. */
  interrupting: number;
  /** … some running container ends before it. */
  dying: number;
  /** … a hook fails. */
  hooks: number;
}

export const noFaults: Faults = { failing: 0, crashing: 0, interrupting: 0, dying: 0, hooks: 0 };

export interface Simulation {
  now: number;
  pod: ObservedPod;
  /** What it was when the plan was made. */
  seen: ObservedPod;
  memory: Memory;
  probes: Map<string, Verdict>;
  /** What outlives the agent. `postStart`: container names with the id whose hook is pending. */
  notes: { end: KeptEnd | undefined; postStart: Map<string, string> };
  /** Containers whose preStop hook has been begun in the life of this agent. */
  begun: Set<string>;
  /** Containers whose postStart hook has succeeded, to an agent's knowledge. */
  greeted: Set<string>;
  faults: Faults;
  violations: string[];
}

export const emptyObjects: Objects = noObjects;

export const createSimulation = (uid: string): Simulation => ({
  now: 1_700_000_000_000,
  pod: emptyObservation(uid, "default", "p"),
  seen: emptyObservation(uid, "default", "p"),
  memory: { ...emptyMemory, firstSeen: 1_700_000_000_000 },
  probes: new Map(),
  notes: { end: undefined, postStart: new Map() },
  begun: new Set(),
  greeted: new Set(),
  faults: noFaults,
  violations: [],
});

const hooksOnRecord = (s: Simulation): Memory["postStart"] => {
  const pending = s.pod.containers.filter((c) =>
    c.state === "running" && s.notes.postStart.get(c.name) === c.id
  );
  return new Map(pending.map((c) => [c.id, { kind: "pending" }]));
};

/** The agent dies; the next one knows what is on record. */
export function crash(s: Simulation) {
  s.memory = {
    ...emptyMemory,
    firstSeen: s.now,
    end: s.notes.end,
    postStart: hooksOnRecord(s),
  };
  s.begun.clear();
}

/** Applies steps in order, with faults, and remembers the outcomes as the worker does. */
export function applySimulated(
  s: Simulation,
  pod: Pod | undefined,
  steps: Step[],
  random: () => number,
) {
  s.seen = structuredClone(s.pod);
  const outcomes: StepOutcome[] = [];
  const happens = (chance: number) => chance > 0 && random() < chance;
  for (const step of steps) {
    if (happens(s.faults.dying)) endSomeone(s, random);
    if ("containerId" in step && findContainer(s, step.containerId) === undefined) continue;
    const tookMs = Math.floor(random() * 15_000);
    const stops = step.kind === "stopContainer" || step.kind === "preStop";
    if (stops && happens(s.faults.interrupting)) {
      beginHook(s, step);
      outcomes.push({ step, tookMs, ok: false, reason: "Aborted", message: "simulated" });
    } else if (happens(s.faults.failing)) {
      // A file is written wholly or not at all.
      if (step.kind !== "keepEnd" && random() < 0.3) effect(s, pod, step, random);
      else beginHook(s, step);
      outcomes.push({ step, tookMs, ok: false, reason: "Unknown", message: "simulated" });
    } else {
      const result = effect(s, pod, step, random);
      if (step.kind === "postStart" && s.notes.postStart.get(step.container) !== step.containerId) {
        s.greeted.add(step.containerId);
      }
      outcomes.push({ step, tookMs, ok: true, result });
    }
    if (happens(s.faults.crashing)) return crash(s);
  }
  s.memory = remember(s.memory, outcomes, { now: s.now, steady: s.now });
  const doubtful = outcomes.some((o) => !o.ok && o.step.kind === "runContainer");
  if (doubtful) s.memory = learnHooks(s.memory, hooksOnRecord(s));
  if (outcomes.some((o) => !o.ok && o.reason === "Aborted")) s.memory = forgive(s.memory);
}

const findSandbox = (s: Simulation, id: string) => s.pod.sandboxes.find((b) => b.id === id);

const findContainer = (s: Simulation, id: string) => s.pod.containers.find((c) => c.id === id);

function endSomeone(s: Simulation, random: () => number) {
  const running = s.pod.containers.filter((c) => c.state === "running");
  const victim = running[Math.floor(random() * running.length)];
  if (victim !== undefined) end(s, victim, [0, 1, 3, 137][Math.floor(random() * 4)]!);
}

export function end(s: Simulation, c: ObservedContainer, exitCode: number) {
  Object.assign(c, { state: "exited", exitCode, finishedAt: s.now });
}

/** The sandbox dies, and with it everything inside. */
export function loseSandbox(s: Simulation, id: string) {
  for (const box of s.pod.sandboxes) if (box.id === id) box.ready = false;
  for (const c of s.pod.containers) if (c.sandboxId === id && c.state === "running") end(s, c, 137);
}

function beginHook(s: Simulation, step: Step) {
  if (step.kind === "preStop" || (step.kind === "stopContainer" && step.preStop)) {
    s.begun.add(step.containerId);
  }
}

const specOf = (pod: Pod, name: string) =>
  [...pod.spec!.initContainers ?? [], ...pod.spec!.containers].find((c) => c.name === name)!;

function effect(
  s: Simulation,
  pod: Pod | undefined,
  step: Step,
  random: () => number,
): StepResult {
  s.violations.push(...checkStep(s, pod, step));
  beginHook(s, step);
  switch (step.kind) {
    case "publishVolumes":
      s.pod.hasDirectory = true;
      // As if each edit had dropped a volume.
      return { kind: "volumes", hash: volumesHash(pod!, emptyObjects), stale: s.pod.containers.length > 0 };
    case "sweepVolumes":
      return nothing;
    case "runSandbox":
      return runSandbox(s, pod!, step);
    case "ensureImage": {
      const image = specOf(pod!, step.container).image!;
      return { kind: "image", image: { attempt: step.attempt, image, ref: image, user: "" } };
    }
    case "runContainer":
      return runContainer(s, pod!, step);
    case "preStop":
    case "reportEnd":
      return nothing;
    case "postStart":
      return runPostStart(s, step, random);
    case "stopContainer":
      if (step.ofPod === true && step.preStop !== undefined && random() < 0.2) return { kind: "graceOver" };
      end(s, findContainer(s, step.containerId)!, 143);
      return nothing;
    case "attachNetworks": {
      const networks = networksOf(pod!).map(({ ifname, key }) => attachedNetwork(ifname, key, "10.9.0.2"));
      Object.assign(findSandbox(s, step.sandboxId)!, { networks });
      return nothing;
    }
    case "detachNetworks":
      delete findSandbox(s, step.sandboxId)?.networks;
      return nothing;
    case "stopSandbox":
      loseSandbox(s, step.sandboxId);
      return nothing;
    case "removeContainer":
      s.pod.containers = s.pod.containers.filter((c) => c.id !== step.containerId);
      return nothing;
    case "removeSandbox":
      s.pod.containers = s.pod.containers.filter((c) => c.sandboxId !== step.sandboxId);
      s.pod.sandboxes = s.pod.sandboxes.filter((b) => b.id !== step.sandboxId);
      return nothing;
    case "updateResources":
      return {
        kind: "resources",
        given: step.containers.map((
          { name, id },
        ) => [id, JSON.stringify(specOf(pod!, name).resources ?? {})]),
      };
    case "updateCpus":
      return { kind: "cpus", given: step.containers };
    case "clearVolumes":
      return nothing;
    case "keepEnd":
      s.notes.end = step.end;
      return nothing;
    case "removePod":
      s.pod.hasDirectory = false;
      s.notes = { end: undefined, postStart: new Map() };
      return nothing;
  }
}

function runSandbox(s: Simulation, pod: Pod, step: Extract<Step, { kind: "runSandbox" }>): StepResult {
  s.pod.hasDirectory = true;
  s.pod.sandboxes.unshift({
    id: `sandbox-${step.attempt}-${s.now}`,
    attempt: step.attempt,
    ready: true,
    createdAt: s.now,
    podStart: step.since,
    ips: ["10.0.0.1"],
    hash: wantedSandboxHash(pod),
    runtimeHandler: "",
  });
  return nothing;
}

function runContainer(s: Simulation, pod: Pod, step: Extract<Step, { kind: "runContainer" }>): StepResult {
  const wanted = specOf(pod, step.container);
  const id = `${step.container}-${step.attempt}-${s.now}`;
  const place = (pod.spec!.initContainers ?? []).indexOf(wanted);
  const { preStop, postStart } = wanted.lifecycle ?? {};
  if (postStart !== undefined) s.notes.postStart.set(wanted.name, id);
  s.pod.containers.unshift({
    id,
    name: step.container,
    sandboxId: step.sandboxId,
    attempt: step.attempt,
    state: "running",
    createdAt: s.now,
    startedAt: s.now,
    image: wanted.image!,
    imageRef: step.imageRef,
    hash: containerHash(pod, wanted),
    backOff: step.backOff,
    graceSeconds: pod.spec!.terminationGracePeriodSeconds ?? 30,
    ...(step.run === undefined ? {} : { run: step.run }),
    ...(preStop === undefined ? {} : { preStop }),
    ...(place >= 0 && isSidecar(wanted) ? { sidecar: place } : {}),
    resources: wanted.resources ?? {},
    logPath: "",
  });
  return {
    kind: "postStart",
    containerId: id,
    hook: postStart === undefined ? undefined : { kind: "pending" },
  };
}

function runPostStart(
  s: Simulation,
  step: Extract<Step, { kind: "postStart" }>,
  random: () => number,
): StepResult {
  const { containerId } = step;
  if (random() < s.faults.hooks) {
    return { kind: "postStart", containerId, hook: { kind: "failed", message: "simulated" } };
  }
  s.notes.postStart.delete(step.container);
  return { kind: "postStart", containerId, hook: undefined };
}
