import { assertEquals } from "@std/assert";
import { formatCpuSet, parseCpuSet } from "../../../../agent/model/cpu_set.ts";
import { allCpus, parseCpuTopology } from "../../../../agent/model/cpu_topology.ts";
import { threadsPerCore } from "../../../../agent/model/cpu_assignment.ts";
import { machine, type MachineName } from "./machines/mod.ts";

const shape = (name: MachineName) => {
  const t = machine(name);
  const places = [...t.cpus.values()];
  return {
    cpus: formatCpuSet(allCpus(t)),
    cores: new Set(places.map((p) => p.core)).size,
    sockets: new Set(places.map((p) => p.socket)).size,
    nodes: t.numa.nodes,
    threads: threadsPerCore(t),
  };
};

Deno.test("machines as sysfs tells of them: cores, sockets, nodes", () => {
  assertEquals(shape("vm-2-cpus"), { cpus: "0-1", cores: 2, sockets: 1, nodes: [0], threads: 1 });
  assertEquals(shape("amd-4-sockets-8-nodes"), {
    cpus: "0-63",
    cores: 32,
    sockets: 4,
    nodes: [0, 1, 2, 3, 4, 5, 6, 7],
    threads: 2,
  });
  assertEquals(shape("intel-hybrid"), { cpus: "0-19", cores: 14, sockets: 1, nodes: [0], threads: 1 });
});

Deno.test("numbers of nodes have gaps, nodes of GPUs have no CPUs, CPUs are offline", () => {
  assertEquals(shape("amd-sparse-nodes").nodes, [0, 1, 2, 33, 34, 45, 72, 73]);
  const gpus = shape("power9-gpu-nodes");
  assertEquals([gpus.cpus, gpus.nodes, gpus.threads], ["0-15,88-103", [0, 8], 4]);
  const offline = machine("intel-offline-cpus");
  assertEquals(formatCpuSet(allCpus(offline)), "4-20");
  assertEquals(offline.cpus.get(4), { core: 4, socket: 0, node: 0 });
  assertEquals(offline.cpus.get(5)?.node, 1);
});

Deno.test("distances are between nodes with CPUs, whatever their numbers are", () => {
  assertEquals(machine("power9-gpu-nodes").numa.distances, [[10, 40], [40, 10]]);
  const { distances } = machine("amd-sparse-nodes").numa;
  assertEquals(distances.map((row, i) => [row.length, row[i]]), Array(8).fill([8, 10]));
});

Deno.test("a kernel that tells of nothing but CPUs has one socket and one node", () => {
  const t = parseCpuTopology((path) => path === "cpu/online" ? "0,2" : undefined);
  assertEquals([...t.cpus], [[0, { core: 0, socket: 0, node: 0 }], [2, { core: 2, socket: 0, node: 0 }]]);
  assertEquals(t.numa, { nodes: [0], distances: [[10]] });
});

Deno.test("lists of CPUs are read and written as the kernel does", () => {
  assertEquals([...parseCpuSet(" 0-2,8 \n") ?? []], [0, 1, 2, 8]);
  assertEquals(parseCpuSet(""), new Set());
  for (const wrong of ["a", "1-", "2-1", "0-9999", "1,,2", "-1", "1;2", "0-99999999999"]) {
    assertEquals(parseCpuSet(wrong), undefined, wrong);
  }
  assertEquals(formatCpuSet(new Set([9, 3, 1, 2, 11])), "1-3,9,11");
  assertEquals(formatCpuSet(new Set()), "");
});
