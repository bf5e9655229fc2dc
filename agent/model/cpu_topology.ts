/**
 * How the machine's CPUs lie in cores, sockets and NUMA nodes. Pure. Not for: reading sysfs (compose/machine.ts), or
 * whom they are given (cpu_assignment.ts).
 *
 * Source: Linux Documentation/ABI/stable/sysfs-devices-system-cpu and sysfs-devices-node.
 */
import { type CpuSet, parseCpuSet, sorted } from "./cpu_set.ts";

export interface CpuPlace {
  /** The lowest of the CPUs that are threads of this core: numbers of the kernel's own repeat in other sockets. */
  core: number;
  socket: number;
  /** The NUMA node's number. */
  node: number;
}

export interface Numa {
  /** Numbers of the nodes that have CPUs, ascending. */
  nodes: readonly number[];
  /** From each of them to each, in that order, as the firmware tells it; 10 is near. */
  distances: readonly (readonly number[])[];
}

export interface CpuTopology {
  /** Those that are online. */
  cpus: ReadonlyMap<number, CpuPlace>;
  numa: Numa;
}

export const allCpus = (topology: CpuTopology): CpuSet => new Set(topology.cpus.keys());

/** Reads a file below /sys/devices/system; `undefined` when it is not there. */
export type ReadSystemFile = (path: string) => string | undefined;

/** A kernel that tells nothing of cores, sockets or nodes has one thread a core, one socket, one node. */
export function parseCpuTopology(read: ReadSystemFile): CpuTopology {
  const list = (path: string): CpuSet => parseCpuSet(read(path) ?? "") ?? new Set();
  const online = list("cpu/online");
  const nodeOf = new Map<number, number>();
  for (const node of list("node/online")) {
    for (const cpu of list(`node/node${node}/cpulist`)) nodeOf.set(cpu, node);
  }
  const cpus = new Map(
    sorted(online).map((cpu): [number, CpuPlace] => {
      const threads = list(`cpu/cpu${cpu}/topology/thread_siblings_list`);
      const socket = Number(read(`cpu/cpu${cpu}/topology/physical_package_id`) ?? 0);
      return [cpu, {
        core: Math.min(cpu, ...[...threads].filter((t) => online.has(t))),
        socket: socket >= 0 ? socket : 0,
        node: nodeOf.get(cpu) ?? 0,
      }];
    }),
  );
  return { cpus, numa: parseNuma(read, new Set([...cpus.values()].map((place) => place.node))) };
}

/** A file `distance` has a column for each node that is online, with CPUs or without. */
function parseNuma(read: ReadSystemFile, withCpus: ReadonlySet<number>): Numa {
  const nodes = sorted(withCpus);
  const columns = sorted(parseCpuSet(read("node/online") ?? "") ?? []);
  const distances = nodes.map((from) => {
    const row = (read(`node/node${from}/distance`) ?? "").trim().split(/\s+/).map(Number);
    return nodes.map((to) => row[columns.indexOf(to)] || (from === to ? 10 : 20));
  });
  return { nodes, distances };
}
