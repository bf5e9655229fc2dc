/** Lifecycle hooks in whole lives of pods: order, failures, and what a new agent makes of one that was cut off. */
import { assert, assertEquals } from "@std/assert";
import type { Container } from "../../../../agent/model/gen/v1.ts";
import { until as eventually } from "../../../fakes/until.ts";
import { createFakeRuntime, type FakeRuntime } from "../../../fakes/runtime.ts";
import {
  type Bench,
  container,
  createBench,
  desired,
  isReady,
  podOf,
  stateOf,
  status,
  until,
  withBench,
} from "./bench.ts";

const exec = (word: string) => ({ exec: { command: [word] } });
const hooked = (name: string, lifecycle: NonNullable<Container["lifecycle"]>): Container => ({
  ...container(name),
  lifecycle,
});

const sidecar = (name: string, lifecycle?: Container["lifecycle"]): Container => ({
  ...container(name),
  restartPolicy: "Always",
  ...(lifecycle && { lifecycle }),
});

/** Starts, stops and commands in order: `+a`, `-a 30`, `hello`. */
function story(fake: FakeRuntime): string[] {
  const nameOf = (id: unknown) => {
    try {
      return fake.specOf(id as string).container.name;
    } catch {
      return "?";
    }
  };
  return fake.calls.flatMap(({ method, args }) => {
    if (method === "startContainer") return [`+${nameOf(args[0])}`];
    if (method === "stopContainer") return [`-${nameOf(args[0])} ${args[1]}`];
    return method === "execSync" ? [(args[1] as string[])[0]!] : [];
  });
}

async function untilHeld(fake: FakeRuntime) {
  while (fake.held("execSync") === 0) await new Promise((resolve) => setTimeout(resolve, 1));
}

const told = (bench: Bench, reason: string) => bench.store.events().filter((e) => e.reason === reason);

Deno.test("postStart runs before the next container starts, and until then its own does not count as running", () => {
  const fake = createFakeRuntime();
  const release = fake.hold("execSync");
  return withBench(async (bench) => {
    bench.reconciler.update(
      desired(podOf("web", [hooked("a", { postStart: exec("hello") }), container("b")])),
    );
    await untilHeld(fake);
    assertEquals(stateOf(bench, "web", "a")?.state, { waiting: { reason: "ContainerCreating" } });
    assertEquals(story(fake), ["+a", "hello"]);
    release();
    await until(bench, "ready", () => isReady(bench, "web"));
    assertEquals(story(fake), ["+a", "hello", "+b"]);
  }, fake);
});

Deno.test("a postStart hook that fails ends its container, preStop first; the restart policy decides then", () => {
  const fake = createFakeRuntime({
    onExec: (_, [word]) => ({ exitCode: word === "hello" ? 7 : 0, output: "a secret" }),
  });
  return withBench(async (bench) => {
    const lifecycle = { postStart: exec("hello"), preStop: exec("bye") };
    bench.reconciler.update(desired(podOf("web", [hooked("a", lifecycle)], { restartPolicy: "Never" })));
    await until(bench, "failed", () => status(bench, "web")?.phase === "Failed");
    assertEquals(story(fake).slice(0, 4), ["+a", "hello", "bye", "-a 2"]);
    const [event] = told(bench, "FailedPostStartHook");
    assertEquals(event?.message, "PostStartHook failed: the command ended with exit code 7");
  }, fake);
});

Deno.test("an agent that died in the middle of a postStart hook is followed by one that runs it again", () => {
  const fake = createFakeRuntime();
  const release = fake.hold("execSync");
  return withBench(async (bench, root) => {
    const web = podOf("web", [hooked("a", { postStart: exec("hello") }), container("b")]);
    bench.reconciler.update(desired(web));
    await untilHeld(fake);
    await bench.leave();
    release();
    for (const _ of ["the next agent", "and the one after it"]) {
      const next = createBench(root, fake);
      next.reconciler.update(desired(web));
      await until(next, "ready", () => isReady(next, "web"));
      await next.leave();
    }
    assertEquals(story(fake), ["+a", "hello", "hello", "+b"]);
  }, fake);
});

