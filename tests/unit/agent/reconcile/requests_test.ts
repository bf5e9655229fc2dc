/** What others may ask of the reconciler: to end a pod as a whole, to restart it or some of its containers. */
import { assert, assertEquals } from "@std/assert";
import { createFakeRuntime } from "../../../fakes/runtime.ts";
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

const evicted = { reason: "Evicted", message: "it used too much" };

const hasEnded = (bench: Bench) => () => status(bench, "web")?.phase === "Failed";
const starts = (bench: Bench) => bench.fake.callsOf("startContainer").length;

/** A bench whose runtime and disk outlive the agent. */
async function afterACrash(bench: Bench, root: string, test: (next: Bench) => Promise<void>) {
  await bench.leave();
  const next = createBench(root, bench.fake);
  try {
    await next.reconciler.recover();
    await test(next);
  } finally {
    await next.leave();
  }
}

Deno.test("an ended pod fails with its reason, runs nothing, and stays ended for the next agent", () =>
  withBench(async (bench, root) => {
    const web = podOf("web", [container("a"), container("b")]);
    bench.reconciler.update(desired(web));
    await until(bench, "it runs", () => isReady(bench, "web"));
    const ended = bench.reconciler.end("web", evicted);
    await until(bench, "it has ended", hasEnded(bench));
    assert(await ended);
    const { reason, message, containerStatuses } = status(bench, "web")!;
    assertEquals({ reason, message }, evicted);
    assertEquals(containerStatuses?.map((c) => c.state?.terminated?.exitCode), [143, 143]);
    assert(bench.store.events().some((e) => e.reason === "Evicted" && e.message === "it used too much"));
    const before = starts(bench);
    await afterACrash(bench, root, async (next) => {
      next.reconciler.update(desired(web));
      await until(next, "it is ended still", hasEnded(next));
      assertEquals([status(next, "web")?.reason, starts(next)], ["Evicted", before]);
    });
  }));

Deno.test("an edit of its spec, or a restart, gives an ended pod a new life; labels do not", () =>
  withBench(async (bench) => {
    const web = podOf("web", [container("a")], { restartPolicy: "Never" });
    bench.reconciler.update(desired(web));
    await until(bench, "it runs", () => isReady(bench, "web"));
    const ip = status(bench, "web")?.podIP;
    void bench.reconciler.end("web", evicted);
    await until(bench, "it has ended", hasEnded(bench));
    const labelled = { ...web, pod: { ...web.pod, metadata: { ...web.pod.metadata, labels: { a: "b" } } } };
    bench.reconciler.update(desired(labelled));
    await until(bench, "the label is seen", () => bench.store.pods()[0]?.metadata?.labels?.["a"] === "b");
    assertEquals(status(bench, "web")?.phase, "Failed");
    bench.reconciler.update(
      desired(podOf("web", [container("a")], { restartPolicy: "Never", hostname: "w" })),
    );
    await until(bench, "it runs again", () => isReady(bench, "web"));
    assert(status(bench, "web")?.podIP !== ip, "in a sandbox of its own");
    assertEquals([status(bench, "web")?.reason, stateOf(bench, "web", "a")?.restartCount], [undefined, 0]);
    void bench.reconciler.end("web", evicted);
    await until(bench, "it has ended again", hasEnded(bench));
    bench.reconciler.restart("web");
    await until(bench, "it runs once more", () => isReady(bench, "web"));
    assertEquals(status(bench, "web")?.reason, undefined);
  }));

Deno.test("a restart of one container leaves the others and waits for no back-off; unknown pods are told", () =>
  withBench(async (bench) => {
    const web = podOf("web", [container("a"), container("b")], { restartPolicy: "Never" });
    bench.reconciler.update(desired(web));
    await until(bench, "it runs", () => isReady(bench, "web"));
    const b = stateOf(bench, "web", "b")?.containerID;
    for (const count of [1, 2, 3]) {
      assert(bench.reconciler.restart("web", ["a"]));
      await until(
        bench,
        `restart ${count}`,
        () => isReady(bench, "web") && stateOf(bench, "web", "a")?.restartCount === count,
      );
    }
    assertEquals(stateOf(bench, "web", "b")?.containerID, b);
    bench.fake.exit("a", 1);
    await until(bench, "it has ended", () => stateOf(bench, "web", "a")?.state?.terminated !== undefined);
    bench.reconciler.restart("web", ["a"]);
    await until(bench, "it runs after its end", () => stateOf(bench, "web", "a")?.restartCount === 4);
    const answers = [bench.reconciler.restart("nobody"), await bench.reconciler.end("nobody", evicted)];
    assertEquals(answers, [false, false]);
  }));

Deno.test("a restart of the pod runs its init containers again, in order, in the same sandbox", () => {
  const fake = createFakeRuntime({ onStart: (spec) => spec.container.name === "init" ? 0 : undefined });
  return withBench(async (bench) => {
    const spec = { initContainers: [container("init")], restartPolicy: "Never" };
    bench.reconciler.update(desired(podOf("web", [container("a"), container("b")], spec)));
    await until(bench, "it runs", () => isReady(bench, "web"));
    const { podIP } = status(bench, "web")!;
    bench.reconciler.restart("web");
    const again = () => stateOf(bench, "web", "b")?.restartCount === 1 && isReady(bench, "web");
    await until(bench, "it runs again", again);
    const order = fake.calls.filter((c) => ["createContainer", "stopContainer"].includes(c.method))
      .map(({ method, args: [what] }) =>
        method === "createContainer" ? `+${(what as { container: { name: string } }).container.name}` : "-"
      );
    assertEquals(order, ["+init", "+a", "+b", "-", "-", "+init", "+a", "+b"]);
    assertEquals(status(bench, "web")?.podIP, podIP);
    assertEquals(status(bench, "web")?.initContainerStatuses?.[0]?.restartCount, 1);
  }, fake);
});
