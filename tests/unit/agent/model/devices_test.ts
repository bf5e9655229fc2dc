import { assertEquals } from "@std/assert";
import {
  allocatableDevices,
  byNuma,
  chooseDevices,
  deviceAmounts,
  type DeviceOffer,
  deviceRequests,
  type Grants,
  healthOf,
  nodeResources,
  obstaclesOf,
  questionOf,
  reusable,
  type SelectionFacts,
  selectionOf,
  suffices,
} from "../../../../agent/model/devices.ts";
import type { Container, Pod } from "../../../../agent/model/gen/v1.ts";

const offer = (ids: Record<string, number[] | "ill">, connected = true): DeviceOffer => ({
  devices: Object.entries(ids).map(([id, nodes]) =>
    nodes === "ill" ? { id, healthy: false, numaNodes: [] } : { id, healthy: true, numaNodes: nodes }
  ),
  connected,
  prefers: true,
  preStarts: false,
});
const container = (name: string, count: number, more: Partial<Container> = {}): Container => ({
  name,
  resources: { limits: { "a.com/x": String(count), cpu: "1", "hugepages-2Mi": "2Mi" } },
  ...more,
});
const podOf = (containers: Container[], initContainers: Container[] = []): Pod => ({
  spec: { containers, initContainers },
});
const given = (ids: Record<string, string[]>) =>
  new Map(
    Object.entries(ids).map(([name, list]) => [
      name,
      new Map([["a.com/x", { devices: new Map([[-1, list]]), edits: { owner: "" } }]]),
    ]),
  );

Deno.test("a container asks for devices by limits with a domain in their name", () => {
  assertEquals(deviceRequests(container("a", 2)), [["a.com/x", 2]]);
  assertEquals(deviceRequests(container("a", 0)), []);
});

const select = (facts: Partial<SelectionFacts>) =>
  selectionOf({ offer: offer({}), size: 1, own: [], reuse: new Set(), used: new Set(), ...facts });

Deno.test("healthy and free devices are given in the order of the offer", () => {
  const s = select({ offer: offer({ a: "ill", b: [], c: [], d: [] }), size: 2, used: new Set(["b"]) });
  assertEquals(chooseDevices(s), ["c", "d"]);
  assertEquals(suffices({ ...s, size: 3 }), false);
});

Deno.test("what a container has it keeps, even ill; then come devices that init containers leave", () => {
  const of = { offer: offer({ a: "ill", b: [], c: [], d: [] }), used: new Set(["a", "d"]) };
  assertEquals(chooseDevices(select({ ...of, size: 3, own: ["a"], reuse: new Set(["d"]) })), ["a", "d", "b"]);
  assertEquals(chooseDevices(select({ ...of, size: 1, own: ["a", "b"] })), ["a"]);
});

Deno.test("devices near to the wanted NUMA nodes come first, then far ones, then those near to none", () => {
  const of = { offer: offer({ a: [], b: [1], c: [0, 1], d: [0] }), near: new Set([0]) };
  assertEquals(chooseDevices(select({ ...of, size: 1 })), ["c"]);
  assertEquals(chooseDevices(select({ ...of, size: 3 })), ["c", "d", "b"]);
  assertEquals(chooseDevices(select({ ...of, size: 4 })), ["c", "d", "b", "a"]);
});

Deno.test("a source with a preference is asked where there is a choice, among near devices if they suffice", () => {
  const of = { offer: offer({ a: [], b: [1], c: [0], d: [0] }), near: new Set([0]) };
  assertEquals(questionOf(select({ ...of, size: 4 })), undefined);
  assertEquals(questionOf(select({ ...of, size: 2 })), undefined);
  assertEquals(questionOf(select({ ...of, size: 1 })), { available: ["c", "d"], mustInclude: [], size: 1 });
  assertEquals(questionOf(select({ ...of, size: 3 })), {
    available: ["c", "d", "b", "a"],
    mustInclude: ["c", "d"],
    size: 3,
  });
  assertEquals(chooseDevices(select({ ...of, size: 1 }), ["d"]), ["d"]);
  assertEquals(chooseDevices(select({ ...of, size: 3 }), ["a", "c", "d"]), ["c", "d", "a"]);
  assertEquals(
    chooseDevices(select({ ...of, size: 1 }), ["nonsense", "b"]),
    ["c"],
    "what is not free is no choice",
  );
});

