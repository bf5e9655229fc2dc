import { assert, assertEquals } from "@std/assert";
import { formatCpuSet, parseCpuSet } from "../../../../agent/model/cpu_set.ts";
import {
  type Assignments,
  cpuHints,
  type CpuNode,
  giveCpus,
  podCpuHints,
  sharedCpus,
  type StaticOptions,
  wantedCpus,
} from "../../../../agent/model/exclusive_cpus.ts";
import type { Container, Pod } from "../../../../agent/model/gen/v1.ts";
import { machine, type MachineName } from "./machines/mod.ts";

const plain: StaticOptions = {
  wholeCores: false,
  distribute: false,
  bySocket: false,
  strictReservation: false,
};
const node = (name: MachineName, reserved: string, options: Partial<StaticOptions> = {}): CpuNode => ({
  topology: machine(name),
  reserved: parseCpuSet(reserved)!,
  options: { ...plain, ...options },
});
const container = (name: string, cpu: string, more: Partial<Container> = {}): Container => ({
  name,
  resources: { limits: { cpu, memory: "1Mi" } },
  ...more,
});
const podOf = (containers: Container[], initContainers: Container[] = []): Pod => ({
  spec: { containers, initContainers },
});

/** All containers of a pod, in order; what each has, or the reason why one gets nothing. */
function giveAll(of: CpuNode, pod: Pod, before: Assignments, nodes?: number) {
  const own = new Map(before.get("u"));
  const assignments = new Map(before).set("u", own);
  for (const c of [...pod.spec!.initContainers ?? [], ...pod.spec!.containers]) {
    const given = giveCpus(of, assignments, { pod, uid: "u", container: c, nodes });
    if (given !== undefined && "reason" in given) return given;
    if (given !== undefined) own.set(c.name, given);
  }
  return Object.fromEntries([...own].map(([name, cpus]) => [name, formatCpuSet(cpus)]));
}

Deno.test("whole CPUs of Guaranteed pods are their own; everybody else shares", () => {
  const wanted = (pod: Pod) => wantedCpus(pod, pod.spec!.containers[0]!);
  assertEquals(wanted(podOf([container("a", "2")])), 2);
  assertEquals(wanted(podOf([container("a", "2000m")])), 2);
  assertEquals(wanted(podOf([container("a", "1500m")])), 0);
  assertEquals(wanted(podOf([container("a", "2"), { name: "b" }])), 0, "Burstable");
  assertEquals(wanted(podOf([{ name: "a", resources: { requests: { cpu: "2", memory: "1Mi" } } }])), 0);
  const whole = { cpu: "2", memory: "1Mi" };
  assertEquals(wanted({ spec: { containers: [container("a", "2")], resources: { limits: whole } } }), 0);
});

Deno.test("what is given leaves the pool; what is reserved stays in it and is never given", () => {
  const vm = node("vm-2-cpus", "0");
  assertEquals(giveAll(vm, podOf([container("a", "1")]), new Map()), { a: "1" });
  const taken: Assignments = new Map([["u", new Map([["a", new Set([1])]])]]);
  assertEquals(formatCpuSet(sharedCpus(vm, taken)), "0");
  assertEquals(formatCpuSet(sharedCpus(vm, new Map())), "0-1");
  const strict = node("vm-2-cpus", "0", { strictReservation: true });
  assertEquals(formatCpuSet(sharedCpus(strict, new Map())), "1");
  assertEquals(giveAll(vm, podOf([container("a", "2")]), new Map()), {
    reason: "UnexpectedAdmissionError",
    message:
      "Allocate failed due to not enough cpus available to satisfy request: requested=2, available=1, " +
      "which is unexpected",
  });
});

Deno.test("a container that has its CPUs keeps them; it gets more to them, or fewer of them", () => {
  const amd = node("amd-4-sockets-8-nodes", "0");
  const had: Assignments = new Map([["u", new Map([["a", parseCpuSet("8-9")!]])]]);
  assertEquals(giveAll(amd, podOf([container("a", "2")]), had), { a: "8-9" });
  assertEquals(giveAll(amd, podOf([container("a", "1")]), had), { a: "8" });
  const more = giveAll(amd, podOf([container("a", "4")]), had) as Record<string, string>;
  assert(parseCpuSet("8-9")!.isSubsetOf(parseCpuSet(more["a"]!)!), more["a"]);
});