Deno.test("preStop comes before the stop signal, once; its failure is told and stops nothing; a removed pod has it still", () => {
  const fake = createFakeRuntime({ onExec: () => ({ exitCode: 1, output: "" }) });
  return withBench(async (bench, root) => {
    const web = podOf("web", [hooked("a", { preStop: exec("bye") }), container("b")], {
      terminationGracePeriodSeconds: 9,
    });
    bench.reconciler.update(desired(web));
    await until(bench, "ready", () => isReady(bench, "web"));
    await bench.leave();
    const next = createBench(root, fake);
    await next.reconciler.recover();
    next.reconciler.update(desired());
    while (fake.pods().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await next.leave();
    assertEquals(story(fake).filter((x) => x === "bye").length, 1);
    const calls = fake.calls.map((c) => c.method);
    assert(calls.indexOf("execSync") < calls.lastIndexOf("stopContainer"));
    assertEquals(fake.callsOf("stopContainer").map((c) => c.args[1]), [9, 9]);
    assertEquals(
      told(next, "FailedPreStopHook")[0]?.message,
      "PreStopHook failed: the command ended with exit code 1",
    );
  }, fake);
});

Deno.test("sidecars hear of the end by their preStop hooks, and stop after the others, the last one first", () => {
  const fake = createFakeRuntime();
  return withBench(async (bench) => {
    bench.reconciler.update(desired(podOf("web", [container("a"), container("b")], {
      initContainers: [sidecar("s1", { preStop: exec("drain") }), sidecar("s2")],
      terminationGracePeriodSeconds: 9,
    })));
    await until(bench, "ready", () => isReady(bench, "web"));
    const names = new Map(fake.pods()[0]!.containers.map((c) => [c.id, c.name]));
    bench.reconciler.update(desired());
    await until(bench, "gone", () => bench.store.pods().length === 0);
    const order = fake.callsOf("stopContainer").map((c) => names.get(c.args[0] as string));
    assertEquals([order.slice(0, 2).sort(), order.slice(2)], [["a", "b"], ["s2", "s1"]]);
    assertEquals(fake.callsOf("execSync").length, 1);
  }, fake);
});

/** Of containers that are stopped just now, or have been. */
const stopped = (fake: FakeRuntime) => story(fake).filter((word) => word.startsWith("-"));

Deno.test("hooks that never end go on until their containers are killed: all together, two seconds after the grace", () => {
  const fake = createFakeRuntime();
  return withBench(async (bench) => {
    const bye = { preStop: exec("bye") };
    bench.reconciler.update(desired(podOf("web", [container("main")], {
      initContainers: [sidecar("s1", bye), sidecar("s2"), sidecar("s3", bye)],
    })));
    await until(bench, "ready", () => isReady(bench, "web"));
    const end = fake.hold("execSync");
    bench.reconciler.update(desired());
    await eventually("both hooks run", () => fake.held("execSync") === 2);
    const begun = performance.now();
    await eventually("the first one is stopped", () => stopped(fake).length > 0);
    const stop = fake.hold("stopContainer");
    await eventually("all others are stopped at once", () => fake.held("stopContainer") === 3);
    assert(performance.now() - begun > 900, "they have had the grace");
    assertEquals(stopped(fake).slice(1).sort(), ["-s1 2", "-s2 2", "-s3 2"]);
    assertEquals(fake.held("execSync"), 2, "their hooks go on");
    assertEquals(fake.callsOf("execSync").map((c) => c.args[2]), [3, 3]);
    stop();
    end();
    await until(bench, "gone", () => bench.store.pods().length === 0);
    assertEquals(
      told(bench, "FailedPreStopHook").map((e) => e.message),
      Array(2).fill("PreStopHook failed: it did not end within 1s"),
    );
    assertEquals(told(bench, "Killing").map((e) => e.count), [1, 1, 1, 1]);
  }, fake);
});

Deno.test("a sidecar whose turn it is does not wait for the hook of another", () => {
  const fake = createFakeRuntime();
  return withBench(async (bench) => {
    bench.reconciler.update(desired(podOf("web", [container("main")], {
      initContainers: [sidecar("s1", { preStop: exec("bye") }), sidecar("s2")],
      terminationGracePeriodSeconds: 99,
    })));
    await until(bench, "ready", () => isReady(bench, "web"));
    const end = fake.hold("execSync");
    bench.reconciler.update(desired());
    await eventually("two are stopped", () => stopped(fake).length === 2);
    assertEquals(stopped(fake), ["-main 99", "-s2 99"]);
    end();
    await until(bench, "gone", () => bench.store.pods().length === 0);
    assertEquals(fake.callsOf("stopContainer").length, 3);
  }, fake);
});

Deno.test("a pod that comes back while it is being stopped is stopped to the end and then starts again", () => {
  const fake = createFakeRuntime();
  return withBench(async (bench) => {
    const web = podOf("web", [hooked("a", { preStop: exec("bye") })], { restartPolicy: "Never" });
    bench.reconciler.update(desired(web));
    await until(bench, "ready", () => isReady(bench, "web"));
    const release = fake.hold("execSync");
    bench.reconciler.update(desired());
    await untilHeld(fake);
    bench.reconciler.update(desired(web));
    await until(
      bench,
      "again",
      () => isReady(bench, "web") && stateOf(bench, "web", "a")?.restartCount === 1,
    );
    release();
    assertEquals(story(fake).filter((x) => x === "bye").length, 1);
  }, fake);
});
