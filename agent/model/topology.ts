/**
 * NUMA nodes for what a container is given: which nodes each of its resources can come from, and which nodes all of them
 * come from together. Pure. Not for: choosing the CPUs or the devices on them.
 *
 * Source: kubernetes pkg/kubelet/cm/topologymanager.
 */
import type { Numa } from "./cpu_topology.ts";

/** A set of NUMA nodes: bit i is the i-th of Numa.nodes. */
export type NodeMask = number;

/** Bits of a NodeMask. */
export const mostNodes = 30;

export interface Hint {
  /** Absent: whatever the others choose. */
  nodes?: NodeMask;
  preferred: boolean;
}

/** For one resource; `undefined`: it has no preference; empty: no nodes have enough of it. */
export type Hints = readonly Hint[] | undefined;

export interface TopologyPolicy {
  name: "none" | "best-effort" | "restricted" | "single-numa-node";
  scope: "container" | "pod";
  /** Among equally many nodes take those that are nearest to each other. */
  preferClosest: boolean;
}

export interface Alignment {
  /** Absent: any nodes will do. */
  nodes?: NodeMask;
  admitted: boolean;
}

export const maskOf = (numa: Numa, nodes: Iterable<number>): NodeMask => {
  let mask = 0;
  for (const node of nodes) {
    const bit = numa.nodes.indexOf(node);
    if (bit >= 0) mask |= 1 << bit;
  }
  return mask;
};

export const nodesOf = (numa: Numa, mask: NodeMask): number[] =>
  numa.nodes.filter((_, bit) => (mask & (1 << bit)) !== 0);

const everyNode = (numa: Numa): NodeMask => 2 ** numa.nodes.length - 1;

export function countNodes(mask: NodeMask): number {
  let count = 0;
  for (; mask !== 0; mask &= mask - 1) count++;
  return count;
}

/**
 * Hints for something that is counted: every set of nodes with enough of it. Those with as few nodes as the machine could
 * do with, were nothing of it taken, are preferred. `total` is what a set of nodes has, `available` what can be had of it
 * now; `undefined` where something that must be part of the choice lies elsewhere.
 */
export function countedHints(
  numa: Numa,
  wanted: number,
  total: (nodes: NodeMask) => number,
  available: (nodes: NodeMask) => number | undefined,
  alsoPreferred: (nodes: NodeMask, fewest: number) => boolean = () => false,
): Hint[] {
  let fewest = numa.nodes.length;
  const possible: NodeMask[] = [];
  for (let mask = 1; mask <= everyNode(numa); mask++) {
    const count = countNodes(mask);
    if (count < fewest && total(mask) >= wanted) fewest = count;
    if ((available(mask) ?? -1) >= wanted) possible.push(mask);
  }
  return possible.map((nodes) => ({
    nodes,
    preferred: countNodes(nodes) === fewest || alsoPreferred(nodes, fewest),
  }));
}

/** The nodes from which all resources of a container, or of a pod, are to come, as far as the policy wants them to. */
export function align(resources: readonly Hints[], policy: TopologyPolicy, numa: Numa): Alignment {
  if (policy.name === "none") return { admitted: true };
  const single = policy.name === "single-numa-node";
  const known = resources.map((hints) => hints ?? [{ preferred: true }])
    .map((hints) => hints.length === 0 ? [{ preferred: false }] : hints)
    .map((hints) => single ? hints.filter(isSingle) : hints);
  const best = bestOf(known, policy, numa);
  const nodes = single && best.nodes === everyNode(numa) ? {} : { nodes: best.nodes };
  return { ...nodes, admitted: policy.name === "best-effort" || best.preferred };
}

const isSingle = ({ nodes, preferred }: Hint): boolean =>
  preferred && (nodes === undefined || countNodes(nodes) === 1);

interface Merged {
  nodes: NodeMask;
  preferred: boolean;
}

function bestOf(resources: readonly (readonly Hint[])[], policy: TopologyPolicy, numa: Numa): Merged {
  const every = everyNode(numa);
  const least = resources.map((hints) =>
    Math.min(...hints.flatMap(({ nodes }) => nodes === undefined ? [] : [countNodes(nodes)]))
  ).filter(Number.isFinite);
  const ideal = Math.max(0, ...least);
  const closest = policy.preferClosest && policy.name !== "single-numa-node";
  const candidates = merge(resources, every).filter(({ nodes }) => nodes !== 0);
  return candidates.sort((a, b) => compare(a, b, ideal, closest ? numa : undefined))[0] ??
    { nodes: every, preferred: false };
}

/**
 * What can come of one hint of each resource: the nodes that all of them share, preferred where all are and name the same
 * nodes. Resource by resource, so that the number of outcomes is bounded by the sets of nodes and not by the
 * combinations of hints.
 */
function merge(resources: readonly (readonly Hint[])[], every: NodeMask): Merged[] {
  let merged: Hint[] = [{ preferred: true }];
  for (const hints of resources) {
    const next = new Map<string, Hint>();
    for (const a of merged) {
      for (const b of hints) {
        const [x, y] = [a.nodes ?? b.nodes, b.nodes ?? a.nodes];
        const nodes = x === undefined || y === undefined ? undefined : x & y;
        const preferred = a.preferred && b.preferred && x === y;
        next.set(`${nodes} ${preferred}`, { ...(nodes === undefined ? {} : { nodes }), preferred });
      }
    }
    merged = [...next.values()];
  }
  return merged.map(({ nodes = every, preferred }) => ({ nodes, preferred }));
}

/**
 * The better one first. Of preferred ones the narrower is better. Of the others the one with `ideal` nodes, so many as the
 * most demanding resource needs at least; then the one with less than that, and of these the wider.
 */
function compare(a: Merged, b: Merged, ideal: number, near: Numa | undefined): number {
  if (a.preferred !== b.preferred) return a.preferred ? -1 : 1;
  const [x, y] = [countNodes(a.nodes), countNodes(b.nodes)];
  if (!a.preferred && x !== y) {
    if (x <= ideal && y <= ideal) return y - x;
    if (x <= ideal || y <= ideal) return x - y;
  }
  if (x !== y) return x - y;
  const farther = near === undefined ? 0 : distanceWithin(near, a.nodes) - distanceWithin(near, b.nodes);
  return farther || a.nodes - b.nodes;
}

/** The mean distance between the nodes, each to itself included. */
function distanceWithin({ distances, nodes }: Numa, mask: NodeMask): number {
  const chosen = nodes.flatMap((_, bit) => (mask & (1 << bit)) === 0 ? [] : [bit]);
  const sum = chosen.reduce(
    (all, from) => all + chosen.reduce((row, to) => row + distances[from]![to]!, 0),
    0,
  );
  return chosen.length === 0 ? 0 : sum / chosen.length ** 2;
}
