/** Sets of CPUs in the kernel's list format (`0-3,8`). Pure. Source: cpuset(7), FORMATS. */

export type CpuSet = ReadonlySet<number>;

/** Linux knows no CPU beyond this one (CONFIG_NR_CPUS). */
const highestCpu = 8191;

/** `undefined` when it is not a list of CPUs; "" is none. */
export function parseCpuSet(text: string): CpuSet | undefined {
  const cpus = new Set<number>();
  for (const part of text.trim() === "" ? [] : text.trim().split(",")) {
    const [, first, last = first] = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part) ?? [];
    if (first === undefined || Number(last) < Number(first) || Number(last) > highestCpu) return undefined;
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu);
  }
  return cpus;
}

/** Ascending, neighbours joined. */
export function formatCpuSet(cpus: CpuSet): string {
  const runs: [first: number, last: number][] = [];
  for (const cpu of sorted(cpus)) {
    const run = runs.at(-1);
    if (run?.[1] === cpu - 1) run[1] = cpu;
    else runs.push([cpu, cpu]);
  }
  return runs.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(",");
}

export const sorted = (cpus: Iterable<number>): number[] => [...cpus].sort((a, b) => a - b);

/** What is in any of them. */
export function unionOf(sets: Iterable<CpuSet>): Set<number> {
  const all = new Set<number>();
  for (const set of sets) for (const cpu of set) all.add(cpu);
  return all;
}