Deno.test("init containers hand their CPUs on, sidecars keep theirs", () => {
  const amd = node("amd-4-sockets-8-nodes", "0-1");
  const sidecar: Partial<Container> = { restartPolicy: "Always" };
  const given = giveAll(
    amd,
    podOf([container("a", "2"), container("b", "2")], [
      container("first", "4"),
      container("side", "2", sidecar),
      container("last", "2"),
    ]),
    new Map(),
  ) as Record<string, string>;
  const of = (name: string) => parseCpuSet(given[name]!)!;
  assert(of("side").isSubsetOf(of("first")), "a sidecar begins when the one before it has ended");
  assert(of("last").isDisjointFrom(of("side")));
  for (const name of ["a", "b"]) assert(of(name).isDisjointFrom(of("side")), JSON.stringify(given));
  assert(of("a").isDisjointFrom(of("b")));
  assert(of("a").isSubsetOf(of("first").union(of("last"))), JSON.stringify(given));
});

Deno.test("full-pcpus-only gives whole cores or says why not", () => {
  const amd = node("amd-4-sockets-8-nodes", "0", { wholeCores: true });
  assertEquals(giveAll(amd, podOf([container("a", "3")]), new Map()), {
    reason: "SMTAlignmentError",
    message: "Allocate failed due to SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2, " +
      "which is unexpected",
  });
  const left: Assignments = new Map([["other", new Map([["x", parseCpuSet("4-63")!]])]]);
  assertEquals(giveAll(amd, podOf([container("a", "2")]), left), { a: "2-3" });
  const none: Assignments = new Map([["other", new Map([["x", parseCpuSet("2-63")!]])]]);
  const refused = giveAll(amd, podOf([container("a", "2")]), none);
  assertEquals(
    refused["reason"],
    "SMTAlignmentError",
    "CPU 1 is a thread of a core that is reserved in part",
  );
});

Deno.test("hints: the nodes with enough free CPUs; given ones are told again; others' nodes are left out", () => {
  const t = node("intel-4-nodes-interleaved", "0");
  const pod = podOf([container("a", "10")]);
  const c = pod.spec!.containers[0]!;
  const preferred = (hints: ReturnType<typeof cpuHints>) =>
    hints?.filter((h) => h.preferred).map((h) => h.nodes);
  assertEquals(
    preferred(cpuHints(t, new Map(), pod, "u", c)),
    [0b0010, 0b0100, 0b1000],
    "node 0 lacks CPU 0",
  );
  const had: Assignments = new Map([["u", new Map([["a", parseCpuSet("2,6,10,14,18,22,26,30,34,38")!]])]]);
  assertEquals(preferred(cpuHints(t, had, pod, "u", c)), [0b0100]);
  assertEquals(preferred(podCpuHints(t, had, pod, "u")), [0b0100]);
  assertEquals(
    cpuHints(t, new Map(), podOf([container("a", "100m")]), "u", container("a", "100m")),
    undefined,
  );
  const big = podOf([container("a", "6"), container("b", "6")]);
  assertEquals(preferred(podCpuHints(t, new Map(), big, "u"))?.length, 6, "twelve need two of four nodes");
});

Deno.test("CPUs come from the nodes that were chosen, as far as they have enough", () => {
  const t = node("intel-4-nodes-interleaved", "0");
  assertEquals(giveAll(t, podOf([container("a", "2")]), new Map(), 0b1000), { a: "3,7" });
  const eleven = giveAll(t, podOf([container("a", "11")]), new Map(), 0b1000) as Record<string, string>;
  const all = parseCpuSet(eleven["a"]!)!;
  assertEquals([...all].filter((cpu) => cpu % 4 === 3).length, 10);
});

Deno.test("align-by-socket: nodes of one socket count as one", () => {
  const amd = node("amd-4-sockets-8-nodes", "0", { bySocket: true });
  const pod = podOf([container("a", "8")]);
  const hints = cpuHints(amd, new Map(), pod, "u", pod.spec!.containers[0]!)!;
  const of = (nodes: number) => hints.find((h) => h.nodes === nodes)?.preferred;
  assertEquals([of(0b10), of(0b1100), of(0b0110)], [true, true, false]);
  const left: Assignments = new Map([["other", new Map([["x", parseCpuSet("8-11")!]])]]);
  assertEquals(giveAll(amd, podOf([container("a", "6")]), left, 0b10), { a: "2-3,12-15" });
});
