import { assert, assertEquals } from "@std/assert";
import type { Numa } from "../../../../agent/model/cpu_topology.ts";
import {
  align,
  countedHints,
  countNodes,
  type Hint,
  type Hints,
  maskOf,
  nodesOf,
  type TopologyPolicy,
} from "../../../../agent/model/topology.ts";
import { randomOf } from "./random.ts";

const two: Numa = { nodes: [0, 1], distances: [[10, 20], [20, 10]] };
const policy = (name: TopologyPolicy["name"], preferClosest = false): TopologyPolicy => ({
  name,
  scope: "container",
  preferClosest,
});
const hint = (nodes: number | undefined, preferred: boolean): Hint => ({
  ...(nodes === undefined ? {} : { nodes }),
  preferred,
});

Deno.test("numbers of nodes become bits and come back, unknown ones are left out", () => {
  const sparse: Numa = { nodes: [0, 8, 72], distances: [] };
  assertEquals(maskOf(sparse, [72, 0, 250]), 0b101);
  assertEquals(nodesOf(sparse, 0b110), [8, 72]);
});

Deno.test("what is counted: sets of nodes with enough, preferred are the smallest the machine could do with", () => {
  const had = [4, 4];
  const sum = (of: number[]) => (mask: number) => of.reduce((s, n, i) => s + ((mask >> i) & 1 ? n : 0), 0);
  assertEquals(countedHints(two, 2, sum(had), sum([1, 3])), [hint(2, true), hint(3, false)]);
  assertEquals(countedHints(two, 5, sum(had), sum([4, 4])), [hint(3, true)]);
  assertEquals(countedHints(two, 5, sum(had), sum([1, 3])), []);
});

Deno.test("none asks nobody, best-effort takes what there is, restricted insists on the preferred", () => {
  const apart = [[hint(1, true)], [hint(2, true), hint(3, false)]];
  assertEquals(align(apart, policy("none"), two), { admitted: true });
  assertEquals(align(apart, policy("best-effort"), two), { nodes: 1, admitted: true });
  assertEquals(align(apart, policy("restricted"), two), { nodes: 1, admitted: false });
  const together = [[hint(1, true), hint(2, true)], [hint(2, true), hint(3, false)]];
  assertEquals(align(together, policy("restricted"), two), { nodes: 2, admitted: true });
});

Deno.test("a single node, or none: what needs two is refused, what needs nothing may be anywhere", () => {
  const single = policy("single-numa-node");
  assertEquals(align([[hint(3, true)]], single, two).admitted, false);
  assertEquals(align([[hint(1, true), hint(2, true)], undefined], single, two), { nodes: 1, admitted: true });
  assertEquals(align([undefined], single, two), { admitted: true });
  assertEquals(align([[]], single, two).admitted, false);
});

Deno.test("among equally many nodes the nearest, where that is asked for", () => {
  const four: Numa = {
    nodes: [0, 1, 2, 3],
    distances: [[10, 30, 12, 30], [30, 10, 30, 11], [12, 30, 10, 30], [30, 11, 30, 10]],
  };
  const pairs = [[hint(0b0011, true), hint(0b0101, true), hint(0b1010, true)]];
  assertEquals(align(pairs, policy("best-effort"), four).nodes, 0b0011);
  assertEquals(align(pairs, policy("best-effort", true), four).nodes, 0b1010);
});

