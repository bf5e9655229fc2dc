/** Thresholds against what is left: which pressure a node is under, and for how long it says so. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { nodeAmounts } from "../../../../agent/model/node_amounts.ts";
import {
  holdPressures,
  keptFree,
  parseThresholds,
  pressuresNow,
  type Rooms,
  type Threshold,
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

Deno.test("thresholds are quantities or parts of the whole; none is none", () => {
  assertEquals(kubelets.length, 4);
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

Deno.test("less than a threshold is pressure; what was not measured is none", () => {
  const rooms = (more: Rooms): Rooms => ({
    "memory.available": { available: 2 ** 30, capacity: 2 ** 31 },
    ...more,
  });
  assertEquals([...pressuresNow(kubelets, rooms({}))], []);
  const low: Rooms = {
    "memory.available": { available: 99 * 2 ** 20, capacity: 2 ** 31 },
    "imagefs.available": { available: 149, capacity: 1000 },
  };
  assertEquals([...pressuresNow(kubelets, low)].sort(), ["DiskPressure", "MemoryPressure"]);
  const exact: Rooms = { "imagefs.available": { available: 150, capacity: 1000 } };
  assertEquals([...pressuresNow(kubelets, exact)], []);
});

Deno.test("pressure lasts a while after it was seen last", () => {
  const seen = holdPressures(new Map(), new Set(["DiskPressure" as const]), 1000, 300);
  const later = holdPressures(seen, new Set(), 1299, 300);
  assertEquals([...later.keys()], ["DiskPressure"]);
  assertEquals([...holdPressures(later, new Set(), 1300, 300).keys()], []);
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
