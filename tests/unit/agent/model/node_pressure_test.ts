/** Thresholds against what is left: which pressure a node is under, for how long, and what pods are evicted for. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  keptFree,
  parseThresholds,
  type Threshold,
  thresholdsOf,
  watchedThresholds,
} from "../../../../agent/model/eviction_thresholds.ts";
import { nodeAmounts } from "../../../../agent/model/node_amounts.ts";
import {
  isRelieved,
  lookAtPressure,
  nextDue,
  noPressure,
  pressuresOf,
  type PressureState,
  type Rooms,
} from "../../../../agent/model/node_pressure.ts";

function thresholds(texts: Record<string, string>): Threshold[] {
  const read = parseThresholds(texts);
  if ("wrong" in read) throw new Error(read.wrong);
  return read.thresholds;
}

const kubelets = thresholds({
  "memory.available": "100Mi",
  "nodefs.available": "10%",
  "nodefs.inodesFree": "5%",
  "imagefs.available": "15%",
  "pid.available": "0",
});

const dueOf = ({ due }: PressureState) => due.map(({ signal }) => signal);
const seenOf = (state: PressureState) => [...pressuresOf(state)].sort();
const memoryLeft = (available: number): Rooms => ({ "memory.available": { available, capacity: 1000 } });

Deno.test("thresholds are quantities or parts of the whole; 0, 0% and 100% are none", () => {
  assertEquals(kubelets.length, 4);
  assertEquals(thresholds({ "memory.available": "100%", "nodefs.available": "0%" }), []);
  assertEquals(keptFree(kubelets, "memory.available", 2 ** 30), 100 * 2 ** 20);
  assertEquals(keptFree(kubelets, "nodefs.available", 1000), 100);
  assertEquals(keptFree(kubelets, "pid.available", 1000), 0);
  for (
    const [text, expected] of [["10 %", "quantity"], ["101%", "0% to 100%"], ["-5Mi", "quantity"]] as const
  ) {
    const read = parseThresholds({ "memory.available": text });
    assertStringIncludes("wrong" in read ? read.wrong : "taken", expected);
  }
  const unknown = parseThresholds({ "memory.free": "1Mi" });
  assertStringIncludes("wrong" in unknown ? unknown.wrong : "", "memory.available");
});

Deno.test("the share of pods is watched like the node's memory; what has the containers is nodefs or imagefs", () => {
  const hard = thresholds({
    "memory.available": "1Gi",
    "containerfs.available": "5%",
    "pid.available": "10",
  });
  const soft = [{ ...thresholds({ "memory.available": "2Gi" })[0]!, grace: 1000 }];
  assertEquals(watchedThresholds(hard, soft).map((t) => [t.signal, t.grace]), [
    ["memory.available", undefined],
    ["pid.available", undefined],
    ["memory.available", 1000],
    ["allocatableMemory.available", undefined],
  ]);
});

Deno.test("less than a threshold is pressure; as much, or what was not measured, is none", () => {
  const rooms = (more: Rooms): Rooms => ({
    "memory.available": { available: 2 ** 30, capacity: 2 ** 31 },
    ...more,
  });
  const look = (rooms: Rooms) => lookAtPressure(noPressure, kubelets, rooms, 0, 300);
  assertEquals(seenOf(look(rooms({}))), []);
  const low: Rooms = {
    "imagefs.available": { available: 149, capacity: 1000 },
    "memory.available": { available: 99 * 2 ** 20, capacity: 2 ** 31 },
  };
  assertEquals(seenOf(look(low)), ["DiskPressure", "MemoryPressure"]);
  assertEquals(dueOf(look(low)), ["memory.available", "imagefs.available"], "memory comes first");
  assertEquals(seenOf(look({ "imagefs.available": { available: 150, capacity: 1000 } })), []);
});

Deno.test("pressure lasts a while after it was seen last; pods are evicted only while it is seen", () => {
  const hard = thresholds({ "memory.available": "100" });
  const seen = lookAtPressure(noPressure, hard, memoryLeft(99), 1000, 300);
  assertEquals([dueOf(seen), seenOf(seen)], [["memory.available"], ["MemoryPressure"]]);
  const later = lookAtPressure(seen, hard, memoryLeft(100), 1299, 300);
  assertEquals([dueOf(later), seenOf(later)], [[], ["MemoryPressure"]]);
  assertEquals(seenOf(lookAtPressure(later, hard, memoryLeft(100), 1300, 300)), []);
});

Deno.test("a soft threshold is pressure at once, and due after its grace period without a break", () => {
  const { soft } = thresholdsOf({
    hard: {},
    soft: { "memory.available": "10%" },
    softGrace: { "memory.available": "2m" },
    reclaim: {},
  });
  const look = (state: PressureState, available: number, now: number) =>
    lookAtPressure(state, soft, memoryLeft(available), now, 0);
  const first = look(noPressure, 99, 10_000);
  assertEquals([dueOf(first), [...first.seen.keys()]], [[], ["MemoryPressure"]]);
  assertEquals(nextDue(first, 15_000), 115_000);
  assertEquals(dueOf(look(first, 99, 129_999)), []);
  assertEquals(dueOf(look(first, 99, 130_000)), ["memory.available"]);
  const broken = look(look(first, 100, 60_000), 99, 70_000);
  assertEquals(dueOf(look(broken, 99, 130_000)), [], "it begins anew");
  assertEquals(nextDue(noPressure, 0), Infinity);
});

Deno.test("once pods are evicted for a threshold, what is to be freed at least must be free, too", () => {
  const { hard } = thresholdsOf({
    hard: { "memory.available": "100" },
    soft: {},
    softGrace: {},
    reclaim: { "memory.available": "5%" },
  });
  const look = (state: PressureState, available: number) =>
    lookAtPressure(state, hard, memoryLeft(available), 0, 300);
  assertEquals(dueOf(look(noPressure, 149)), [], "it is not passed yet");
  const passed = look(noPressure, 99);
  assertEquals(dueOf(look(passed, 149)), ["memory.available"]);
  assertEquals(dueOf(look(passed, 150)), []);
  assertEquals([isRelieved(hard, memoryLeft(149)), isRelieved(hard, memoryLeft(150))], [false, true]);
});

Deno.test("pods may have what is not kept for the host, for huge pages, or free", () => {
  const whole = {
    cpus: 4,
    memory: 8 * 2 ** 30,
    hugePages: new Map([[2 ** 21, 2 ** 30]]),
    pods: 110,
    disk: 1000,
  };
  const kept = { cpu: 0.5, memory: 2 ** 30, ephemeralStorage: 100 };
  assertEquals(nodeAmounts(whole, kept, kubelets), {
    capacity: { cpu: 4, memory: 8 * 2 ** 30, "hugepages-2Mi": 2 ** 30, pods: 110, "ephemeral-storage": 1000 },
    allocatable: {
      cpu: 3.5,
      memory: 6 * 2 ** 30 - 100 * 2 ** 20,
      "hugepages-2Mi": 2 ** 30,
      pods: 110,
      "ephemeral-storage": 800,
    },
  });
});
