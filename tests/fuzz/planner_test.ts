/**
 * The planner against a simulated runtime: random pods, edits, exits, lost sandboxes, failing steps and crashes of the
 * agent. It must never throw, always terminate, keep the order rules at every step, and converge once faults end.
 */
import { assert, assertEquals } from "@std/assert";
import type { Container, ContainerRestartRule, Pod } from "../../agent/model/gen/v1.ts";
import type { Wish } from "../../agent/model/wish.ts";
import { planPod } from "../../agent/model/plan.ts";
import { askEnd, askRestart, forgive } from "../../agent/model/memory.ts";
import { holds } from "../../agent/model/end.ts";
import { NETWORKS } from "../../agent/model/networks.ts";
import { derivePodStatus } from "../../agent/model/status.ts";
import { containerHash } from "../../agent/model/hash.ts";
import { newestOf, runOf, usableSandbox, wantedSandboxHash } from "../../agent/model/need.ts";
import { defaultBackOff, isSidecar, restartsAfter } from "../../agent/model/restart.ts";
import {
  applySimulated,
  crash,
  createSimulation,
  emptyObjects,
  end,
  loseSandbox,
  noFaults,
  type Simulation,
} from "./simulated_pod.ts";

const runs = Number(Deno.env.get("FUZZ_RUNS") ?? 400);
/** To look at one seed alone, with FUZZ_RUNS=1. */
const first = Number(Deno.env.get("FUZZ_SEED") ?? 1);

/** Mulberry32: small, seeded, good enough to vary. */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

const policies = ["Always", "OnFailure", "Never"];

/** Never for success, which would make an init container run for ever. */
const randomRule = (random: () => number): ContainerRestartRule => ({
  action: pick(random, ["Restart", "RestartAllContainers"]),
  exitCodes: random() < 0.7
    ? { operator: "In", values: pick(random, [[3], [1, 137], [143]]) }
    : { operator: "NotIn", values: [0, 1, 143] },
});

function randomLife(random: () => number, own: readonly string[]): Partial<Container> {
  if (random() < 0.6) return {};
  const restartPolicyRules = Array.from({ length: Math.floor(random() * 3) }, () => randomRule(random));
  return { restartPolicy: pick(random, own), ...(restartPolicyRules.length > 0 && { restartPolicyRules }) };
}

const hook = { exec: { command: ["hook"] } };

const randomLifecycle = (random: () => number): Partial<Container> => ({
  lifecycle: { ...(random() < 0.25 && { preStop: hook }), ...(random() < 0.2 && { postStart: hook }) },
});

function randomContainer(random: () => number, name: string): Container {
  return {
    name,
    image: pick(random, ["a:1", "b:1"]),
    command: [pick(random, ["run", "walk"])],
    resources: random() < 0.5 ? {} : { limits: { memory: pick(random, ["64Mi", "128Mi"]) } },
  };
}

function randomInit(random: () => number, name: string): Container {
  const container = randomContainer(random, name);
  return name.startsWith("side")
    ? { ...container, ...randomLifecycle(random), ...randomLife(random, ["Always"]), restartPolicy: "Always" }
    : { ...container, ...randomLife(random, ["OnFailure", "Never"]) };
}

function randomPod(random: () => number): Pod {
  const names = ["x", "y", "z"].slice(0, 1 + Math.floor(random() * 3));
  const inits = ["side0", "init0", "side1", "init1"].filter(() => random() < 0.3);
  return {
    metadata: {
      name: "p",
      namespace: "default",
      uid: "u",
      annotations: random() < 0.3 ? { [NETWORKS]: pick(random, ["lan", "lan, storage@san0"]) } : {},
    },
    spec: {
      restartPolicy: pick(random, policies),
      hostNetwork: random() < 0.3,
      ...(random() < 0.15 && { activeDeadlineSeconds: pick(random, [1, 600, 100_000]) }),
      terminationGracePeriodSeconds: pick(random, [0, 10, 30]),
      initContainers: inits.map((n) => randomInit(random, n)),
      containers: names.map((n) => ({
        ...randomContainer(random, n),
        ...randomLifecycle(random),
        ...randomLife(random, policies),
      })),
    },
  };
}

const present = (pod: Pod): Wish => ({
  kind: "present",
  pod: { pod, uid: "u", source: "file", origin: "p.yaml" },
  objects: emptyObjects,
});

const absent: Extract<Wish, { kind: "absent" }> = { kind: "absent", uid: "u", key: "default/p" };

