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

Deno.test("what a pod that terminates ended with is shown to its end, though its containers are removed one by one", () =>
  withBench(async (b) => {
    const pod = ofCluster(podOf("web", [container("a"), container("b")]));
    b.reconciler.update(desired(pod));
    await until(b, "ready", () => isReady(b, "web"));
    const shown: string[] = [];
    b.store.subscribe((change) => {
      if (change.kind !== "pod" || change.pod.metadata?.deletionTimestamp === undefined) return;
      const { phase, containerStatuses = [] } = change.pod.status!;
      const states = containerStatuses.map(({ state }) =>
        state?.terminated?.reason ?? Object.keys(state!)[0]
      );
      shown.push(`${phase}: ${states.join(" ")}`);
    }, AbortSignal.timeout(60_000));
    b.reconciler.update(desired(terminating(pod)));
    await untilTrue("told", () => b.gone.length > 0);
    const last = shown.at(-1)!;
    assertEquals(shown.slice(shown.indexOf(last)).every((s) => s === last), true, shown.join("\n"));
    assertEquals(last.replaceAll(/Completed|Error/g, "ended"), `${last.split(":")[0]}: ended ended`);
    assertEquals(["Succeeded", "Failed"].includes(last.split(":")[0]!), true, last);
  }));