/** All combinations, compared one by one: the kubelet's way. */
function oracle(resources: readonly Hints[], p: TopologyPolicy, numa: Numa) {
  const every = 2 ** numa.nodes.length - 1;
  let lists = resources.map((h): Hint[] =>
    h === undefined ? [{ preferred: true }] : h.length === 0 ? [{ preferred: false }] : [...h]
  );
  const single = p.name === "single-numa-node";
  if (single) {
    lists = lists.map((l) =>
      l.filter((h) => h.preferred && (h.nodes === undefined || countNodes(h.nodes) === 1))
    );
  }
  const mins = lists.map((l) => l.flatMap((h) => h.nodes === undefined ? [] : [countNodes(h.nodes)]));
  const ideal = Math.max(0, ...mins.filter((m) => m.length > 0).map((m) => Math.min(...m)));
  const mean = (mask: number) => {
    const bits = numa.nodes.map((_, i) => i).filter((i) => (mask >> i) & 1);
    let sum = 0;
    for (const a of bits) for (const b of bits) sum += numa.distances[a]![b]!;
    return sum / bits.length ** 2;
  };
  const narrower = (a: number, b: number) =>
    countNodes(a) !== countNodes(b) ? countNodes(a) < countNodes(b) : a < b;
  const fitter = (current: Required<Hint>, next: Required<Hint>) => {
    const [c, n] = [current.nodes, next.nodes];
    if (c === n) return current;
    const near = p.preferClosest && !single && countNodes(c) === countNodes(n) && mean(c) !== mean(n);
    return (near ? mean(n) < mean(c) : narrower(n, c)) ? next : current;
  };
  const better = (current: Required<Hint> | undefined, next: Required<Hint>) => {
    if (next.nodes === 0) return current;
    if (current === undefined || (!current.preferred && next.preferred)) return next;
    if (current.preferred && !next.preferred) return current;
    if (current.preferred) return fitter(current, next);
    const [c, n] = [countNodes(current.nodes), countNodes(next.nodes)];
    if (c > ideal) return fitter(current, next);
    if (c === ideal) return n === ideal ? fitter(current, next) : current;
    if (n > ideal) return current;
    if (n === ideal || n > c) return next;
    return n < c ? current : fitter(current, next);
  };
  let best: Required<Hint> | undefined;
  const walk = (i: number, chosen: Hint[]) => {
    if (i < lists.length) {
      for (const h of lists[i]!) walk(i + 1, [...chosen, h]);
      return;
    }
    const named = chosen.flatMap((h) => h.nodes === undefined ? [] : [h.nodes]);
    best = better(best, {
      nodes: named.reduce((a, b) => a & b, every),
      preferred: chosen.every((h) => h.preferred) && named.every((n) => n === named[0]),
    });
  };
  walk(0, []);
  const found = best ?? { nodes: every, preferred: false };
  return {
    ...(single && found.nodes === every ? {} : { nodes: found.nodes }),
    admitted: p.name === "best-effort" || found.preferred,
  };
}

Deno.test("hints of any resources are merged as by comparing all combinations", () => {
  const random = randomOf(7);
  for (let round = 0; round < 6000; round++) {
    const count = 1 + random(4);
    const rows = Array.from({ length: count }, () => Array.from({ length: count }, () => 11 + random(4)));
    const numa: Numa = {
      nodes: Array.from({ length: count }, (_, i) => i * 3),
      distances: rows.map((row, i) => row.map((d, j) => i === j ? 10 : d)),
    };
    const someHints = (): Hints =>
      random(8) === 0 ? undefined : Array.from(
        { length: random(5) },
        () => hint(random(9) === 0 ? undefined : 1 + random(2 ** count - 1), random(2) === 0),
      );
    const resources = Array.from({ length: random(5) }, someHints);
    const names = ["best-effort", "restricted", "single-numa-node"] as const;
    const p = policy(names[random(3)]!, random(2) === 0);
    const told = JSON.stringify({ resources, p, numa });
    assertEquals(align(resources, p, numa), oracle(resources, p, numa), told);
  }
});

Deno.test("eight nodes and six resources take no time", () => {
  const nodes = Array.from({ length: 8 }, (_, i) => i);
  const numa: Numa = { nodes, distances: nodes.map((a) => nodes.map((b) => a === b ? 10 : 20)) };
  const all = Array.from({ length: 255 }, (_, i) => hint(i + 1, countNodes(i + 1) === 1));
  const begun = performance.now();
  assertEquals(align(Array(6).fill(all), policy("restricted"), numa), { nodes: 1, admitted: true });
  assert(performance.now() - begun < 2000, "255^6 combinations must not be walked through");
});
