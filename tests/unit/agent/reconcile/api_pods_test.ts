/** What pods of the API server may do that those of the manifest directory may not, and the other way round. */
import { assertEquals, assertMatch } from "@std/assert";
import type { ContainerStatus, PodStatus } from "../../../../agent/model/gen/v1.ts";
import { type DesiredPod, SOURCE } from "../../../../agent/model/wish.ts";
import { createFakeRuntime } from "../../../fakes/runtime.ts";
import { until as untilTrue } from "../../../fakes/until.ts";
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

/** As the API server shows it. */
function ofApi(pod: DesiredPod, shown: PodStatus = { phase: "Pending" }, more: object = {}): DesiredPod {
  const metadata = { ...pod.pod.metadata, generation: 1, annotations: { [SOURCE]: "api" }, ...more };
  return { ...pod, source: "api", pod: { ...pod.pod, metadata, status: shown } };
}

const exited = (name: string, exitCode: number, restartCount = 0): ContainerStatus => ({
  name,
  image: `${name}:1`,
  imageID: "",
  ready: false,
  restartCount,
  state: { terminated: { exitCode, reason: exitCode === 0 ? "Completed" : "Error" } },
  lastState: {},
});

const ending = { deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 1 };
const created = ({ fake }: Bench) => fake.callsOf("createContainer").length;
const condition = (b: Bench, name: string, type: string) =>
  status(b, name)?.conditions?.find((c) => c.type === type);
const withImage = (p: DesiredPod, image: string): DesiredPod => ({
  ...p,
  pod: {
    ...p.pod,
    spec: { ...p.pod.spec!, containers: p.pod.spec!.containers.map((c) => ({ ...c, image })) },
  },
});

Deno.test("a pod that the API server shows as ended never runs, with nothing of it left here", () =>
  withBench(async (b) => {
    const shown: PodStatus = {
      phase: "Failed",
      reason: "Evicted",
      message: "too much",
      startTime: "2026-01-01T00:00:00Z",
      containerStatuses: [exited("a", 3, 2)],
    };
    b.reconciler.update(desired(ofApi(podOf("web", [container("a")]), shown)));
    await until(b, "shown", () => status(b, "web") !== undefined);
    const { phase, reason, message, startTime, containerStatuses } = status(b, "web")!;
    assertEquals([phase, reason, message, startTime], ["Failed", "Evicted", "too much", shown.startTime]);
    assertEquals(containerStatuses?.map((c) => [c.state?.terminated?.exitCode, c.restartCount]), [[3, 2]]);
    assertEquals(b.fake.callsOf("runPodSandbox"), []);
  }));

Deno.test("what still runs of a pod that others have declared ended is ended", () =>
  withBench(async (b) => {
    const pod = podOf("web", [container("a")]);
    b.reconciler.update(desired(ofApi(pod)));
    await until(b, "ready", () => isReady(b, "web"));
    b.reconciler.update(desired(ofApi(pod, { phase: "Failed", reason: "NodeLost" })));
    await until(b, "ended", () => stateOf(b, "web", "a")?.state?.terminated !== undefined);
    assertEquals([status(b, "web")?.phase, created(b)], ["Failed", 1]);
  }));

Deno.test("exits that the runtime has forgotten count as they are on record", async (t) => {
  const cases: [policy: string, code: number, starts: boolean, phase: string][] = [
    ["Never", 0, false, "Succeeded"],
    ["Never", 4, false, "Failed"],
    ["OnFailure", 0, false, "Succeeded"],
    ["OnFailure", 4, true, "Running"],
    ["Always", 0, true, "Running"],
  ];
  for (const [restartPolicy, code, starts, phase] of cases) {
    await t.step(`${restartPolicy}, exit code ${code}`, () =>
      withBench(async (b) => {
        const shown = { phase: "Running", containerStatuses: [exited("a", code, 3)] };
        b.reconciler.update(desired(ofApi(podOf("job", [container("a")], { restartPolicy }), shown)));
        await until(b, phase, () => status(b, "job")?.phase === phase && (!starts || isReady(b, "job")));
        assertEquals([created(b), stateOf(b, "job", "a")?.restartCount], starts ? [1, 4] : [0, 3]);
      }));
  }
});

Deno.test("an exit that the runtime forgets before the API server has heard of it counts all the same", () =>
  withBench(async (b) => {
    const pod = podOf("web", [container("a"), container("b")], { restartPolicy: "OnFailure" });
    b.reconciler.update(desired(ofApi(pod)));
    await until(b, "ready", () => isReady(b, "web"));
    b.fake.exit("a", 0);
    await until(b, "shown", () => stateOf(b, "web", "a")?.state?.terminated !== undefined);
    const id = b.fake.pods()[0]!.containers.find(({ name }) => name === "a")!.id;
    await b.fake.runtime.removeContainer(id, new AbortController().signal);
    b.fake.exit("b", 0);
    await until(b, "over", () => status(b, "web")?.phase === "Succeeded");
    assertEquals(created(b), 2);
  }));

