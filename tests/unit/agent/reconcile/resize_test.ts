import { assert, assertEquals, assertRejects } from "@std/assert";
import { defaultCpuPolicy } from "../../../../agent/model/cpu.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Container, ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import { podGivenText } from "../../../../agent/model/resize.ts";
import type { ContainerUsage } from "../../../../agent/model/usage.ts";
import { updateResources } from "../../../../agent/reconcile/resize.ts";
import type { ApplyOptions, PodRound } from "../../../../agent/reconcile/specs.ts";
import { createFakeRuntime } from "../../../fakes/runtime.ts";
import { container, desired, isReady, podOf, status, until, withBench } from "./bench.ts";

const both = (cpu: string, memory: string): ResourceRequirements => ({
  requests: { cpu, memory },
  limits: { cpu, memory },
});
const sized = (cpu: string, memory = "64Mi", name = "a"): Container => ({
  ...container(name),
  resources: both(cpu, memory),
});
const mi = 2 ** 20;

/** What is done to the world, in order; `used` is by container. */
function createStage(used: Record<string, number> = {}, refuses = "") {
  const log: string[] = [];
  const events: string[] = [];
  const say = (what: string) => {
    log.push(what);
    return what === refuses ? Promise.reject(new AgentError("Unknown", "busy")) : Promise.resolve();
  };
  const usage = { at: 0, cpu: 0, workingSet: 0 };
  const o = {
    node: { cpu: defaultCpuPolicy, memoryCapacity: 2 ** 30, hugePageSizes: [] },
    cgroups: {
      makeRoom: () => say("pod has room"),
      ensure: () => say("pod has limits"),
      usage: () => Promise.resolve({ ...usage, memory: used["pod"] ?? 0 }),
    },
    runtime: {
      updateContainerResources: (id: string, { memoryLimit = 0 }) => say(`${id} ${memoryLimit / mi}Mi`),
      stats: () =>
        Promise.resolve(
          Object.entries(used).map(([id, memory]): ContainerUsage => ({
            ...usage,
            id,
            uid: "u",
            name: id,
            memory,
          })),
        ),
    },
    storage: {
      keepResources: (_: string, name: string, { text }: { text: string }) =>
        say(`keep ${name} ${text === "" ? "open" : "done"}`),
      keepNote: () => say("keep pod"),
    },
  } as unknown as ApplyOptions;
  const pod = podOf("web", [sized("1", "64Mi"), sized("1", "32Mi", "b")]);
  const round = {
    desired: pod,
    record: (_: string, reason: string, message: string) => events.push(`${reason}: ${message}`),
  } as unknown as PodRound;
  const containers = [{ name: "a", id: "a0" }, { name: "b", id: "b0" }];
  const run = () =>
    updateResources(
      o,
      round,
      { kind: "updateResources", sandboxId: "box", containers },
      new AbortController().signal,
    );
  return { log, events, pod, run };
}

Deno.test("the pod makes room, then its containers change, then it takes back; what is under way is on record", async () => {
  const { log, events, pod, run } = createStage();
  const result = await run();
  assertEquals(log, [
    ...["keep a open", "keep b open"],
    ...["pod has room", "a0 64Mi", "b0 32Mi", "pod has limits"],
    ...["keep a done", "keep b done", "keep pod"],
  ]);
  assertEquals(result, {
    kind: "resources",
    given: [
      ["box", podGivenText(pod.pod)],
      ["a0", JSON.stringify(both("1", "64Mi"))],
      ["b0", JSON.stringify(both("1", "32Mi"))],
    ],
  });
  const resources = (name: string, memory: string) => ({ name, resources: both("1", memory) });
  const text = JSON.stringify({ containers: [resources("a", "64Mi"), resources("b", "32Mi")] });
  assertEquals(events, [
    `ResizeStarted: Pod resize started: ${text}`,
    `ResizeCompleted: Pod resize completed: ${text}`,
  ]);
});

