/** Whom a node that is short of something evicts, in which words, and which pods it takes meanwhile. */
import { assertEquals } from "@std/assert";
import {
  type Consumption,
  evictionOf,
  noConsumption,
  rankPods,
  whyUnderPressure,
} from "../../../../agent/model/eviction.ts";
import type { Pressure, Signal, Threshold } from "../../../../agent/model/eviction_thresholds.ts";
import type { Pod, PodSpec } from "../../../../agent/model/gen/v1.ts";
import type { Rooms } from "../../../../agent/model/node_pressure.ts";

const Mi = 2 ** 20;

const podOf = (name: string, spec: Partial<PodSpec> = {}, phase = "Running", source = "api"): Pod => ({
  metadata: {
    name,
    namespace: "default",
    uid: name,
    annotations: { "kubernetes.io/config.source": source },
  },
  spec: { containers: [{ name: "main" }], ...spec },
  status: { phase },
});
const asking = (requests: Record<string, string>, more: Partial<PodSpec> = {}): Partial<PodSpec> => ({
  containers: [{ name: "main", resources: { requests } }],
  ...more,
});
const ofMemory = (bytes: number): Consumption => ({
  ...noConsumption,
  memory: bytes,
  containers: new Map([["main", { memory: bytes, layer: none, logs: none }]]),
});
const none = { bytes: 0, inodes: 0 };
const onDisk = (layer: number, logs: number, volumes: number): Consumption => ({
  ...noConsumption,
  containers: new Map([["main", {
    memory: 0,
    layer: { bytes: layer, inodes: layer },
    logs: { bytes: logs, inodes: logs },
  }]]),
  volumes: { bytes: volumes, inodes: volumes },
});

function ranked(signal: Signal, pods: readonly [Pod, Consumption?][], dedicated = false): string[] {
  const uses = new Map(pods.flatMap(([pod, use]) => use === undefined ? [] : [[pod.metadata!.uid!, use]]));
  return rankPods(pods.map(([pod]) => pod), signal, uses, dedicated).map((pod) => pod.metadata!.name!);
}

Deno.test("who uses more memory than it asked for goes first, then by priority, then by how much more", () => {
  const order = ranked("memory.available", [
    [podOf("below, low", asking({ memory: "200Mi" }, { priority: -1 })), ofMemory(100 * Mi)],
    [podOf("below, far", asking({ memory: "900Mi" })), ofMemory(100 * Mi)],
    [podOf("above, high", { priority: 10 }), ofMemory(900 * Mi)],
    [podOf("above, little", asking({ memory: "100Mi" })), ofMemory(101 * Mi)],
    [podOf("above, much", asking({ memory: "100Mi" })), ofMemory(300 * Mi)],
    [podOf("unknown")],
  ]);
  assertEquals(order, [
    "above, much",
    "above, little",
    "above, high",
    "below, low",
    "unknown",
    "below, far",
  ]);
});

Deno.test("what the node cannot do without, and what has ended, is never evicted", () => {
  const order = ranked("memory.available", [
    [podOf("static", {}, "Running", "file"), ofMemory(9 * Mi)],
    [podOf("critical", { priority: 2_000_000_000 }), ofMemory(9 * Mi)],
    [podOf("important", { priority: 1_999_999_999 }), ofMemory(9 * Mi)],
    [podOf("over", {}, "Succeeded"), ofMemory(9 * Mi)],
    [podOf("waits", {}, "Pending")],
  ]);
  assertEquals(order, ["important", "waits"]);
});

Deno.test("disks: what lies on the file system that is short counts, against requests of ephemeral-storage", () => {
  const layers = [podOf("layers"), onDisk(300, 0, 0)] as const;
  const logs = [podOf("logs"), onDisk(0, 200, 0)] as const;
  const volumes = [podOf("volumes"), onDisk(0, 0, 400)] as const;
  const asked = [podOf("asked", asking({ "ephemeral-storage": "1k" })), onDisk(300, 300, 300)] as const;
  const all: [Pod, Consumption][] = [[...layers], [...logs], [...volumes], [...asked]];
  for (const signal of ["nodefs.available", "imagefs.available"] as const) {
    assertEquals(ranked(signal, all), ["volumes", "layers", "logs", "asked"]);
  }
  assertEquals(ranked("nodefs.available", all, true), ["volumes", "logs", "layers", "asked"]);
  assertEquals(ranked("imagefs.available", all, true)[0], "layers");
  assertEquals(
    ranked("nodefs.inodesFree", all),
    ["asked", "volumes", "layers", "logs"],
    "nobody asks for inodes",
  );
});

Deno.test("process ids: by priority, then by how many", () => {
  const of = (processes: number): Consumption => ({ ...noConsumption, processes });
  const order = ranked("pid.available", [
    [podOf("few"), of(3)],
    [podOf("many"), of(30)],
    [podOf("high", { priority: 1 }), of(300)],
    [podOf("low", { priority: -1 }), of(1)],
  ]);
  assertEquals(order, ["low", "many", "few", "high"]);
});

const memoryRooms: Rooms = { "memory.available": { available: 1500 * 1024, capacity: 2 ** 33 } };
const hard: Threshold = { signal: "memory.available", amount: 2 * Mi };