Deno.test("what ran and may not run twice has failed when the runtime has lost it; all else starts again", () =>
  withBench(async (b) => {
    const lost = (name: string) => ({ ...exited(name, 0), state: { running: {} } });
    const shown = (name: string): PodStatus => ({ phase: "Running", containerStatuses: [lost(name)] });
    b.reconciler.update(desired(
      ofApi(podOf("once", [container("a")], { restartPolicy: "Never" }), shown("a")),
      ofApi(podOf("ever", [container("e")]), shown("e")),
    ));
    await until(b, "failed", () => status(b, "once")?.phase === "Failed");
    await until(b, "ready", () => isReady(b, "ever"));
    assertEquals(stateOf(b, "once", "a")?.state?.terminated?.reason, "ContainerStatusUnknown");
    assertEquals([created(b), stateOf(b, "ever", "e")?.restartCount], [1, 1]);
  }));

Deno.test("another image makes what runs start again, and nothing that rests", async (t) => {
  for (const restartPolicy of ["Always", "Never"]) {
    await t.step(restartPolicy, () =>
      withBench(async (b) => {
        const pod = podOf("web", [container("a")], { restartPolicy });
        const before = ofApi(pod);
        b.reconciler.update(desired(before));
        await until(b, "ready", () => isReady(b, "web"));
        const ends: unknown[] = [];
        b.store.subscribe(
          () => ends.push(stateOf(b, "web", "a")?.state?.terminated),
          new AbortController().signal,
        );
        b.reconciler.update(desired(withImage(before, "a:2")));
        await until(b, "the new one", () => stateOf(b, "web", "a")?.restartCount === 1 && isReady(b, "web"));
        if (restartPolicy !== "Never") return;
        assertEquals(
          ends.filter((end) => end !== undefined),
          [],
          "the API server would let nothing follow it",
        );
        b.fake.exit("a", 0);
        await until(b, "succeeded", () => status(b, "web")?.phase === "Succeeded");
        b.reconciler.update(desired(withImage(ofApi(pod, status(b, "web")), "a:3")));
        b.reconciler.nudge();
        await b.leave();
        assertEquals([created(b), b.fake.callsOf("runPodSandbox").length], [2, 1]);
      }));
  }
});

