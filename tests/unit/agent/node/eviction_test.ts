/** The loop that watches over what is left of the node: what it frees first, whom it ends, when it looks again. */
import { assert, assertEquals } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import { createMetrics } from "../../../../agent/lib/metrics.ts";
import { noConsumption } from "../../../../agent/model/eviction.ts";
import type { Threshold } from "../../../../agent/model/eviction_thresholds.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import type { Rooms } from "../../../../agent/model/node_pressure.ts";
import { type EvictionOptions, runEvictions } from "../../../../agent/node/eviction.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";
import { until } from "../../../fakes/until.ts";

const podOf = (uid: string, phase = "Running"): Pod => ({
  metadata: {
    name: uid,
    namespace: "default",
    uid,
    annotations: { "kubernetes.io/config.source": "api" },
  },
  spec: { containers: [{ name: "main" }] },
  status: { phase },
});

const memory: Threshold = { signal: "memory.available", amount: 100 };
const disk: Threshold = { signal: "nodefs.available", amount: 100 };

function createStage(thresholds: Threshold[]) {
  const store = createStatusStore();
  const metrics = createMetrics();
  const log: string[] = [];
  const left = { memory: 1000, disk: 1000 };
  const uses = new Map<string, number>();
  const pressures: string[][] = [];
  const stage = {
    ...{ store, metrics, log, left, uses, pressures },
    dedicated: false,
    /** What becomes of the pod that is ended. */
    onEnd: (_uid: string): Promise<unknown> => Promise.resolve(),
    onReclaim: () => {},
  };
  const rooms = (): Rooms => ({
    "memory.available": { available: left.memory, capacity: 1000 },
    "nodefs.available": { available: left.disk, capacity: 1000 },
  });
  const options: EvictionOptions = {
    host: createHost(),
    ...{ store, metrics, log: silentLog, nodeName: "box", thresholds },
    ...{ pressureTransition: 60_000, maxGrace: 0, everyMs: 5, patienceMs: 60_000 },
    look: () => (log.push("look"), Promise.resolve({ rooms: rooms(), dedicated: stage.dedicated })),
    measure: (pods, resource) => {
      log.push(`measure ${resource}`);
      const of = (pod: Pod) => ({ ...noConsumption, memory: uses.get(pod.metadata!.uid!) ?? 0 });
      return Promise.resolve(new Map(pods.map((pod) => [pod.metadata!.uid!, of(pod)])));
    },
    reclaim: () => (log.push("reclaim"), stage.onReclaim(), Promise.resolve()),
    end: (uid, end) => {
      log.push(`end ${uid} ${end.grace} ${end.told}`);
      return stage.onEnd(uid);
    },
    onPressures: (now) => void pressures.push([...now]),
  };
  return { stage, options };
}

async function withEvictions(
  thresholds: Threshold[],
  test: (stage: ReturnType<typeof createStage>["stage"], o: EvictionOptions) => Promise<void>,
) {
  const { stage, options } = createStage(thresholds);
  const stop = new AbortController();
  const running = runEvictions(options, stop.signal);
  try {
    await test(stage, options);
  } finally {
    stop.abort();
    await running;
  }
}

Deno.test("one pod after the other is ended, each when the one before has ended, until there is enough", () =>
  withEvictions([memory], async (stage) => {
    const { store, log, left, uses, pressures, metrics } = stage;
    for (const [uid, use] of [["big", 500], ["huge", 700], ["small", 1]] as const) {
      store.putPod(podOf(uid));
      uses.set(uid, use);
    }
    await until("it has looked", () => log.includes("look"));
    assertEquals([log.some((line) => line !== "look"), pressures[0]], [false, []]);
    const ended = Promise.withResolvers<void>();
    stage.onEnd = async (uid) => {
      if (uid === "huge") await ended.promise;
      else left.memory = 1000;
      store.putPod(podOf(uid, "Failed"));
    };
    left.memory = 99;
    await until("the first is ended", () => log.includes("end huge 1 true"));
    const looks = log.length;
    await new Promise((resolve) => setTimeout(resolve, 30));
    assertEquals(log.length, looks, "nothing is looked at while the pod ends");
    ended.resolve();
    await until("the second is ended, too", () => log.includes("end big 1 true"));
    const after = log.length;
    await until("it looks again", () => log.length > after + 3);
    assertEquals(log.filter((line) => line.startsWith("end")).length, 2, "there is enough");
    assertEquals(pressures.at(-1), ["MemoryPressure"], "for a while");
    assert(metrics.render().includes('kubelet_evictions{eviction_signal="memory.available"} 2'));
    assert(metrics.render().includes("kubelet_eviction_stats_age_seconds_count"));
    const events = store.events().map((e) => [e.object.name, e.reason, e.annotations?.["starved_resource"]]);
    assertEquals(events, [
      ["huge", "Evicted", "memory"],
      ["box", "EvictionThresholdMet", undefined],
      ["big", "Evicted", "memory"],
    ]);
  }));

Deno.test("what nobody needs is freed before a pod is ended for a disk; where that is enough none is", () =>
  withEvictions([disk], async (stage) => {
    const { store, log, left } = stage;
    store.putPod(podOf("web"));
    stage.onReclaim = () => void (left.disk = 100);
    left.disk = 10;
    await until("it has freed", () => log.includes("reclaim"));
    const after = log.length;
    await until("it looks again", () => log.length > after + 3);
    assertEquals(log.some((line) => line.startsWith("end") || line.startsWith("measure")), false);
    stage.onReclaim = () => {};
    stage.onEnd = (uid) => Promise.resolve(void (left.disk = 1000, store.putPod(podOf(uid, "Failed"))));
    left.disk = 10;
    await until("the pod is ended", () => log.includes("end web 1 true"));
    assert(log.lastIndexOf("reclaim") < log.indexOf("measure ephemeral-storage"));
  }));

Deno.test("images are not removed for a disk that they are not on", () =>
  withEvictions([disk], async (stage) => {
    stage.store.putPod(podOf("web"));
    stage.dedicated = true;
    stage.left.disk = 10;
    await until("the pod is ended", () => stage.log.includes("end web 1 true"));
    assertEquals(stage.log.includes("reclaim"), false);
  }));

Deno.test("a pod that does not end in time is not asked again; the next one goes", () =>
  withEvictions([memory], async (stage, options) => {
    options.patienceMs = 5;
    for (const uid of ["hangs", "next"]) stage.store.putPod(podOf(uid));
    stage.uses.set("hangs", 500);
    stage.onEnd = () => new Promise(() => {});
    stage.left.memory = 10;
    await until("both are asked", () => stage.log.includes("end next 1 true"));
    const after = stage.log.length;
    await until("it looks again", () => stage.log.length > after + 5);
    assertEquals(stage.log.filter((line) => line.startsWith("end")), ["end hangs 1 true", "end next 1 true"]);
  }));

Deno.test("a look that fails holds up nothing; without thresholds nobody looks", async () => {
  await withEvictions([memory], async (stage, options) => {
    stage.store.putPod(podOf("web"));
    const { look } = options;
    let failures = 2;
    options.look = (signal) => failures-- > 0 ? Promise.reject(new Error("no /proc")) : look(signal);
    stage.left.memory = 10;
    await until("the pod is ended all the same", () => stage.log.includes("end web 1 true"));
  });
  await withEvictions([], async ({ log }) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals(log, []);
  });
});
