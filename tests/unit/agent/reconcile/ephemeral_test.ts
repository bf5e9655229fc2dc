/** Ephemeral containers: started once, known to the next agent by themselves, gone with the pod's sandbox. */
import { assert, assertEquals } from "@std/assert";
import type { EphemeralContainer } from "../../../../agent/model/gen/v1.ts";
import { createFakeRuntime } from "../../../fakes/runtime.ts";
import {
  type Bench,
  container,
  createBench,
  desired,
  isReady,
  podOf,
  status,
  until,
  withBench,
} from "./bench.ts";

const debug = (name: string, more: Partial<EphemeralContainer> = {}): EphemeralContainer => ({
  ...container(name),
  ...more,
});

const shown = (bench: Bench, name: string) =>
  status(bench, "web")?.ephemeralContainerStatuses?.find((s) => s.name === name);
const specNames = (bench: Bench) => bench.store.pods()[0]?.spec?.ephemeralContainers?.map((c) => c.name);
const runningIds = (bench: Bench) => status(bench, "web")?.containerStatuses?.map((s) => s.containerID);

async function started(bench: Bench, pod = podOf("web", [container("a")])) {
  bench.reconciler.update(desired(pod));
  await until(bench, "it runs", () => isReady(bench, "web"));
  assert(bench.reconciler.addEphemeral("web", debug("look", { targetContainerName: "a" })));
  await until(
    bench,
    "the ephemeral container runs",
    () => shown(bench, "look")?.state?.running !== undefined,
  );
}

Deno.test("an ephemeral container starts beside its target, and is adopted by the next agent as what it is", () =>
  withBench(async (bench, root) => {
    const web = podOf("web", [container("a")]);
    await started(bench, web);
    const [app] = runningIds(bench)!;
    const created = (await bench.fake.runtime.observe("web", new AbortController().signal))[0]!.containers;
    assertEquals(created.find((c) => c.name === "look")?.ephemeral?.targetContainerName, "a");
    assertEquals([specNames(bench), shown(bench, "look")?.ready, isReady(bench, "web")], [
      ["look"],
      false,
      true,
    ]);
    const { containerID } = shown(bench, "look")!;
    const before = bench.fake.callsOf("createContainer").length;
    await bench.leave();
    const next = createBench(root, bench.fake);
    try {
      await next.reconciler.recover();
      next.reconciler.update(desired(web));
      await until(next, "it is seen again", () => shown(next, "look")?.containerID === containerID);
      assertEquals([specNames(next), runningIds(next)], [["look"], [app]]);
      next.reconciler.update(desired(podOf("web", [container("a", "a:2")])));
      await until(next, "the edit runs", () => isReady(next, "web") && runningIds(next)?.[0] !== app);
      assertEquals(shown(next, "look")?.containerID, containerID);
      assertEquals(next.fake.callsOf("createContainer").length, before + 1);
      next.reconciler.update(desired());
      await until(next, "all is gone", () => next.store.pods().length === 0);
      assertEquals(await next.fake.runtime.observe(undefined, new AbortController().signal), []);
    } finally {
      await next.leave();
    }
  }));

Deno.test("an ephemeral container that has ended is not started again, nor by a restart of the pod", () =>
  withBench(async (bench) => {
    await started(bench);
    const { containerID } = shown(bench, "look")!;
    bench.fake.exit(containerID!.replace("fake://", ""), 7);
    await until(bench, "it has ended", () => shown(bench, "look")?.state?.terminated?.exitCode === 7);
    bench.reconciler.addEphemeral("web", debug("other"));
    await until(bench, "another runs", () => shown(bench, "other")?.state?.running !== undefined);
    const other = shown(bench, "other")?.containerID;
    const [app] = runningIds(bench)!;
    bench.reconciler.restart("web");
    await until(
      bench,
      "the pod has restarted",
      () => isReady(bench, "web") && runningIds(bench)?.[0] !== app,
    );
    assertEquals(shown(bench, "look")?.containerID, containerID);
    assertEquals(shown(bench, "other")?.containerID, other);
    assertEquals(status(bench, "web")?.phase, "Running");
  }));

Deno.test("a new sandbox knows nothing of the old one's ephemeral containers", () =>
  withBench(async (bench) => {
    await started(bench);
    bench.reconciler.update(desired(podOf("web", [container("a")], { hostNetwork: true })));
    await until(
      bench,
      "the new pod runs without it",
      () => isReady(bench, "web") && specNames(bench) === undefined,
    );
    assertEquals(status(bench, "web")?.ephemeralContainerStatuses, undefined);
  }));

Deno.test("what cannot start says why, and starts when it can", () => {
  const fake = createFakeRuntime();
  return withBench(async (bench) => {
    bench.reconciler.update(
      desired(podOf("web", [container("a"), container("b")], { restartPolicy: "Never" })),
    );
    await until(bench, "it runs", () => isReady(bench, "web"));
    const b = status(bench, "web")!.containerStatuses!.find((s) => s.name === "b")!.containerID!;
    fake.exit(b.replace("fake://", ""), 0);
    await until(
      bench,
      "b has ended",
      () => status(bench, "web")!.containerStatuses!.some((s) => s.state?.terminated !== undefined),
    );
    bench.reconciler.addEphemeral("web", debug("look", { targetContainerName: "b" }));
    await until(
      bench,
      "it says why it does not start",
      () => shown(bench, "look")?.state?.waiting?.reason === "CreateContainerConfigError",
    );
    assertEquals(
      shown(bench, "look")?.state?.waiting?.message,
      "unable to find target container b: it does not run",
    );
    bench.reconciler.restart("web", ["b"]);
    await until(bench, "it runs with its target", () => shown(bench, "look")?.state?.running !== undefined);
  }, fake);
});
