/** The end of a pod that its node evicts, round after round, and what of it the runtime keeps afterwards. */
import { assert, assertEquals } from "@std/assert";
import type { PodStatus } from "../../../../agent/model/gen/v1.ts";
import { type DesiredPod, SOURCE } from "../../../../agent/model/wish.ts";
import { container, desired, isReady, podOf, status, until, withBench } from "./bench.ts";

const ofApi = (pod: DesiredPod, shown: PodStatus = { phase: "Pending" }): DesiredPod => ({
  ...pod,
  source: "api",
  pod: {
    ...pod.pod,
    metadata: { ...pod.pod.metadata, annotations: { [SOURCE]: "api" } },
    status: shown,
  },
});
const evicted = { reason: "Evicted", message: "too much", grace: 1, disruption: "too much" };

Deno.test("an evicted pod ends within the grace it was left, told of once, and gives back its volumes", () =>
  withBench(async (b) => {
    const pod = ofApi(podOf("web", [container("a")], { terminationGracePeriodSeconds: 600 }));
    b.reconciler.update(desired(pod));
    await until(b, "ready", () => isReady(b, "web"));
    const ended = b.reconciler.end("web", { ...evicted, told: true });
    await until(b, "failed", () => status(b, "web")?.phase === "Failed");
    await ended;
    assertEquals(
      b.fake.callsOf("stopContainer").map((c) => c.args[1]),
      [2],
      "the least that a container is given",
    );
    assert(b.disk.includes("emptyDirs cleared"), "before it is said to have ended");
    assertEquals(b.store.events().some((e) => e.reason === "Evicted"), false, "who asked has told of it");
    const target = status(b, "web")?.conditions?.find((c) => c.type === "DisruptionTarget");
    assertEquals([target?.status, target?.message], ["True", "too much"]);
  }));

Deno.test("its volumes are given back also when the API server knows of its end before", () =>
  withBench(async (b) => {
    const pod = podOf("web", [container("a")]);
    b.reconciler.update(desired(ofApi(pod)));
    await until(b, "ready", () => isReady(b, "web"));
    b.store.subscribe((change) => {
      const isOver = change.kind === "pod" && change.pod.status?.phase === "Failed";
      if (isOver && !b.disk.includes("emptyDirs cleared")) {
        b.reconciler.update(desired(ofApi(pod, { phase: "Failed", reason: "Evicted" })));
      }
    }, new AbortController().signal);
    await b.reconciler.end("web", evicted);
    assert(b.disk.includes("emptyDirs cleared"));
  }));

Deno.test("what has ended for good leaves nothing with the runtime when that is asked for; its record stands", () =>
  withBench(async (b) => {
    const pod = podOf("job", [container("a")], { restartPolicy: "Never" });
    const other = ofApi(podOf("web", [container("w")]));
    b.reconciler.update(desired(ofApi(pod), other));
    await until(b, "ready", () => isReady(b, "job") && isReady(b, "web"));
    b.fake.exit("a", 0);
    await until(b, "succeeded", () => status(b, "job")?.phase === "Succeeded");
    await b.reconciler.tidy(["job"]);
    assertEquals(b.fake.pods().length, 2, "not before the API server knows of it");
    b.reconciler.update(desired(ofApi(pod, status(b, "job")), other));
    await b.reconciler.tidy(["job", "nobody"]);
    assertEquals(b.fake.pods().map(({ uid }) => uid), ["web"]);
    const { phase, containerStatuses } = status(b, "job")!;
    assertEquals([phase, containerStatuses?.[0]?.state?.terminated?.exitCode], ["Succeeded", 0]);
    assert(isReady(b, "web"));
  }));
