/**
 * CPUs of their own for containers of Guaranteed pods that ask for whole ones; all others share the rest. Pure. Not for:
 * which CPUs lie well together (cpu_assignment.ts), keeping or applying it (node/cpu_ledger.ts).
 *
 * Source: kubernetes pkg/kubelet/cm/cpumanager, policy_static.go.
 */
import { cpusOfNodes, takeDistributed, takePacked, threadsPerCore } from "./cpu_assignment.ts";
import { type CpuSet, unionOf } from "./cpu_set.ts";
import { allCpus, type CpuTopology } from "./cpu_topology.ts";
import { containersOf } from "./devices.ts";
import { toMilli } from "./downward.ts";
import type { PodEnd } from "./end.ts";
import type { Container, Pod } from "./gen/v1.ts";
import { combine, hasOwnResources, qosClass, requestsOf } from "./qos.ts";
import { isSidecar } from "./restart.ts";
import { countedHints, type Hints, type NodeMask, nodesOf } from "./topology.ts";

/** Options of the policy `static`. */
export interface StaticOptions {
  /** full-pcpus-only: whole cores or nothing. */
  wholeCores: boolean;
  /** distribute-cpus-across-numa: in equal parts where more than one node is needed. */
  distribute: boolean;
  /** align-by-socket: nodes of one socket count as one. */
  bySocket: boolean;
  /** strict-cpu-reservation: reserved CPUs are not shared either. */
  strictReservation: boolean;
}

export interface CpuNode {
  topology: CpuTopology;
  /** Never given away. */
  reserved: CpuSet;
  options: StaticOptions;
}

/** CPUs that containers have for themselves, by uid of the pod and name of the container. */
export type Assignments = ReadonlyMap<string, ReadonlyMap<string, CpuSet>>;

export const assignedTo = (assignments: Assignments): Set<number> =>
  unionOf([...assignments.values()].flatMap((containers) => [...containers.values()]));

/** What all other containers run on. */
export function sharedCpus({ topology, reserved, options }: CpuNode, assignments: Assignments): Set<number> {
  const all = allCpus(topology).difference(assignedTo(assignments));
  return options.strictReservation ? all.difference(reserved) : all;
}

const freeCpus = (node: CpuNode, assignments: Assignments): Set<number> =>
  sharedCpus(node, assignments).difference(node.reserved);

/** How many CPUs of its own a container gets; 0: it shares. */
export function wantedCpus(pod: Pod, container: Container): number {
  if (qosClass(pod) !== "Guaranteed" || hasOwnResources(pod)) return 0;
  const milli = toMilli(requestsOf(container)["cpu"] ?? 0);
  return milli % 1000 === 0 ? milli / 1000 : 0;
}

/** What the pod already has and a container of it that starts now may use again: CPUs of init containers that end. */
function reusableFor(pod: Pod, container: Container, own: ReadonlyMap<string, CpuSet>): Set<number> {
  let reusable = new Set<number>();
  for (const before of containersOf(pod)) {
    if (before.name === container.name) break;
    const cpus = own.get(before.name) ?? new Set();
    const ends = (pod.spec?.initContainers ?? []).includes(before) && !isSidecar(before);
    reusable = ends ? reusable.union(cpus) : reusable.difference(cpus);
  }
  return reusable;
}

/** For the container's CPUs alone. */
export function cpuHints(
  node: CpuNode,
  assignments: Assignments,
  pod: Pod,
  uid: string,
  c: Container,
): Hints {
  const wanted = wantedCpus(pod, c);
  if (wanted === 0) return undefined;
  const own = assignments.get(uid) ?? new Map<string, CpuSet>();
  const had = own.get(c.name);
  if (had?.size === wanted) return hintsOver(node, wanted, had, new Set());
  return hintsOver(node, wanted, freeCpus(node, assignments), had ?? reusableFor(pod, c, own));
}

/** For the CPUs of all containers of the pod together. */
export function podCpuHints(node: CpuNode, assignments: Assignments, pod: Pod, uid: string): Hints {
  const wanted = combine(pod, (c) => ({ cpus: wantedCpus(pod, c) }))["cpus"] ?? 0;
  if (wanted === 0) return undefined;
  const had = unionOf((assignments.get(uid) ?? new Map<string, CpuSet>()).values());
  if (had.size === wanted) return hintsOver(node, wanted, had, new Set());
  return hintsOver(node, wanted, freeCpus(node, assignments), had);
}