Deno.test("an eviction for memory blames the containers that use more than they asked for", () => {
  const pod = podOf("web", {
    containers: [{ name: "a", resources: { requests: { memory: "1Mi" } } }, { name: "b" }],
    initContainers: [{ name: "c", resources: { requests: { memory: "64Mi" } } }],
  });
  const use: Consumption = {
    ...noConsumption,
    memory: 6 * Mi,
    containers: new Map(["a", "b", "c"].map((name) => [name, { memory: 3 * Mi, layer: none, logs: none }])),
  };
  const { end, annotations } = evictionOf(pod, { due: [hard], rooms: memoryRooms, use, maxGrace: 0 });
  const message = "The node was low on resource: memory. Threshold quantity: 2Mi, available: 1500Ki. " +
    "Container a was using 3Mi, request is 1Mi, has larger consumption of memory. " +
    "Container b was using 3Mi, request is 0, has larger consumption of memory. ";
  assertEquals(end, { reason: "Evicted", message, grace: 1, disruption: message });
  assertEquals(annotations, {
    offending_containers: "a,b",
    offending_containers_usage: "3Mi,3Mi",
    starved_resource: "memory",
  });
});

Deno.test("a pod that asks for memory as a whole is blamed as a whole, too", () => {
  const pod = podOf("web", { resources: { requests: { memory: "1Mi" } } });
  const { end, annotations } = evictionOf(pod, {
    due: [hard],
    rooms: {},
    use: { ...ofMemory(0), memory: 2 * Mi },
    maxGrace: 0,
  });
  assertEquals(
    end.message,
    "The node was low on resource: memory. " +
      "Pod web was using 2Mi, request is 1Mi, has larger consumption of memory. ",
  );
  assertEquals([annotations["offending_pod"], annotations["offending_pod_usage"]], ["web", "2Mi"]);
});

Deno.test("disks, inodes and process ids in the kubelet's words", () => {
  const words = (threshold: Threshold, rooms: Rooms, use: Consumption) =>
    evictionOf(podOf("web"), { due: [threshold], rooms, use, maxGrace: 0 }).end.message;
  const disk = { "nodefs.available": { available: 1023, capacity: 10_240 } };
  assertEquals(
    words({ signal: "nodefs.available", part: 0.1 }, disk, onDisk(10, 7, 99)),
    "The node was low on resource: ephemeral-storage. Threshold quantity: 1Ki, available: 1023. " +
      "Container main was using 17, request is 0, has larger consumption of ephemeral-storage. ",
  );
  const inodes = { "imagefs.inodesFree": { available: 3000, capacity: 100_000 } };
  assertEquals(
    words({ signal: "imagefs.inodesFree", part: 0.05 }, inodes, onDisk(1, 1, 1)),
    "The node was low on resource: inodes. Threshold quantity: 5k, available: 3k. ",
  );
  const pids = { "pid.available": { available: 99, capacity: 1000 } };
  assertEquals(
    words({ signal: "pid.available", amount: 100 }, pids, noConsumption),
    "The node was low on resource: pids. Threshold quantity: 100, available: 99. ",
  );
});

Deno.test("a soft threshold leaves the pod its own grace, up to the node's", () => {
  const grace = (seconds: number | undefined, maxGrace: number) => {
    const spec = seconds === undefined ? {} : { terminationGracePeriodSeconds: seconds };
    const due = [{ ...hard, grace: 60_000 }];
    return evictionOf(podOf("web", spec), { due, rooms: {}, use: noConsumption, maxGrace }).end.grace;
  };
  assertEquals([grace(5, 10), grace(20, 10), grace(undefined, 60), grace(5, 0)], [5, 10, 30, 0]);
});

Deno.test("under pressure: memory keeps BestEffort pods out, all else every pod that is not critical", () => {
  const bestEffort = podOf("web");
  const burstable = podOf("web", asking({ memory: "1Mi" }));
  const said = (pod: Pod, ...pressures: Pressure[]) => whyUnderPressure(pod, new Set(pressures))?.message;
  const memory = "The node had condition: [MemoryPressure]. ";
  assertEquals(said(bestEffort), undefined);
  assertEquals([said(bestEffort, "MemoryPressure"), said(burstable, "MemoryPressure")], [memory, undefined]);
  const tolerant = (toleration: object) => podOf("web", { tolerations: [toleration] });
  const key = "node.kubernetes.io/memory-pressure";
  for (
    const [toleration, expected] of [
      [{ key, operator: "Exists" }, undefined],
      [{ operator: "Exists" }, undefined],
      [{ key, operator: "Exists", effect: "NoSchedule" }, undefined],
      [{ key, effect: "NoSchedule" }, undefined],
      [{ key, value: "much" }, memory],
      [{ key, operator: "Exists", effect: "NoExecute" }, memory],
      [{ key: "node.kubernetes.io/disk-pressure", operator: "Exists" }, memory],
    ] as const
  ) assertEquals(said(tolerant(toleration), "MemoryPressure"), expected, JSON.stringify(toleration));
  const disk = "The node had condition: [DiskPressure]. ";
  assertEquals([said(burstable, "DiskPressure"), said(tolerant({ operator: "Exists" }), "DiskPressure")], [
    disk,
    disk,
  ]);
  assertEquals(
    said(burstable, "MemoryPressure", "PIDPressure"),
    "The node had condition: [MemoryPressure PIDPressure]. ",
  );
  assertEquals(said(podOf("web", { priority: 2_000_001_000 }), "DiskPressure"), undefined);
  assertEquals(said(podOf("web", {}, "Pending", "file"), "DiskPressure"), undefined);
});
