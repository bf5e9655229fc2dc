/** Pods that an API server wants to end: it learns of their end once, whether they ever ran here or not. */
import { assertEquals } from "@std/assert";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import { until as untilTrue } from "../../../fakes/until.ts";
import { container, desired, isReady, podOf, until, withBench } from "./bench.ts";

const ofCluster = (pod: DesiredPod): DesiredPod => ({ ...pod, source: "api" });

const terminating = (pod: DesiredPod): DesiredPod => {
  const metadata = {
    ...pod.pod.metadata,
    deletionTimestamp: "2026-01-01T00:00:00Z",
    deletionGracePeriodSeconds: 1,
  };
  return { ...pod, pod: { ...pod.pod, metadata } };
};

Deno.test("a pod that terminates ends, and its end is told once however long it stays wanted", () =>
  withBench(async (b) => {
    const pod = ofCluster(podOf("web", [container("a")]));
    b.reconciler.update(desired(pod));
    await until(b, "ready", () => isReady(b, "web"));
    b.reconciler.update(desired(terminating(pod)));
    await untilTrue("told", () => b.gone.length > 0);
    assertEquals(b.fake.pods(), []);
    b.reconciler.update(desired(terminating(pod)));
    b.reconciler.update(desired());
    assertEquals([b.gone, b.reconciler.known()], [["web"], new Set<string>()]);
  }));

Deno.test("a pod that terminates before it came here is told to be gone", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(terminating(ofCluster(podOf("late", [container("a")])))));
    await untilTrue("told", () => b.gone.length > 0);
    assertEquals([b.gone, b.fake.callsOf("runPodSandbox").length], [["late"], 0]);
  }));