/** Plans and applies until there is nothing to do now; returns the last plan. */
function settle(s: Simulation, wish: Wish, random: () => number) {
  const pod = wish.kind === "present" ? wish.pod.pod : wish.pod;
  for (let round = 0; round < 90; round++) {
    const facts = { now: s.now, steady: s.now, backOff: defaultBackOff, memory: s.memory, probes: s.probes };
    const plan = planPod(wish, structuredClone(s.pod), facts);
    if (pod !== undefined) {
      derivePodStatus(pod, s.pod, {
        ...facts,
        hostIPs: ["192.0.2.1"],
        runtimeName: "containerd",
        messages: new Map(),
        before: undefined,
        stopping: wish.kind === "absent",
      });
    }
    if (plan.steps.length === 0) return plan;
    s.now += 5;
    applySimulated(s, pod, plan.steps, random);
  }
  throw new Error(`no rest after 90 rounds: ${JSON.stringify(s.pod)}`);
}

function disturb(s: Simulation, random: () => number) {
  const running = s.pod.containers.filter((c) => c.state === "running");
  if (running.length > 0 && random() < 0.5) end(s, pick(random, running), pick(random, [0, 1, 3, 137]));
  if (s.pod.sandboxes.length > 0 && random() < 0.15) loseSandbox(s, pick(random, s.pod.sandboxes).id);
  if (random() < 0.2) crash(s);
  if (random() < 0.05 && running[0] !== undefined) running[0].state = "created";
  if (random() < 0.05 && running[0] !== undefined) running[0].state = "unknown";
  const probed = running.filter((c) => !c.name.startsWith("init"));
  if (probed.length > 0 && random() < 0.3) speak(s, pick(random, probed).id, random);
  if (random() < 0.05) s.memory = askEnd(s.memory, { reason: "Evicted", message: "simulated" });
  if (random() < 0.1) {
    const names = random() < 0.5 ? undefined : [pick(random, ["x", "y", "side0"])];
    s.memory = askRestart(s.memory, s.pod, names);
  }
  s.now += Math.floor(random() * 400_000);
}

/** A probe says something about a running container. */
function speak(s: Simulation, id: string, random: () => number) {
  const kind = pick(random, ["startup", "liveness"] as const);
  s.probes.set(id, {
    started: random() < 0.5,
    ready: random() < 0.5,
    ...(random() < 0.5 ? { failed: { kind, message: "simulated" } } : {}),
  });
}

const runsNothing = (s: Simulation, why: string) =>
  assertEquals(s.pod.containers.filter((c) => c.state === "running").map((c) => c.name), [], why);

function assertConverged(pod: Pod, s: Simulation) {
  const spec = pod.spec!;
  const inits = spec.initContainers ?? [];
  const sandbox = usableSandbox(pod, s.pod);
  if (s.notes.end !== undefined && holds(s.notes.end, pod)) {
    return runsNothing(s, "an ended pod runs nothing");
  }
  const rests = (c: Container, isInit: boolean) => {
    const r = newestOf(s.pod, c.name);
    return r?.state === "exited" && r.hash === containerHash(pod, c) &&
      !restartsAfter(spec, c, isInit, {
        code: r.exitCode!,
        failed: s.probes.get(r.id)?.failed !== undefined,
      });
  };
  const initialized = spec.containers.some((c) => {
    const r = newestOf(s.pod, c.name);
    return r !== undefined && r.sandboxId === s.pod.sandboxes[0]?.id && (r.run ?? 0) >= runOf(s.pod);
  });
  const failedInit = inits.find((c) => rests(c, true) && newestOf(s.pod, c.name)!.exitCode !== 0);
  if ((!initialized && failedInit !== undefined) || spec.containers.every((c) => rests(c, false))) {
    return runsNothing(s, "a finished pod runs nothing");
  }
  assert(sandbox !== undefined, "no usable sandbox");
  for (const c of [...inits.filter(isSidecar), ...spec.containers]) {
    const r = newestOf(s.pod, c.name);
    assert(
      rests(c, inits.includes(c)) || r?.state === "running",
      `${c.name} should run: ${JSON.stringify(r)}`,
    );
    if (r?.state !== "running") continue;
    assert(s.probes.get(r.id)?.failed === undefined, `${c.name} has failed a probe`);
    assert(!s.memory.postStart.has(r.id), `the postStart hook of ${c.name} has not succeeded`);
    assertEquals([r.hash, r.sandboxId], [containerHash(pod, c), sandbox.id]);
    assertEquals(r.run ?? 0, runOf(s.pod), `${c.name} is of an earlier run`);
  }
}