function hintsOver(node: CpuNode, wanted: number, free: CpuSet, reusable: CpuSet): Hints {
  const { topology, options } = node;
  const { numa, cpus } = topology;
  const within = (set: Iterable<number>, mask: NodeMask) =>
    cpusOfNodes(topology, set, nodesOf(numa, mask)).size;
  const sockets = (mask: NodeMask) =>
    new Set([...cpusOfNodes(topology, cpus.keys(), nodesOf(numa, mask))].map((c) => cpus.get(c)!.socket))
      .size;
  const all = 2 ** numa.nodes.length - 1;
  const nodesPerSocket = Math.floor(numa.nodes.length / Math.max(1, sockets(all)));
  return countedHints(
    numa,
    wanted,
    (mask) => within(cpus.keys(), mask),
    (mask) => within(reusable, mask) < reusable.size ? undefined : within(free.union(reusable), mask),
    (mask, fewest) =>
      options.bySocket && nodesPerSocket > 0 && sockets(mask) === Math.ceil(fewest / nodesPerSocket),
  );
}

const refusal = (message: string, reason = "UnexpectedAdmissionError"): PodEnd => ({
  reason,
  message: `Allocate failed due to ${message}, which is unexpected`,
});

/**
 * The CPUs that a container has for itself, after it got them from these nodes as far as they have enough; `undefined`: it
 * shares. What it has stays, and changes only by how many it asks for.
 */
export function giveCpus(
  node: CpuNode,
  assignments: Assignments,
  { pod, uid, container, nodes }: {
    pod: Pod;
    uid: string;
    container: Container;
    nodes?: NodeMask | undefined;
  },
): CpuSet | undefined | PodEnd {
  const wanted = wantedCpus(pod, container);
  if (wanted === 0) return undefined;
  const own = assignments.get(uid) ?? new Map<string, CpuSet>();
  const had = own.get(container.name) ?? new Set<number>();
  if (had.size === wanted) return had;
  const free = freeCpus(node, assignments);
  const unfit = whyNotWhole(node, wanted, free.union(had));
  if (unfit !== undefined) return unfit;
  if (had.size > wanted) return take(node, had, wanted)!;
  const open = free.union(reusableFor(pod, container, own)).difference(had);
  const missing = wanted - had.size;
  const near = nodes === undefined ? new Set<number>() : nearTo(node, open, nodes);
  const aligned = take(node, near, Math.min(missing, near.size)) ?? new Set<number>();
  const rest = take(node, open.difference(aligned), missing - aligned.size);
  if (rest === undefined) {
    const counts = `requested=${wanted}, available=${open.size + had.size}`;
    return refusal(`not enough cpus available to satisfy request: ${counts}`);
  }
  return had.union(aligned).union(rest);
}

function take({ topology, options }: CpuNode, available: CpuSet, count: number): Set<number> | undefined {
  if (!options.distribute) return takePacked(topology, available, count);
  return takeDistributed(topology, available, count, options.wholeCores ? threadsPerCore(topology) : 1);
}

function nearTo({ topology, options }: CpuNode, open: CpuSet, mask: NodeMask): Set<number> {
  const near = cpusOfNodes(topology, open, nodesOf(topology.numa, mask));
  if (!options.bySocket) return near;
  const chosen = cpusOfNodes(topology, topology.cpus.keys(), nodesOf(topology.numa, mask));
  const sockets = new Set([...chosen].map((cpu) => topology.cpus.get(cpu)!.socket));
  return new Set([...open].filter((cpu) => sockets.has(topology.cpus.get(cpu)!.socket)));
}

/** Threads of a core of which one is reserved cannot be given as a whole core. */
function whyNotWhole(
  { topology, reserved, options }: CpuNode,
  wanted: number,
  free: CpuSet,
): PodEnd | undefined {
  if (!options.wholeCores) return undefined;
  const threads = threadsPerCore(topology);
  const smt = (message: string) => refusal(`SMT Alignment Error: ${message}`, "SMTAlignmentError");
  if (wanted % threads !== 0) {
    return smt(`requested ${wanted} cpus not multiple cpus per core = ${threads}`);
  }
  const broken = new Set([...reserved].map((cpu) => topology.cpus.get(cpu)?.core));
  const whole = [...free].filter((cpu) => !broken.has(topology.cpus.get(cpu)!.core)).length;
  if (wanted <= whole) return undefined;
  const counts = `available physical CPUs = ${whole}, requested CPUs = ${wanted}, CPUs per core = ${threads}`;
  return smt(`not enough free physical CPUs: ${counts}`);
}
