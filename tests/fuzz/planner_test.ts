/**
 * The planner against a simulated runtime: random pods, edits, exits, lost sandboxes, failing steps and crashes of the
 * agent. It must never throw, always terminate, keep the order rules at every step, and converge once faults end.
 */
import { assert, assertEquals } from "@std/assert";
import type { Container, Pod } from "../../agent/model/gen/v1.ts";
import type { Wish } from "../../agent/model/wish.ts";
import { emptyMemory, planPod } from "../../agent/model/plan.ts";
import { derivePodStatus } from "../../agent/model/status.ts";
import { containerHash } from "../../agent/model/hash.ts";
import { newestOf, usableSandbox, wantedSandboxHash } from "../../agent/model/need.ts";
import { defaultBackOff, restartsAfter } from "../../agent/model/restart.ts";
import {
  applySimulated,
  createSimulation,
  emptyObjects,
  end,
  loseSandbox,
  type Simulation,
} from "./simulated_pod.ts";

const runs = Number(Deno.env.get("FUZZ_RUNS") ?? 600);

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

function randomContainer(random: () => number, name: string): Container {
  return {
    name,
    image: pick(random, ["a:1", "b:1"]),
    command: [pick(random, ["run", "walk"])],
    resources: random() < 0.5 ? {} : { limits: { memory: pick(random, ["64Mi", "128Mi"]) } },
  };
}

function randomPod(random: () => number): Pod {
  const names = ["x", "y", "z"].slice(0, 1 + Math.floor(random() * 3));
  const inits = random() < 0.4 ? ["init"] : [];
  const sidecars = random() < 0.3 ? ["side"] : [];
  return {
    metadata: { name: "p", namespace: "default", uid: "u" },
    spec: {
      restartPolicy: pick(random, ["Always", "OnFailure", "Never"]),
      hostNetwork: random() < 0.3,
      initContainers: [
        ...sidecars.map((n) => ({ ...randomContainer(random, n), restartPolicy: "Always" })),
        ...inits.map((n) => randomContainer(random, n)),
      ],
      containers: names.map((n) => randomContainer(random, n)),
    },
  };
}

const present = (pod: Pod): Wish => ({
  kind: "present",
  pod: { pod, uid: "u", source: "file", origin: "p.yaml" },
  objects: emptyObjects,
});

const absent: Wish = { kind: "absent", uid: "u", key: "default/p" };

/** Plans and applies until there is nothing to do now; returns the last plan. */
function settle(s: Simulation, wish: Wish, random: () => number) {
  const desired = wish.kind === "present" ? wish.pod : undefined;
  for (let round = 0; round < 60; round++) {
    const facts = { now: s.now, steady: s.now, backOff: defaultBackOff, memory: s.memory, probes: s.probes };
    const plan = planPod(wish, structuredClone(s.pod), facts);
    if (desired !== undefined) {
      derivePodStatus(desired.pod, s.pod, {
        ...facts,
        hostIPs: ["192.0.2.1"],
        runtimeName: "containerd",
        messages: new Map(),
        before: undefined,
        stopping: false,
      });
    }
    if (plan.steps.length === 0) return plan;
    s.now += 5;
    applySimulated(s, desired, plan.steps, random);
  }
  throw new Error(`no rest after 60 rounds: ${JSON.stringify(s.pod)}`);
}

function disturb(s: Simulation, random: () => number) {
  const running = s.pod.containers.filter((c) => c.state === "running");
  if (running.length > 0 && random() < 0.5) end(s, pick(random, running), pick(random, [0, 1, 137]));
  if (s.pod.sandboxes.length > 0 && random() < 0.15) loseSandbox(s, pick(random, s.pod.sandboxes).id);
  if (random() < 0.2) s.memory = emptyMemory;
  if (random() < 0.05 && running[0] !== undefined) running[0].state = "created";
  if (random() < 0.05 && running[0] !== undefined) running[0].state = "unknown";
  const probed = running.filter((c) => c.name !== "init");
  if (probed.length > 0 && random() < 0.3) speak(s, pick(random, probed).id, random);
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

function assertConverged(pod: Pod, s: Simulation) {
  const spec = pod.spec!;
  const inits = spec.initContainers ?? [];
  const rests = (c: Container, isInit: boolean) => {
    const r = newestOf(s.pod, c.name);
    return r?.state === "exited" && r.hash === containerHash(pod, c) &&
      !restartsAfter(spec, c, isInit, {
        code: r.exitCode!,
        failed: s.probes.get(r.id)?.failed !== undefined,
      });
  };
  const failedInit = inits.find((c) => rests(c, true) && newestOf(s.pod, c.name)!.exitCode !== 0);
  if (failedInit !== undefined || spec.containers.every((c) => rests(c, false))) {
    assertEquals(
      s.pod.containers.filter((c) => c.state === "running").length,
      0,
      "a finished pod runs nothing",
    );
    return;
  }
  const sandbox = usableSandbox(pod, s.pod);
  assert(sandbox !== undefined, "no usable sandbox");
  for (const c of spec.containers) {
    const r = newestOf(s.pod, c.name);
    assert(rests(c, false) || r?.state === "running", `${c.name} should run: ${JSON.stringify(r)}`);
    assert(
      r?.state !== "running" || s.probes.get(r.id)?.failed === undefined,
      `${c.name} has failed a probe`,
    );
    if (r?.state === "running") assertEquals([r.hash, r.sandboxId], [containerHash(pod, c), sandbox.id]);
  }
}

/** Lets time pass and init containers succeed until nothing is left to wait for. */
function calm(s: Simulation, wish: Wish, random: () => number) {
  s.failing = 0;
  // What fails stays failed; what was still starting has started.
  for (const verdict of s.probes.values()) verdict.started = true;
  for (let i = 0; i < 60; i++) {
    const plan = settle(s, wish, random);
    const inits = wish.kind === "present" ? wish.pod.pod.spec!.initContainers ?? [] : [];
    const open = s.pod.containers.filter((c) =>
      c.state === "running" && inits.some((n) => n.name === c.name && n.restartPolicy !== "Always")
    );
    for (const c of open) end(s, c, 0);
    if (plan.lookAgain === undefined && open.length === 0) return;
    s.now = Math.max(s.now, plan.lookAgain ?? 0);
  }
  throw new Error(
    `waits for ever: ${JSON.stringify(settle(s, wish, random))} at ${s.now} ${JSON.stringify(s.pod)} ${
      JSON.stringify(wish)
    }`,
  );
}

Deno.test("random lives of a pod converge, keep the order and leave nothing behind", () => {
  for (let seed = 1; seed <= runs; seed++) {
    const random = seeded(seed);
    const s = createSimulation("u");
    let pod = randomPod(random);
    try {
      for (let i = 0; i < 12; i++) {
        s.failing = pick(random, [0, 0.1, 0.5]);
        if (random() < 0.3) pod = random() < 0.5 ? randomPod(random) : structuredClone(pod);
        settle(s, random() < 0.1 ? absent : present(pod), random);
        disturb(s, random);
      }
      calm(s, present(pod), random);
      assertConverged(pod, s);
      const before = JSON.stringify(s.pod);
      s.memory = { ...emptyMemory, stoppedSandboxes: s.memory.stoppedSandboxes };
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
    name: pick(random, ["x", "y", "init", "side", "stranger"]),
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