Deno.test("init containers leave their devices to those after them; sidecars and others keep theirs", () => {
  const side = container("side", 1, { restartPolicy: "Always" });
  const pod = podOf([container("app", 1), container("more", 1)], [
    container("one", 2),
    side,
    container("two", 1),
  ]);
  const has = given({ one: ["a", "b"], side: ["c"] });
  assertEquals(reusable(pod, has, "one", "a.com/x"), new Set());
  assertEquals(reusable(pod, has, "two", "a.com/x"), new Set(["a", "b"]));
  assertEquals(reusable(pod, has, "app", "a.com/x"), new Set(["a", "b"]));
  const later = given({ one: ["a", "b"], side: ["a"], app: ["b"] });
  assertEquals(reusable(pod, later, "more", "a.com/x"), new Set());
  assertEquals(reusable(pod, later, "app", "a.com/x"), new Set(["b"]));
});

Deno.test("a pod is told what it lacks: who offers nothing, what others have, counting what init containers leave", () => {
  const pod = podOf([container("app", 2)], [container("init", 2)]);
  const kinds = (grants: Grants, of: DeviceOffer | undefined) =>
    obstaclesOf(pod, "u", grants, new Map(of && [["a.com/x", of]])).map((each) =>
      `${each.container} ${each.kind} ${each.free}`
    );
  assertEquals(kinds(new Map(), undefined), ["init absent 0", "app absent 0"]);
  assertEquals(kinds(new Map(), offer({ a: [], b: [] }, false)), ["init absent 0", "app absent 0"]);
  assertEquals(kinds(new Map(), offer({ a: [], b: [] })), []);
  assertEquals(kinds(new Map(), offer({ a: [], b: "ill" })), ["init short 1", "app short 1"]);
  assertEquals(kinds(new Map([["other", given({ x: ["b"] })]]), offer({ a: [], b: [], c: [] })), []);
  assertEquals(kinds(new Map([["other", given({ x: ["b"] })]]), offer({ a: [], b: [] })), [
    "init short 1",
    "app short 1",
  ]);
  const mine = new Map([["u", given({ init: ["a", "b"], app: ["a", "b"] })]]);
  assertEquals(kinds(mine, offer({ a: "ill", b: [] })), [], "what it has counts, healthy or not");
});

Deno.test("capacity counts all devices, allocatable the healthy ones of sources that are there", () => {
  const offers = new Map([["a.com/x", offer({ a: [], b: "ill" })], ["b.com/y", offer({ a: [] }, false)]]);
  assertEquals(Object.fromEntries(deviceAmounts(offers)), {
    "a.com/x": { capacity: 2, allocatable: 1 },
    "b.com/y": { capacity: 1, allocatable: 0 },
  });
  assertEquals(allocatableDevices(offers), { "a.com/x": 1 });
});

Deno.test("a node's status has devices among its resources", () => {
  const offers = new Map([["a.com/x", offer({ a: [], b: "ill" })]]);
  const own = { capacity: { cpu: 2, memory: 2 ** 31 }, allocatable: { cpu: 1.5, memory: 2 ** 30 } };
  assertEquals(nodeResources(own, offers), {
    capacity: { cpu: "2", memory: "2Gi", "a.com/x": "2" },
    allocatable: { cpu: "1500m", memory: "1Gi", "a.com/x": "1" },
  });
});

Deno.test("the health of a device is unknown where its source is away or tells nothing of it", () => {
  const of = { a: [], b: "ill" as const };
  assertEquals(["a", "b", "c"].map((id) => healthOf(id, offer(of))), ["Healthy", "Unhealthy", "Unknown"]);
  assertEquals(healthOf("a", offer(of, false)), "Unknown");
  assertEquals(healthOf("a", undefined), "Unknown");
});

Deno.test("devices are sorted by NUMA node; one that is near to several stands at each", () => {
  assertEquals(
    byNuma(["a", "b", "c"], offer({ a: [0, 1], b: [], c: [1] })),
    new Map([
      [0, ["a"]],
      [1, ["a", "c"]],
      [-1, ["b"]],
    ]),
  );
});
