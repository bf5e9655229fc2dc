import { assert, assertEquals } from "@std/assert";
import { takeDistributed, takePacked, threadsPerCore } from "../../../../agent/model/cpu_assignment.ts";
import { formatCpuSet, parseCpuSet } from "../../../../agent/model/cpu_set.ts";
import { allCpus, type CpuTopology } from "../../../../agent/model/cpu_topology.ts";
import { machine } from "./machines/mod.ts";
import { randomOf } from "./random.ts";

const cpus = (text: string) => parseCpuSet(text)!;
const text = (set: ReadonlySet<number> | undefined) => set && formatCpuSet(set);

/** The kubelet's example: two sockets, CPUs dealt out in turn, two threads a core. */
const dualSocket: CpuTopology = {
  cpus: new Map(
    Array.from({ length: 12 }, (_, cpu) => [cpu, { core: cpu % 6, socket: cpu % 2, node: cpu % 2 }]),
  ),
  numa: { nodes: [0, 1], distances: [[10, 20], [20, 10]] },
};

Deno.test("whole sockets, then whole cores, then threads", () => {
  const take = (available: string, count: number) => text(takePacked(dualSocket, cpus(available), count));
  assertEquals(take("0-11", 0), "");
  assertEquals(take("0-11", 1), "0");
  assertEquals(take("0-11", 2), "0,6");
  assertEquals(take("0-11", 6), "0,2,4,6,8,10");
  assertEquals(take("0-11", 8), "0-2,4,6-8,10");
  assertEquals(take("0-11", 12), "0-11");
  assertEquals(take("0-11", 13), undefined);
});

Deno.test("what is taken already is filled up before something whole is broken", () => {
  const take = (available: string, count: number) => text(takePacked(dualSocket, cpus(available), count));
  assertEquals(take("1-11", 1), "6", "the other thread of CPU 0");
  assertEquals(take("1-11", 2), "2,8", "a whole core of the socket that has less left");
  assertEquals(take("1-11", 6), "1,3,5,7,9,11", "the socket that is whole");
  assertEquals(take("0,1,3,5", 2), "0-1", "no whole core is free");
});

Deno.test("sockets hold nodes: a whole socket before nodes of several", () => {
  const amd = machine("amd-4-sockets-8-nodes");
  const take = (available: string, count: number) => text(takePacked(amd, cpus(available), count));
  assertEquals(take("0-63", 16), "0-15");
  assertEquals(take("0-63", 8), "0-7");
  assertEquals(take("1-63", 16), "16-31");
  assertEquals(take("1-63", 8), "8-15");
});

Deno.test("in equal parts over as few nodes as possible, or packed where that cannot be", () => {
  const amd = machine("amd-4-sockets-8-nodes");
  const perNode = (available: string, count: number, group = 1) => {
    const taken = takeDistributed(amd, cpus(available), count, group);
    if (taken === undefined) return undefined;
    const counts = Array<number>(8).fill(0);
    for (const cpu of taken) counts[amd.cpus.get(cpu)!.node]!++;
    return counts.filter((n) => n > 0);
  };
  assertEquals(perNode("0-63", 8), [8]);
  assertEquals(perNode("0-63", 12), [6, 6]);
  assertEquals(perNode("0-63", 12, 2), [6, 6]);
  assertEquals(perNode("0-63", 10, 2), [6, 4]);
  assertEquals(perNode("0-63", 20), [7, 7, 6]);
  assertEquals(perNode("0-63", 11), [6, 5]);
  assertEquals(perNode("0-3,8-11", 8), [4, 4]);
  assertEquals(perNode("0-1,8-13,16-17", 9), [2, 5, 2], "no equal parts: packed");
  assertEquals(perNode("0-3", 5), undefined);
  assertEquals(perNode("0-63", 0), []);
});

Deno.test("on any machine, whatever is free: as many as asked for, of what is free, in whole cores where that can be", () => {
  const random = randomOf(11);
  for (let round = 0; round < 1500; round++) {
    const t = machines[random(machines.length)]!;
    const density = 1 + random(10);
    const free = new Set([...allCpus(t)].filter(() => random(10) < density));
    const count = random(free.size + 2);
    const group = random(2) === 0 ? 1 : threadsPerCore(t);
    const ways = [takePacked(t, free, count)];
    if (round % 5 === 0) ways.push(takeDistributed(t, free, count, group));
    const told = JSON.stringify({ round, free: formatCpuSet(free), count, group });
    for (const taken of ways) {
      if (count > free.size) {
        assertEquals(taken, undefined, told);
        continue;
      }
      assertEquals(taken!.size, count, told);
      assert(taken!.isSubsetOf(free), told);
    }
    const wholeCores = wholeCoresOf(t, free);
    const threads = threadsPerCore(t);
    const same = wholeCores.every((core) => core.length === threads);
    if (!same || count % threads !== 0 || wholeCores.length * threads < count) continue;
    const inWhole = wholeCoresOf(t, ways[0]!).flat().length;
    assertEquals(inWhole, count, `${told} takes ${text(ways[0])}`);
  }
});

const machines = [
  machine("amd-4-sockets-8-nodes"),
  machine("amd-sparse-nodes"),
  machine("intel-4-nodes-interleaved"),
  machine("intel-hybrid"),
  machine("power9-gpu-nodes"),
];

function wholeCoresOf(t: CpuTopology, free: ReadonlySet<number>): number[][] {
  const cores = new Map<number, number[]>();
  for (const [cpu, { core }] of t.cpus) cores.set(core, [...cores.get(core) ?? [], cpu]);
  return [...cores.values()].filter((core) => core.every((cpu) => free.has(cpu)));
}
