import { assertEquals } from "@std/assert";
import { orphansOf, type Traces } from "../../../../plugins/containerd/orphans.ts";

const shim = (id: string) => ({ id, pid: 7, startTime: "1", argv: [] });
const trace = (id: string) => ({ id, path: `/x/${id}` });

const traces: Traces = {
  shims: [shim("a"), shim("lost")],
  cgroups: [trace("a"), trace("lost")],
  addresses: [trace("a"), trace("lost")],
  results: [{ ...trace("a"), namespace: "/ns/a" }, { ...trace("lost"), namespace: "/ns/lost" }],
  namespaces: ["/ns/a", "/ns/lost", "/ns/never-joined"],
  rules: ["a", "lost"],
};

Deno.test("what bears an id that is on no record is an orphan; a network namespace is one when no record joined it", () => {
  assertEquals(orphansOf(traces, new Set(["a"]), new Set()), {
    shims: [shim("lost")],
    cgroups: [trace("lost")],
    addresses: [trace("lost")],
    results: [{ ...trace("lost"), namespace: "/ns/lost" }],
    namespaces: ["/ns/lost", "/ns/never-joined"],
    rules: ["lost"],
  });
});

Deno.test("with everything on record cgroup and rules of what has ended and a namespace that nobody joined are orphans", () => {
  const orphans = orphansOf(traces, new Set(["a", "lost", "another"]), new Set(["a"]));
  assertEquals(orphans, {
    shims: [],
    cgroups: [trace("a")],
    addresses: [],
    results: [],
    namespaces: ["/ns/never-joined"],
    rules: ["a"],
  });
});
