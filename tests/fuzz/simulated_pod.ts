/**
 * A runtime for one pod, on values only: applies steps, lets containers end, breaks on request. For tests of the
 * planner. Not for: ports (tests/fakes/runtime.ts).
 */
import type { DesiredPod, Objects } from "../../agent/model/wish.ts";
import type { ObservedContainer, ObservedPod } from "../../agent/model/observed.ts";
import { emptyMemory, type Memory, type Step } from "../../agent/model/plan.ts";
import { nothing, remember, type StepOutcome, type StepResult } from "../../agent/model/memory.ts";
import type { Verdict } from "../../agent/model/probe.ts";
import { containerHash } from "../../agent/model/hash.ts";
import { volumesHash } from "../../agent/model/volumes.ts";
import { wantedSandboxHash } from "../../agent/model/need.ts";

export interface Simulation {
  now: number;
  pod: ObservedPod;
  memory: Memory;
  probes: Map<string, Verdict>;
  /** Probability that a step fails. */
  failing: number;
  violations: string[];
}

export const emptyObjects: Objects = { configMaps: new Map(), secrets: new Map(), runtimeClasses: new Map() };

export const createSimulation = (uid: string): Simulation => ({
  now: 1_700_000_000_000,
  pod: { uid, namespace: "default", name: "p", sandboxes: [], containers: [], hasDirectory: false },
  memory: emptyMemory,
  probes: new Map(),
  failing: 0,
  violations: [],
});

/** Applies steps in order, some of them failing, and remembers the outcomes as the worker does. */
export function applySimulated(
  s: Simulation,
  desired: DesiredPod | undefined,
  steps: Step[],
  random: () => number,
) {
  const outcomes = steps.map((step): StepOutcome => {
    if (random() < s.failing) {
      if (random() < 0.3) effect(s, desired, step);
      return { step, ok: false, reason: "Unknown", message: "simulated" };
    }
    return { step, ok: true, result: effect(s, desired, step) };
  });
  s.memory = remember(s.memory, outcomes, { now: s.now, steady: s.now });
}

const findContainer = (s: Simulation, id: string) => s.pod.containers.find((c) => c.id === id);

const isStillStarting = (s: Simulation, name: string) =>
  s.pod.containers.some((c) =>
    c.name === name && c.state === "running" && s.probes.get(c.id)?.started === false
  );

export function end(s: Simulation, c: ObservedContainer, exitCode: number) {
  Object.assign(c, { state: "exited", exitCode, finishedAt: s.now });
}

/** The sandbox dies, and with it everything inside. */
export function loseSandbox(s: Simulation, id: string) {
  for (const box of s.pod.sandboxes) if (box.id === id) box.ready = false;
  for (const c of s.pod.containers) if (c.sandboxId === id && c.state === "running") end(s, c, 137);
}

function effect(s: Simulation, desired: DesiredPod | undefined, step: Step): StepResult {
  const pod = desired?.pod;
  const spec = pod?.spec;
  const container = (name: string) =>
    [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].find((c) => c.name === name)!;
  switch (step.kind) {
    case "publishVolumes":
      s.pod.hasDirectory = true;
      // As if each edit had dropped a volume.
      return { kind: "volumes", hash: volumesHash(pod!, emptyObjects), stale: s.pod.containers.length > 0 };
    case "sweepVolumes": {
      const old = s.pod.containers.find((c) =>
        c.state === "running" && c.hash !== (container(c.name) && containerHash(pod!, container(c.name)))
      );
      if (old !== undefined) s.violations.push(`volumes swept while ${old.name} may use them`);
      return nothing;
    }
    case "runSandbox": {
      const id = `sandbox-${step.attempt}-${s.now}`;
      if (s.pod.containers.some((c) => c.state === "running")) {
        s.violations.push("new sandbox beside running containers");
      }
      if (s.pod.sandboxes.some((b) => b.ready)) s.violations.push("two ready sandboxes");
      s.pod.sandboxes.unshift({
        id,
        attempt: step.attempt,
        ready: true,
        createdAt: s.now,
        podStart: step.since,
        ips: ["10.0.0.1"],
        hash: wantedSandboxHash(pod!),
        runtimeHandler: "",
      });
      return nothing;
    }
    case "ensureImage": {
      const image = container(step.container).image!;
      return { kind: "image", image: { attempt: step.attempt, image, ref: image, user: "" } };
    }
    case "runContainer": {
      const box = s.pod.sandboxes.find((b) => b.id === step.sandboxId);
      if (box?.ready !== true) {
        s.violations.push(`container ${step.container} started in a sandbox that is not ready`);
      }
      if (s.pod.containers.some((c) => c.name === step.container && c.state === "running")) {
        s.violations.push(`container ${step.container} started twice`);
      }
      if (s.pod.containers.some((c) => c.name === step.container && c.attempt >= step.attempt)) {
        s.violations.push(`attempt ${step.attempt} of ${step.container} used again`);
      }
      const inits = spec?.initContainers ?? [];
      const before = inits.findIndex((c) => c.name === step.container);
      const ahead = before < 0 ? inits : inits.slice(0, before);
      const begun = s.pod.containers.some((c) =>
        c.sandboxId === step.sandboxId && spec!.containers.some((app) => app.name === c.name)
      );
      if (!begun && ahead.some((c) => isStillStarting(s, c.name))) {
        s.violations.push(`${step.container} did not wait for a sidecar's startup probe`);
      }
      if (s.memory.volumesHash !== volumesHash(pod!, emptyObjects)) {
        s.violations.push("started before its volumes");
      }
      const wanted = container(step.container);
      s.pod.containers.unshift({
        id: `${step.container}-${step.attempt}-${s.now}`,
        name: step.container,
        sandboxId: step.sandboxId,
        attempt: step.attempt,
        state: "running",
        createdAt: s.now,
        startedAt: s.now,
        image: wanted.image!,
        imageRef: step.imageRef,
        hash: containerHash(pod!, wanted),
        backOff: step.backOff,
        graceSeconds: 30,
        ...(step.run === undefined ? {} : { run: step.run }),
        resources: wanted.resources ?? {},
        logPath: "",
      });
      return nothing;
    }
    case "preStop":
      return nothing;
    case "postStart":
      return { kind: "postStart", containerId: step.containerId, hook: undefined };
    case "stopContainer":
      end(s, findContainer(s, step.containerId)!, 143);
      return nothing;
    case "stopSandbox":
      loseSandbox(s, step.sandboxId);
      return nothing;
    case "removeContainer":
      if (findContainer(s, step.containerId)?.state === "running") {
        s.violations.push("running container removed");
      }
      s.pod.containers = s.pod.containers.filter((c) => c.id !== step.containerId);
      return nothing;
    case "removeSandbox":
      s.pod.containers = s.pod.containers.filter((c) => c.sandboxId !== step.sandboxId);
      s.pod.sandboxes = s.pod.sandboxes.filter((b) => b.id !== step.sandboxId);
      return nothing;
    case "updateResources":
      return {
        kind: "resources",
        given: step.containers.map(({ name, id }) => [id, JSON.stringify(container(name).resources ?? {})]),
      };
    case "keepEnd":
      return nothing;
    case "clearVolumes":
      if (s.pod.containers.some((c) => c.state === "running")) {
        s.violations.push("volumes cleared below a running container");
      }
      return nothing;
    case "removePod":
      s.pod.hasDirectory = false;
      return nothing;
  }
}