Deno.test("a memory limit below what is used is refused before anything changes", async () => {
  const stage = createStage({ pod: 97 * mi, a0: 65 * mi, b0: mi });
  const error = await assertRejects(stage.run, AgentError);
  assertEquals(
    error.message,
    `cannot decrease memory limits: [attempting to set pod memory limit (${96 * mi}) below current usage (${
      97 * mi
    }), ` +
      `attempting to set container "a" memory limit (${64 * mi}) below current usage (${65 * mi})]`,
  );
  assertEquals(stage.log, []);
  assert(stage.events[0]?.startsWith("ResizeError: Pod resize error: {"), stage.events[0]);
  const one = createStage({ pod: mi, b0: 33 * mi });
  await assertRejects(
    one.run,
    AgentError,
    `cannot decrease memory limits: attempting to set container "b" memory limit (${
      32 * mi
    }) below current usage`,
  );
});

Deno.test("a change that fails half way stays on record as under way", async () => {
  const { log, run } = createStage({}, "b0 32Mi");
  await assertRejects(run, AgentError, "busy");
  assertEquals(log.slice(-2), ["a0 64Mi", "b0 32Mi"]);
});

Deno.test("a change that other pods leave no room for waits, says so, and is made when they go", () =>
  withBench(async (b) => {
    const pending = () => status(b, "web")?.conditions?.find((c) => c.type === "PodResizePending");
    const main = () => status(b, "web")?.containerStatuses?.[0];
    const other = podOf("other", [sized("1", "64Mi", "b")]);
    b.reconciler.update(desired(podOf("web", [sized("500m")]), other));
    await until(b, "both run", () => isReady(b, "web") && isReady(b, "other"));
    b.reconciler.update(desired(podOf("web", [sized("1500m")]), other));
    await until(b, "it waits", () => pending() !== undefined);
    assertEquals([pending()?.reason, pending()?.message], [
      "Deferred",
      "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
    ]);
    assertEquals([main()?.resources?.requests?.["cpu"], main()?.allocatedResources?.["cpu"]], [
      "500m",
      "500m",
    ]);
    assertEquals(
      b.store.pods().find((p) => p.metadata?.name === "web")?.spec?.containers[0]?.resources,
      both("1500m", "64Mi"),
    );
    assert(b.store.events().some((e) => e.reason === "ResizeDeferred"));
    b.reconciler.update(desired(podOf("web", [sized("1500m")])));
    await until(b, "it is resized", () => main()?.resources?.requests?.["cpu"] === "1500m");
    assertEquals(pending(), undefined);
    assertEquals([b.fake.callsOf("createContainer").length, main()?.restartCount], [2, 0]);
  }));

Deno.test("an infeasible change ends nothing, and a container that restarts meanwhile keeps what it had", () =>
  withBench(async (b) => {
    const main = () => status(b, "web")?.containerStatuses?.[0];
    const two = (cpu: string) => podOf("web", [sized(cpu), container("b")]);
    b.reconciler.update(desired(two("1")));
    await until(b, "it runs", () => isReady(b, "web"));
    b.reconciler.update(desired(two("3")));
    const pending = () => status(b, "web")?.conditions?.find((c) => c.type === "PodResizePending");
    await until(b, "it is told", () => pending()?.reason === "Infeasible");
    b.fake.exit("a", 1);
    await until(b, "it runs again", () => main()?.restartCount === 1 && isReady(b, "web"));
    assertEquals(b.fake.specOf("a").resources, both("1", "64Mi"));
    assertEquals(
      pending()?.message,
      "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000",
    );
    b.reconciler.update(desired(two("2")));
    await until(b, "it is resized", () => main()?.resources?.limits?.["cpu"] === "2");
    assertEquals(pending(), undefined);
  }));

Deno.test("an edit that moves the pod to another QoS class makes it anew, in the cgroup of that class", () => {
  const fake = createFakeRuntime();
  return withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [sized("1")])));
    await until(b, "it runs", () => isReady(b, "web"));
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "it runs anew", () => isReady(b, "web") && fake.callsOf("runPodSandbox").length === 2);
    assertEquals(status(b, "web")?.qosClass, "BestEffort");
    assertEquals(fake.callsOf("updateContainerResources").length, 0);
  }, fake);
});
