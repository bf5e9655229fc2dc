/** Patches as the API server applies them; the cases are of its documentation. */
import { assertEquals, assertThrows } from "@std/assert";
import { jsonPatch, mergePatch, strategicMerge } from "../../../fakes/cluster/patch.ts";

Deno.test("a merge patch replaces lists, merges objects, and null takes away", () => {
  const before = { a: { b: 1, c: 2 }, list: [1, 2] };
  assertEquals(mergePatch(before, { a: { b: null, d: 3 }, list: [9] }), { a: { c: 2, d: 3 }, list: [9] });
});

Deno.test("a strategic merge knows conditions by type and containers by name; statuses of containers are replaced", () => {
  const before = {
    spec: { containers: [{ name: "a", image: "1", env: [{ name: "x", value: "1" }] }, { name: "b" }] },
    status: {
      conditions: [{ type: "Ready", status: "True", reason: "r" }, { type: "Other", status: "True" }],
      containerStatuses: [{ name: "a" }, { name: "b" }],
    },
  };
  const patch = {
    spec: {
      containers: [{ name: "a", env: [{ name: "y", value: "2" }] }, { $patch: "delete", name: "b" }],
    },
    status: {
      conditions: [{ type: "Ready", status: "False" }, { type: "New", status: "True" }],
      containerStatuses: [{ name: "a", ready: true }],
    },
  };
  assertEquals(strategicMerge(before, patch, "Pod"), {
    spec: {
      containers: [{
        name: "a",
        image: "1",
        env: [{ name: "x", value: "1" }, { name: "y", value: "2" }],
      }],
    },
    status: {
      conditions: [
        { type: "Ready", status: "False", reason: "r" },
        { type: "Other", status: "True" },
        { type: "New", status: "True" },
      ],
      containerStatuses: [{ name: "a", ready: true }],
    },
  });
});

Deno.test("a strategic merge obeys its directives", () => {
  const before = {
    metadata: { finalizers: ["a", "b"] },
    spec: { emptyDir: {}, name: "v" },
    status: { addresses: [{ type: "A", address: "1" }, { type: "B", address: "2" }] },
  };
  assertEquals(
    strategicMerge(before, {
      metadata: { "$deleteFromPrimitiveList/finalizers": ["a"] },
      spec: { $retainKeys: ["name", "hostPath"], hostPath: { path: "/" } },
      status: {
        "$setElementOrder/addresses": [{ type: "C" }, { type: "B" }],
        addresses: [{ type: "A", $patch: "delete" }, { type: "C", address: "3" }],
      },
    }, "Node"),
    {
      metadata: { finalizers: ["b"] },
      spec: { name: "v", hostPath: { path: "/" } },
      status: { addresses: [{ type: "C", address: "3" }, { type: "B", address: "2" }] },
    },
  );
  assertThrows(
    () => strategicMerge({}, { status: { conditions: [{ status: "True" }] } }, "Pod"),
    Error,
    "merge key: type",
  );
});

Deno.test("a JSON patch adds, replaces, removes, moves and tests", () => {
  const before = { list: [1, 2, 3], map: { "a/b": 1 } };
  const steps = [
    { op: "test", path: "/list/0", value: 1 },
    { op: "add", path: "/list/1", value: 9 },
    { op: "add", path: "/list/-", value: 4 },
    { op: "remove", path: "/list/0" },
    { op: "move", from: "/map/a~1b", path: "/map/c" },
    { op: "copy", from: "/map/c", path: "/d" },
  ];
  assertEquals(jsonPatch(before, steps), { list: [9, 2, 3, 4], map: { c: 1 }, d: 1 });
  assertThrows(() => jsonPatch(before, [{ op: "test", path: "/list/0", value: 2 }]), Error, "testing value");
  assertThrows(() => jsonPatch(before, [{ op: "remove", path: "/none" }]), Error, "does not exist");
});
