import { assertEquals } from "@std/assert";
import { appliedPod, deletedObject, doomedContainers } from "../../../../agent/cli/wait.ts";
import { podHash } from "../../../../agent/model/hash.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { runningPod } from "./lab.ts";

const wished = (image: string, more: NonNullable<Pod["spec"]> | Record<string, unknown> = {}): Pod => ({
  metadata: { name: "web", namespace: "default" },
  spec: { ...more, containers: [{ name: "app", image }, { name: "side", image: "side:1" }] },
});

/** The pod as the agent shows it: what is wished, seen, with containers of these ids. */
function shown(pod: Pod, ids: Record<string, string>, ready = true): Pod {
  const statuses = Object.entries(ids).map(([name, containerID]) => ({
    ...runningPod("web").status!.containerStatuses![0]!,
    name,
    containerID,
  }));
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations: { "kubernetes.io/config.hash": podHash(pod) } },
    status: {
      phase: "Running",
      conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
      containerStatuses: statuses,
    },
  };
}

Deno.test("an edit dooms the containers that it changes, and all when the sandbox changes", () => {
  const before = shown(wished("app:1"), { app: "a1", side: "s1" });
  assertEquals([...doomedContainers(before, wished("app:2"))], ["a1"]);
  assertEquals([...doomedContainers(before, wished("app:1"))], []);
  assertEquals([...doomedContainers(before, wished("app:1", { hostNetwork: true }))], ["a1", "s1"]);
  assertEquals([...doomedContainers(undefined, wished("app:1"))], []);
});

Deno.test("an applied pod is up when its new containers are", () => {
  const next = wished("app:2");
  const test = appliedPod(next, shown(wished("app:1"), { app: "a1", side: "s1" }));
  assertEquals(test(undefined).state, "waiting");
  assertEquals(test(shown(wished("app:1"), { app: "a1", side: "s1" })).state, "waiting", "the old version");
  assertEquals(
    test(shown(next, { app: "a1", side: "s1" })).state,
    "waiting",
    "the old container, still ready",
  );
  assertEquals(test(shown(next, { app: "a2", side: "s1" }, false)).state, "waiting", "not ready yet");
  assertEquals(test(shown(next, { app: "a2", side: "s1" })).state, "done");
  const failed = shown(next, { app: "a2", side: "s1" });
  assertEquals(test({ ...failed, status: { ...failed.status!, phase: "Failed" } }).state, "failed");
  assertEquals([deletedObject(undefined).state, deletedObject(failed).state], ["done", "waiting"]);
});
