/**
 * Which CPUs to take for one container: whole NUMA nodes and sockets, then whole cores, then single threads, each time
 * from where the least is left. Pure. Not for: who gets CPUs of its own (exclusive_cpus.ts).
 *
 * Source: kubernetes pkg/kubelet/cm/cpumanager, cpu_assignment.go; KEP-2902 (distribution over NUMA nodes).
 */
import { type CpuSet, sorted } from "./cpu_set.ts";
import type { CpuPlace, CpuTopology } from "./cpu_topology.ts";

type Level = keyof CpuPlace;

const idsIn = (t: CpuTopology, cpus: Iterable<number>, level: Level): number[] =>
  sorted(new Set([...cpus].map((cpu) => t.cpus.get(cpu)![level])));

const inside = (t: CpuTopology, cpus: Iterable<number>, level: Level, id: number): number[] =>
  [...cpus].filter((cpu) => t.cpus.get(cpu)![level] === id);

export const cpusOfNodes = (t: CpuTopology, cpus: Iterable<number>, nodes: readonly number[]): Set<number> =>
  new Set([...cpus].filter((cpu) => nodes.includes(t.cpus.get(cpu)!.node)));

/** Threads of a core, rounded down where cores differ. */
export const threadsPerCore = (t: CpuTopology): number =>
  Math.max(1, Math.floor(t.cpus.size / Math.max(1, idsIn(t, t.cpus.keys(), "core").length)));

/** From the widest to the narrowest; sockets hold NUMA nodes, or nodes hold sockets. */
function levelsOf(t: CpuTopology): readonly [Level, Level, "core"] {
  const [sockets, nodes] = [idsIn(t, t.cpus.keys(), "socket"), idsIn(t, t.cpus.keys(), "node")];
  return sockets.length >= nodes.length ? ["node", "socket", "core"] : ["socket", "node", "core"];
}

/** Those with the fewest free CPUs first, level by level down to the one that is asked for. */
function ranked(t: CpuTopology, free: CpuSet, level: Level): number[] {
  const levels = levelsOf(t);
  const rank = (among: readonly number[], depth: number): number[] => {
    const at = levels[depth]!;
    const left = new Map(idsIn(t, among, at).map((id) => [id, inside(t, free, at, id).length]));
    const ids = [...left.keys()].sort((a, b) => left.get(a)! - left.get(b)! || a - b);
    return at === level ? ids : ids.flatMap((id) => rank(inside(t, among, at, id), depth + 1));
  };
  return [...new Set(rank([...free], 0))];
}

/** Packs as closely as it can; `undefined` when there are not enough. */
export function takePacked(t: CpuTopology, available: CpuSet, count: number): Set<number> | undefined {
  if (count > available.size) return undefined;
  const taken = new Set<number>();
  const free = () => new Set([...available].filter((cpu) => !taken.has(cpu)));
  for (const level of levelsOf(t)) {
    const open = free();
    for (const id of ranked(t, open, level)) {
      const all = inside(t, t.cpus.keys(), level, id);
      if (all.length > count - taken.size || !all.every((cpu) => open.has(cpu))) continue;
      for (const cpu of all) taken.add(cpu);
    }
  }
  const rest = free();
  for (const core of ranked(t, rest, "core")) {
    for (const cpu of sorted(inside(t, rest, "core", core))) if (taken.size < count) taken.add(cpu);
  }
  return taken;
}

/**
 * In equal parts from as few NUMA nodes as can give them, in groups of `group` CPUs; where that is not possible, packed.
 * `undefined` when there are not enough.
 */
export function takeDistributed(
  t: CpuTopology,
  available: CpuSet,
  count: number,
  group: number,
): Set<number> | undefined {
  if (count > available.size) return undefined;
  const spread = count % group === 0 && count > 0 ? findSpread(t, available, count, group) : undefined;
  if (spread === undefined) return takePacked(t, available, count);
  const parts = [...spread].map(([node, part]) => takePacked(t, cpusOfNodes(t, available, [node]), part));
  return new Set(parts.flatMap((part) => [...part ?? []]));
}

/** How many CPUs to take from each node. */
type Spread = ReadonlyMap<number, number>;

function findSpread(t: CpuTopology, available: CpuSet, count: number, group: number): Spread | undefined {
  const left = new Map(
    ranked(t, available, "node").map((node) => [node, inside(t, available, "node", node).length]),
  );
  const up = (a: number, b: number) => Math.ceil(a / b);
  const perNode = up(up(t.cpus.size, group), idsIn(t, t.cpus.keys(), "node").length);
  const fewest = up(up(count, group), perNode);
  const most = Math.min(up(count, group), left.size);
  for (let size = fewest; size <= most; size++) {
    const spreads = subsets([...left.keys()], size).flatMap((nodes) =>
      spreadsOver(nodes, left, count, group)
    );
    const best = leastBy(spreads, (spread) => imbalance(left, spread));
    if (best !== undefined) return best;
  }
  return undefined;
}

/** An equal part from each of the nodes, and what is left over from some of them, by groups in turn. */
function spreadsOver(nodes: readonly number[], left: Spread, count: number, group: number): Spread[] {
  const part = Math.floor(count / nodes.length / group) * group;
  const groups = nodes.reduce((sum, node) => sum + Math.floor(left.get(node)! / group), 0);
  if (groups * group < count || nodes.some((node) => left.get(node)! < part)) return [];
  const even = new Map(nodes.map((node) => [node, part]));
  const rest = count - part * nodes.length;
  if (rest === 0) return [even];
  const open = nodes.filter((node) => left.get(node)! - part >= group);
  const sizes = open.map((_, i) => open.length - i);
  return sizes.flatMap((size) => subsets(open, size)).flatMap((some) => {
    const spread = addInTurn(even, some, left, rest, group);
    return spread === undefined ? [] : [spread];
  });
}

function addInTurn(
  even: Spread,
  nodes: readonly number[],
  left: Spread,
  rest: number,
  group: number,
): Spread | undefined {
  const spread = new Map(even);
  const fits = (node: number) => left.get(node)! - spread.get(node)! >= group;
  while (rest > 0) {
    if (!nodes.some(fits)) return undefined;
    for (const node of nodes.filter(fits)) {
      if (rest === 0) break;
      spread.set(node, spread.get(node)! + group);
      rest -= group;
    }
  }
  return spread;
}

/** Standard deviation of what the nodes have left afterwards, to three digits. */
function imbalance(left: Spread, spread: Spread): number {
  const rests = [...left].map(([node, cpus]) => cpus - (spread.get(node) ?? 0));
  const round = (x: number) => Math.round(x * 1000) / 1000;
  const mean = round(rests.reduce((sum, x) => sum + x, 0) / rests.length);
  return round(Math.sqrt(rests.reduce((sum, x) => sum + (x - mean) ** 2, 0) / rests.length));
}

/** The first of those with the least value. */
function leastBy<T>(items: readonly T[], value: (item: T) => number): T | undefined {
  let [best, least]: [T | undefined, number] = [undefined, Infinity];
  for (const item of items) {
    const v = value(item);
    if (v < least) [best, least] = [item, v];
  }
  return best;
}

/** All of this size, in order. */
function subsets(items: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}