/** Lets time pass and init containers succeed until nothing is left to wait for. */
function calm(s: Simulation, wish: Wish, random: () => number) {
  s.faults = noFaults;
  // What fails stays failed; what was still starting has started.
  for (const verdict of s.probes.values()) verdict.started = true;
  const inits = wish.kind === "present" ? wish.pod.pod.spec!.initContainers ?? [] : [];
  for (let i = 0; i < 60; i++) {
    const plan = settle(s, wish, random);
    const open = s.pod.containers.filter((c) =>
      c.state === "running" && inits.some((n) => n.name === c.name && !isSidecar(n))
    );
    for (const c of open) end(s, c, 0);
    if (plan.lookAgain === undefined && open.length === 0) return;
    s.now = Math.max(s.now, plan.lookAgain ?? 0);
  }
  const plan = JSON.stringify(settle(s, wish, random));
  throw new Error(`waits for ever: ${plan} at ${s.now} ${JSON.stringify(s.pod)} ${JSON.stringify(wish)}`);
}

Deno.test("random lives of a pod converge, keep the order and leave nothing behind", () => {
  for (let seed = first; seed < first + runs; seed++) {
    const random = seeded(seed);
    const s = createSimulation("u");
    let pod = randomPod(random);
    try {
      for (let i = 0; i < 12; i++) {
        const some = (most: number) => random() < 0.5 ? 0 : random() * most;
        s.faults = {
          failing: some(0.5),
          crashing: some(0.2),
          interrupting: some(0.3),
          dying: some(0.3),
          hooks: some(0.7),
        };
        if (random() < 0.3) {
          pod = random() < 0.5 ? randomPod(random) : structuredClone(pod);
          s.memory = forgive(s.memory);
        }
        const gone: Wish = random() < 0.5 ? absent : { ...absent, pod, graceSeconds: pick(random, [0, 20]) };
        settle(s, random() < 0.1 ? gone : present(pod), random);
        disturb(s, random);
      }
      calm(s, present(pod), random);
      assertConverged(pod, s);
      const before = JSON.stringify(s.pod);
      const { stoppedSandboxes } = s.memory;
      crash(s);
      s.memory = { ...s.memory, stoppedSandboxes };
      calm(s, present(pod), random);
      assertEquals(
        JSON.stringify({ ...s.pod, hasDirectory: true }),
        JSON.stringify({ ...JSON.parse(before), hasDirectory: true }),
      );
      calm(s, absent, random);
      assertEquals([s.pod.sandboxes.length, s.pod.containers.length, s.pod.hasDirectory], [0, 0, false]);
      assertEquals(s.violations, []);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
});

/** Anything at all: sandboxes and containers that fit nothing, in states that no life leads to. */
function randomObservation(random: () => number, pod: Pod): Simulation["pod"] {
  const specs = [...pod.spec!.containers, ...pod.spec!.initContainers ?? []];
  const hashes = ["", "stale", wantedSandboxHash(pod), ...specs.map((c) => containerHash(pod, c))];
  const sandboxes = Array.from({ length: Math.floor(random() * 4) }, (_, i) => ({
    id: `s${i}`,
    attempt: Math.floor(random() * 5),
    ready: random() < 0.5,
    createdAt: 1_700_000_000_000 + i,
    ips: [],
    hash: pick(random, hashes),
    runtimeHandler: "",
  }));
  const containers = Array.from({ length: Math.floor(random() * 8) }, (_, i) => ({
    id: `c${i}`,
    name: pick(random, ["x", "y", "init0", "side0", "stranger"]),
    sandboxId: pick(random, ["s0", "s1", "s2", "nowhere"]),
    attempt: Math.floor(random() * 4),
    state: pick(random, ["created", "running", "exited", "unknown"] as const),
    createdAt: 1_700_000_000_000,
    ...(random() < 0.5 ? { startedAt: 1_700_000_000_000 } : {}),
    ...(random() < 0.5 ? { finishedAt: 1_800_000_000_000 } : {}),
    ...(random() < 0.5 ? { exitCode: pick(random, [0, 1, 255]) } : {}),
    image: "a:1",
    imageRef: "a:1",
    hash: pick(random, hashes),
    backOff: pick(random, [0, 10_000, Infinity]),
    run: pick(random, [0, 0, 1]),
    graceSeconds: 30,
    logPath: "",
  }));
  return { uid: "u", namespace: "default", name: "p", sandboxes, containers, hasDirectory: random() < 0.5 };
}

Deno.test("from any observed state the plan comes to an end without throwing", () => {
  for (let seed = 1; seed <= runs; seed++) {
    const random = seeded(seed);
    const pod = randomPod(random);
    const s = { ...createSimulation("u"), pod: randomObservation(random, pod) };
    try {
      calm(s, present(pod), random);
      assertConverged(pod, s);
      calm(s, absent, random);
      assertEquals([s.pod.sandboxes.length, s.pod.containers.length, s.pod.hasDirectory], [0, 0, false]);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
});
