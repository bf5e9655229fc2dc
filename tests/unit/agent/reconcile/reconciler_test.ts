/** Whole lives of pods on the fake runtime: what the worker does with plans, outcomes, wishes and nudges. */
import { assert, assertEquals } from "@std/assert";
import type { SandboxSpec } from "../../../../agent/model/container.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import { createFakeRuntime } from "../../../fakes/runtime.ts";
import { container, desired, isReady, podOf, stateOf, status, until, withBench } from "./bench.ts";

Deno.test("a pod is started, shown as running, and removed without a trace", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a"), container("b")])));
    await until(b, "ready", () => isReady(b, "web"));
    assertEquals(status(b, "web")?.phase, "Running");
    assertEquals(b.fake.callsOf("runPodSandbox").length, 1);
    b.reconciler.update(desired());
    await until(b, "gone", () => b.store.pods().length === 0);
    assertEquals(b.fake.pods(), []);
  }));

Deno.test("a new image of one container leaves the other and the sandbox alone", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a"), container("b")])));
    await until(b, "ready", () => isReady(b, "web"));
    const other = stateOf(b, "web", "b")?.containerID;
    b.reconciler.update(desired(podOf("web", [container("a", "a:2"), container("b")])));
    await until(b, "new image", () => stateOf(b, "web", "a")?.image === "a:2" && isReady(b, "web"));
    assertEquals(stateOf(b, "web", "b")?.containerID, other);
    assertEquals(b.fake.callsOf("runPodSandbox").length, 1);
    assertEquals(stateOf(b, "web", "a")?.restartCount, 1);
  }));

Deno.test("events name the container, and whether it is an init container", () =>
  withBench(async (b) => {
    const pod = podOf("web", [container("a")], { initContainers: [container("first")] });
    b.reconciler.update(desired(pod));
    await until(b, "init runs", () => b.fake.callsOf("startContainer").length === 1);
    b.fake.exit("first", 0);
    await until(b, "ready", () => isReady(b, "web"));
    const started = b.store.events().filter((e) => e.reason === "Started").map((e) => e.fieldPath);
    assertEquals(started, ["spec.initContainers{first}", "spec.containers{a}"]);
  }));

Deno.test("an exit is followed by a restart at once, the next one by back-off", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
    b.fake.exit("a", 1);
    await until(b, "restarted", () => stateOf(b, "web", "a")?.restartCount === 1 && isReady(b, "web"));
    b.fake.exit("a", 1);
    await until(b, "back-off", () => stateOf(b, "web", "a")?.state?.waiting?.reason === "CrashLoopBackOff");
    assert(b.store.events().some((e) => e.reason === "BackOff"));
  }));

Deno.test("a sandbox that appears after its pod was forgotten is removed", () =>
  withBench(async (b) => {
    b.reconciler.update(desired());
    await b.reconciler.recover();
    const late = createFakeRuntime();
    await withBench(async (other) => {
      other.reconciler.update(desired(podOf("late", [container("a")])));
      await until(other, "ready", () => isReady(other, "late"));
    }, late);
    const [call] = late.callsOf("runPodSandbox");
    await b.fake.runtime.runPodSandbox(call!.args[0] as SandboxSpec, new AbortController().signal);
    assertEquals(b.fake.pods().map((p) => p.uid), ["late"]);
    b.reconciler.takeOver(b.fake.pods());
    while (b.fake.pods().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }));

Deno.test("a failed pull is shown and a mended manifest is tried at once", () =>
  withBench(async (b) => {
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "typo:1")])));
    await until(b, "back-off", () => stateOf(b, "web", "a")?.state?.waiting?.reason === "ImagePullBackOff");
    b.reconciler.update(desired(podOf("web", [container("a", "right:1")])));
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("a pod that waits in back-off tries again at once when its image has come, and only then", () =>
  withBench(async (b) => {
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "late:1")])));
    await until(b, "back-off", () => stateOf(b, "web", "a")?.state?.waiting?.reason === "ImagePullBackOff");
    const release = b.fake.hold("images.pull");
    const looked = async (nudge: () => void) => {
      const before = b.fake.callsOf("observe").length;
      nudge();
      while (b.fake.callsOf("observe").length === before) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await looked(() => b.reconciler.retryImages((image) => image === "other:1"));
    await looked(() => b.reconciler.nudge());
    assertEquals(b.fake.callsOf("images.pull").length, 1);
    b.reconciler.retryImages((image) => image === "late:1");
    release();
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("a pull that fails after its image came another way is no reason to wait", () =>
  withBench(async (b) => {
    const release = b.fake.hold("images.pull");
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "late:1")])));
    while (b.fake.held("images.pull") === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    b.reconciler.retryImages(() => true);
    release();
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("an edit whose image cannot be had ends nothing, says so, and takes effect when it can", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a", "good:1")])));
    await until(b, "ready", () => isReady(b, "web"));
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "typo:1")])));
    await until(b, "told", () => b.store.problems().length > 0);
    assertEquals(
      b.store.problems()[0]?.message,
      "the running container stays until this can start: no such image",
    );
    assertEquals(stateOf(b, "web", "a")?.image, "good:1");
    assert(isReady(b, "web"));
    b.reconciler.update(desired(podOf("web", [container("a", "better:1")])));
    await until(b, "replaced", () => stateOf(b, "web", "a")?.image === "better:1" && isReady(b, "web"));
    await until(b, "no problem", () => b.store.problems().length === 0);
  }));

Deno.test("a newer wish abandons a pull that hangs", () =>
  withBench(async (b) => {
    const release = b.fake.hold("images.pull");
    b.reconciler.update(desired(podOf("web", [container("a", "slow:1")])));
    while (b.fake.held("images.pull") === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    b.reconciler.update(desired());
    await until(b, "gone", () => b.store.pods().length === 0);
    release();
  }));

Deno.test("a pod whose name is held by another uid waits until that one is gone", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")], {}, "one")));
    await until(b, "ready", () => isReady(b, "web"));
    b.reconciler.update(desired(podOf("web", [container("a")], {}, "two")));
    await until(b, "second is ready", () => b.store.pods()[0]?.metadata?.uid === "two" && isReady(b, "web"));
    assertEquals(b.fake.pods().map((p) => p.uid), ["two"]);
  }));

Deno.test("a step that fails is tried again and shown meanwhile", () =>
  withBench(async (b) => {
    b.fake.fail("runPodSandbox", new AgentError("CreatePodSandboxError", "no network"));
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "shown", () => status(b, "web")?.message === "no network");
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("a pod is shown as Unknown while the runtime hangs, and as it is when it answers", () =>
  withBench(async (b) => {
    const release = b.fake.hold("observe");
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "shown", () => status(b, "web")?.phase === "Unknown");
    assertEquals(status(b, "web")?.message, "the runtime has not answered yet");
    release();
    await until(b, "ready", () => isReady(b, "web"));
  }));
