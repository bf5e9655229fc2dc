/** What the next run of the agent finds and does after one that was killed. */
import { assertEquals } from "@std/assert";
import type { Desired } from "../../../../agent/model/wish.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import { createFakeRuntime } from "../../../fakes/runtime.ts";
import { type Bench, container, createBench, desired, isReady, podOf, until, withBench } from "./bench.ts";

Deno.test("a pod's directory comes before and goes after all else, so that a crash in between is found", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
    assertEquals(b.disk.slice(0, 2), ["directory made", "cgroup made"]);
    b.disk.length = 0;
    b.reconciler.update(desired());
    await until(b, "gone", () => b.store.pods().length === 0);
    assertEquals(b.disk, ["cgroup removed", "directory removed"]);
  }));

Deno.test("the link to a log goes before its container: what is left of a removal that was cut off still tells of it", () =>
  withBench(async (b, root) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
    const links = () => [...Deno.readDirSync(`${root}/containers`)].length;
    assertEquals(links(), 1);
    b.fake.fail("removeContainer", new AgentError("KillContainerError", "cut off"));
    const removing = () => b.fake.callsOf("removeContainer").length > 0;
    b.reconciler.update(desired());
    while (!removing()) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals(links(), 0);
    await until(b, "gone", () => b.store.pods().length === 0);
  }));

Deno.test("an agent that comes back adopts what runs and starts nothing", async () => {
  const fake = createFakeRuntime();
  const pod = podOf("web", [container("a")]);
  await withBench(async (b) => {
    b.reconciler.update(desired(pod));
    await until(b, "ready", () => isReady(b, "web"));
  }, fake);
  await withBench(async (b) => {
    b.reconciler.update(desired(pod));
    await b.reconciler.recover();
    await until(b, "ready", () => isReady(b, "web"));
    assertEquals(fake.callsOf("runPodSandbox").length, 1);
    assertEquals(fake.callsOf("createContainer").length, 1);
  }, fake);
});

Deno.test("resources that were changed in place are changed back by the next agent, which was not there", async () => {
  const fake = createFakeRuntime();
  const root = await Deno.makeTempDir();
  const pod = (memory: string) =>
    desired(podOf("web", [{ ...container("a"), resources: { limits: { memory } } }]));
  const given = () => fake.callsOf("updateContainerResources").length;
  const runUntil = async (b: Bench, wish: Desired, times: number) => {
    b.reconciler.update(wish);
    await until(b, `changed ${times} times`, () => isReady(b, "web") && given() === times);
  };
  const first = createBench(root, fake);
  await runUntil(first, pod("32Mi"), 0);
  await runUntil(first, pod("48Mi"), 1);
  await first.leave();
  const second = createBench(root, fake);
  await runUntil(second, pod("32Mi"), 2);
  await second.leave();
  const third = createBench(root, fake);
  await runUntil(third, pod("32Mi"), 2);
  await third.leave();
  assertEquals(fake.callsOf("createContainer").length, 1);
  await Deno.remove(root, { recursive: true });
});

Deno.test("what nobody wants any more is removed after recovery, and only when all sources have spoken", async () => {
  const fake = createFakeRuntime();
  await withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
  }, fake);
  await withBench(async (b) => {
    b.reconciler.update({ ...desired(), complete: false });
    await b.reconciler.recover();
    assertEquals(fake.pods().length, 1);
    b.reconciler.update(desired(podOf("other", [container("c")])));
    await until(b, "other is ready", () => isReady(b, "other"));
    while (fake.pods().length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(fake.pods().map((p) => p.name), ["other"]);
  }, fake);
});

Deno.test("what a source wants no more is removed as soon as that source has spoken, though another is silent", async () => {
  const fake = createFakeRuntime();
  const ofCluster = { ...podOf("far", [container("a")]), source: "api" as const };
  await withBench(async (b) => {
    b.reconciler.update(desired(podOf("near", [container("a")]), ofCluster));
    await until(b, "ready", () => isReady(b, "near") && isReady(b, "far"));
  }, fake);
  await withBench(async (b) => {
    b.reconciler.update({ ...desired(), complete: false, spoken: new Set(["file" as const]) });
    await b.reconciler.recover();
    while (fake.pods().length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(fake.pods().map((p) => p.name), ["far"]);
  }, fake);
});
