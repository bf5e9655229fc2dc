/** Pods on a machine with one CPU to give away: who gets it, who waits for it, and where all others go. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createMetrics } from "../../../../agent/lib/metrics.ts";
import type { LinuxResources } from "../../../../agent/model/container.ts";
import { allCpus } from "../../../../agent/model/cpu_topology.ts";
import { createPlacement } from "../../../../agent/node/placement.ts";
import { createFakeHost } from "../../../fakes/host.ts";
import { createFakeRuntime } from "../../../fakes/runtime.ts";
import { machine } from "../model/machines/mod.ts";
import { type Bench, container, createBench, desired, isReady, podOf, status, until } from "./bench.ts";

const topology = machine("vm-2-cpus");
const createLedger = () =>
  createPlacement({
    host: createFakeHost(),
    node: {
      policy: { name: "none", scope: "container", preferClosest: false },
      numa: topology.numa,
      cpus: {
        topology,
        reserved: new Set([0]),
        options: { wholeCores: false, distribute: false, bySocket: false, strictReservation: false },
      },
    },
    all: allCpus(topology),
    path: "/cpu_manager_state",
    devices: { offers: () => new Map(), grants: () => new Map() },
    metrics: createMetrics(),
    report: () => {},
    logError: () => {},
  });

const whole = (name: string) =>
  podOf(name, [{ ...container(name), resources: { limits: { cpu: "1", memory: "1Mi" } } }]);
const free = podOf("free", [container("free")]);

/** On which CPUs each container was created, then moved. */
const places = ({ fake }: Bench) =>
  fake.calls.flatMap(({ method, args }) => {
    if (method === "createContainer") {
      const { container, linux } = args[0] as { container: { name: string }; linux: LinuxResources };
      return [`${container.name} created on ${linux.cpus}`];
    }
    return method === "updateContainerResources" ? [`moved to ${(args[1] as LinuxResources).cpus}`] : [];
  });

async function withPlacement(test: (bench: Bench) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  const ledger = createLedger();
  const bench = createBench(root, createFakeRuntime(), undefined, ledger);
  ledger.subscribe((uid) => bench.reconciler.nudge(uid));
  try {
    await test(bench);
  } finally {
    await bench.leave();
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("the CPU goes to the first, others are moved off it at once, the next gets it when it is free again", async () => {
  await withPlacement(async (bench) => {
    bench.reconciler.update(desired(free));
    await until(bench, "free runs", () => isReady(bench, "free"));
    bench.reconciler.update(desired(free, whole("p")));
    await until(bench, "p runs", () => isReady(bench, "p"));
    bench.reconciler.update(desired(free, whole("p"), whole("q")));
    await until(bench, "q is refused", () => status(bench, "q")?.phase === "Failed");
    assertEquals(status(bench, "q")?.reason, "UnexpectedAdmissionError");
    assertStringIncludes(status(bench, "q")?.message ?? "", "requested=1, available=0");
    assertEquals(bench.store.events().filter((e) => e.reason === "UnexpectedAdmissionError").length, 1);
    assertEquals(places(bench).sort(), ["free created on 0-1", "moved to 0", "p created on 1"]);
    bench.reconciler.update(desired(free, whole("q")));
    await until(bench, "q runs", () => isReady(bench, "q"));
    assertEquals(places(bench).includes("q created on 1"), true, places(bench).join());
    const told = bench.store.events().filter((e) => e.reason === "ExclusiveCPUs").map((e) => e.message);
    assertEquals(told, ["CPUs of their own: p 1", "CPUs of their own: q 1"]);
  });
});

Deno.test("a pod that runs and asks for CPUs that nobody has goes on, without them", async () => {
  await withPlacement(async (bench) => {
    bench.reconciler.update(desired(whole("p")));
    await until(bench, "p runs", () => isReady(bench, "p"));
    const before = status(bench, "p")?.containerStatuses?.[0]?.containerID;
    const more = podOf("p", [{ ...container("p"), resources: { limits: { cpu: "2", memory: "1Mi" } } }]);
    bench.reconciler.update(desired(more));
    const said = () => bench.store.events().some((e) => e.message.includes("requested=2, available=1"));
    await until(bench, "it is told", said);
    assertEquals([status(bench, "p")?.phase, isReady(bench, "p")], ["Running", true]);
    assertEquals(status(bench, "p")?.containerStatuses?.[0]?.containerID, before);
  });
});