Deno.test("an end as a whole is for good, whatever the spec says later, for every run of the agent", async () => {
  const root = await Deno.makeTempDir();
  const fake = createFakeRuntime();
  const pod = ofApi(podOf("web", [container("a")]));
  try {
    const b = createBench(root, fake);
    b.reconciler.update(desired(pod));
    await until(b, "ready", () => isReady(b, "web"));
    void b.reconciler.end("web", {
      reason: "Evicted",
      message: "too much",
      grace: 1,
      disruption: "too much",
    });
    await until(b, "failed", () => status(b, "web")?.phase === "Failed");
    b.reconciler.restart("web");
    b.reconciler.update(desired(withImage(pod, "a:2")));
    await b.leave();
    const later = createBench(root, fake);
    later.reconciler.update(desired(withImage(pod, "a:3")));
    await until(later, "failed", () => status(later, "web")?.phase === "Failed");
    await later.leave();
    assertEquals([status(later, "web")?.reason, created(later)], ["Evicted", 1]);
    const { status: on, reason, message } = condition(later, "web", "DisruptionTarget") ?? {};
    assertEquals([on, reason, message], ["True", "TerminationByKubelet", "too much"]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("readiness gates are opened by conditions that others set at the API server", () =>
  withBench(async (b) => {
    const pod = podOf("web", [container("a")], { readinessGates: [{ conditionType: "example.com/up" }] });
    const gate = (value: string) => ({ conditions: [{ type: "example.com/up", status: value }] });
    b.reconciler.update(desired(ofApi(pod)));
    await until(b, "runs", () => condition(b, "web", "ContainersReady")?.status === "True");
    assertMatch(condition(b, "web", "Ready")?.message ?? "", /gate "example.com\/up" does not exist/);
    b.reconciler.update(desired(ofApi(pod, gate("False"))));
    await until(b, "closed", () => condition(b, "web", "Ready")?.message?.endsWith("but False") === true);
    assertEquals(condition(b, "web", "Ready")?.reason, "ReadinessGatesNotReady");
    b.reconciler.update(desired(ofApi(pod, gate("True"))));
    await until(b, "ready", () => isReady(b, "web"));
    assertEquals(condition(b, "web", "Ready")?.observedGeneration, 1);
  }));

Deno.test("ephemeral containers that the API server adds are started once, and shown", () =>
  withBench(async (b) => {
    const plain = ofApi(podOf("web", [container("a")]));
    b.reconciler.update(desired(plain));
    await until(b, "ready", () => isReady(b, "web"));
    const ephemeralContainers = [container("debug")];
    const spec = { ...plain.pod.spec!, ephemeralContainers };
    const debugged = { ...plain, pod: { ...plain.pod, spec } };
    b.reconciler.update(desired(debugged));
    const shown = () => status(b, "web")?.ephemeralContainerStatuses?.[0]?.state;
    await until(b, "it runs", () => shown()?.running !== undefined);
    b.fake.exit("debug", 0);
    await until(b, "it ended", () => shown()?.terminated !== undefined);
    b.reconciler.update(desired({ ...debugged, pod: { ...debugged.pod, status: status(b, "web")! } }));
    assertEquals(created(b), 2);
  }));

Deno.test("the last that is shown of a pod that ends is how its containers ended", async (t) => {
  const last = (b: Bench) => {
    const seen: PodStatus[] = [];
    b.store.subscribe(
      (c) => c.kind === "pod" && !c.deleted && seen.push(c.pod.status!),
      new AbortController().signal,
    );
    return seen;
  };
  await t.step("that ran", () =>
    withBench(async (b) => {
      const seen = last(b);
      const pod = ofApi(podOf("web", [container("a"), container("b")]));
      b.reconciler.update(desired(pod));
      await until(b, "ready", () => isReady(b, "web"));
      b.reconciler.update(
        desired(ofApi(pod, status(b, "web"), { annotations: { [SOURCE]: "api" }, ...ending })),
      );
      await untilTrue("gone", () => b.gone.length > 0);
      const { phase, containerStatuses } = seen.at(-1)!;
      assertEquals(containerStatuses?.map((c) => c.state?.terminated?.exitCode), [143, 143]);
      assertEquals(phase, "Failed");
    }));
  await t.step("of which nothing is left", () =>
    withBench(async (b) => {
      const seen = last(b);
      const shown: PodStatus = {
        phase: "Running",
        containerStatuses: [exited("a", 0), { ...exited("b", 0), state: { running: {} } }],
      };
      const pod = podOf("web", [container("a"), container("b")]);
      b.reconciler.update(desired(ofApi(pod, shown, ending)));
      await untilTrue("gone", () => b.gone.length > 0);
      const { phase, containerStatuses } = seen.at(-1)!;
      assertEquals(containerStatuses?.map((c) => c.state?.terminated?.exitCode), [0, 137]);
      assertEquals(phase, "Failed");
    }));
  await t.step("that never ran", () =>
    withBench(async (b) => {
      const seen = last(b);
      b.reconciler.update(desired(ofApi(podOf("web", [container("a")]), undefined, ending)));
      await untilTrue("gone", () => b.gone.length > 0);
      assertEquals([seen.at(-1)!.phase, b.fake.callsOf("runPodSandbox").length], ["Failed", 0]);
    }));
});

Deno.test("of a pod that ends nothing is forgotten before the API server knows how it ended", () => {
  const known = Promise.withResolvers<void>();
  const asked: string[] = [];
  const reports = { told: (uid: string) => (asked.push(uid), known.promise) };
  return withBench(
    async (b) => {
      const pod = ofApi(podOf("web", [container("a")]));
      b.reconciler.update(desired(pod));
      await until(b, "ready", () => isReady(b, "web"));
      b.reconciler.update(desired(ofApi(pod, status(b, "web"), ending)));
      await untilTrue("asked", () => asked.length > 0);
      assertEquals(b.fake.pods()[0]?.containers.map((c) => c.state), ["exited"]);
      assertEquals(b.gone, []);
      known.resolve();
      await untilTrue("gone", () => b.gone.length > 0);
      assertEquals([b.fake.pods(), asked], [[], ["web"]]);
    },
    undefined,
    { reports },
  );
});

Deno.test("a pod that vanishes from the API server is stopped with a grace of its own, and nobody waits", () => {
  const reports = { told: () => Promise.reject(new Error("nobody is to be told")) };
  return withBench(
    async (b) => {
      const pod = ofApi(podOf("web", [container("a")], { terminationGracePeriodSeconds: 7 }));
      b.reconciler.update(desired(pod));
      await until(b, "ready", () => isReady(b, "web"));
      b.reconciler.update(desired());
      await untilTrue("gone", () => b.gone.length > 0);
      assertEquals([b.fake.callsOf("stopContainer").map((c) => c.args[1]), b.fake.pods()], [[7], []]);
    },
    undefined,
    { reports },
  );
});

Deno.test("a status that comes back from the API server wakes nobody", () =>
  withBench(async (b) => {
    const pod = podOf("web", [container("a")]);
    b.reconciler.update(desired(ofApi(pod)));
    await until(b, "ready", () => isReady(b, "web"));
    await untilTrue("rest", async () => {
      const before = b.fake.calls.length;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return b.fake.calls.length === before;
    });
    const before = b.fake.calls.length;
    b.reconciler.update(desired(ofApi(pod, status(b, "web"), { resourceVersion: "7" })));
    b.reconciler.update(desired(ofApi(pod, status(b, "web"), { resourceVersion: "8" })));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(b.fake.calls.length, before);
  }));
