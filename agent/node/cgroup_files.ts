/**
 * Cgroups as directories and files, version 1 and 2: reading and writing limits, removing trees. Not for: which cgroups
 * there are (cgroups.ts) or what they may use (model/pod_cgroup.ts).
 */
import { join } from "@std/path";
import { cpuWeight, sharesOfWeight } from "../model/cpu.ts";
import { AgentError, errorText } from "../model/errors.ts";
import type { CgroupLimits } from "../model/pod_cgroup.ts";
import type { Usage } from "../model/usage.ts";
import type { Host } from "../ports.ts";

/** Mount points. In a hybrid set-up v2 is mounted beside v1 and limits nothing. */
export interface Hierarchies {
  all: string[];
  cpu: string | undefined;
  memory: string | undefined;
  pids: string | undefined;
  hugetlb: string | undefined;
  cpuacct: string | undefined;
  blkio: string | undefined;
  unified: string | undefined;
}

const defaultPeriod = 100_000;
const removalPause = 20;
const removalTries = 100;

export async function findHierarchies(host: Host): Promise<Hierarchies> {
  const mounts = await host.mounts();
  const v1 = mounts.filter((m) => m.fsType === "cgroup");
  const v2 = mounts.filter((m) => m.fsType === "cgroup2").map((m) => m.path);
  const holding = (controller: string) => v1.find((m) => m.options.includes(controller))?.path;
  const [cpu, memory] = [holding("cpu"), holding("memory")];
  return {
    all: [...new Set([...v1.map((m) => m.path), ...v2])],
    cpu,
    memory,
    pids: holding("pids"),
    hugetlb: holding("hugetlb"),
    cpuacct: holding("cpuacct"),
    blkio: holding("blkio"),
    unified: cpu === undefined && memory === undefined ? v2[0] : undefined,
  };
}

/** Where limits of a cgroup are written. */
export const limitPlaces = (h: Hierarchies): string[] =>
  (h.unified === undefined ? [h.cpu, h.memory] : [h.unified]).filter((place) => place !== undefined);

/** Makes the cgroup where it is missing. */
export const writeLimits = (host: Host, h: Hierarchies, path: string, limits: CgroupLimits): Promise<void> =>
  h.unified === undefined ? writeV1(host, h, path, limits) : writeUnified(host, h.unified, path, limits);

async function writeV1(host: Host, h: Hierarchies, path: string, limits: CgroupLimits): Promise<void> {
  const set = async (mount: string | undefined, files: [string, number | string][]) => {
    if (mount === undefined) return;
    await host.mkdir(join(mount, path), 0o755);
    for (const [file, value] of files) await host.writeFile(join(mount, path, file), `${value}`);
  };
  await Promise.all([
    // The period before the quota, which is checked against it.
    set(h.cpu, [
      ["cpu.shares", limits.cpuShares],
      ["cpu.cfs_period_us", limits.cpuPeriod ?? defaultPeriod],
      ["cpu.cfs_quota_us", limits.cpuQuota ?? -1],
    ]),
    set(h.memory, [["memory.limit_in_bytes", limits.memory ?? -1]]),
    set(h.pids, limits.pids === undefined ? [] : [["pids.max", limits.pids]]),
    set(h.hugetlb, []).then(() => writeHugePages(host, h, path, limits)),
  ]);
}

async function writeUnified(host: Host, mount: string, path: string, limits: CgroupLimits): Promise<void> {
  let directory = mount;
  for (const name of path.split("/").filter((part) => part !== "")) {
    await passControllersOn(host, directory);
    directory = join(directory, name);
    await host.mkdir(directory, 0o755);
  }
  const set = (file: string, value: string | number) => host.writeFile(join(directory, file), `${value}`);
  await set("cpu.weight", cpuWeight(limits.cpuShares));
  await set("cpu.max", `${limits.cpuQuota ?? "max"} ${limits.cpuPeriod ?? defaultPeriod}`);
  await set("memory.max", limits.memory ?? "max");
  if (limits.pids !== undefined) await set("pids.max", limits.pids);
  await writeHugePages(host, { unified: mount, hugetlb: undefined }, path, limits);
}

/** Every size of page that the kernel has: what the limits say, else none. */
export async function writeHugePages(
  host: Host,
  h: Pick<Hierarchies, "unified" | "hugetlb">,
  path: string,
  { hugePages }: CgroupLimits,
): Promise<void> {
  const mount = h.unified ?? h.hugetlb;
  if (mount === undefined || hugePages === undefined) return;
  for (const file of await host.list(join(mount, path)) ?? []) {
    const size = /^hugetlb\.(\d+[KMGT]B)\.(?:max|limit_in_bytes)$/.exec(file)?.[1];
    if (size !== undefined) await host.writeFile(join(mount, path, file), `${hugePages[size] ?? 0}`);
  }
}

const wantedControllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];

/** In v2 a cgroup has the controllers that its parent passes on. */
async function passControllersOn(host: Host, directory: string): Promise<void> {
  const words = async (file: string) =>
    (await host.readText(join(directory, file)) ?? "").trim().split(/\s+/);
  const [available, passed] = await Promise.all([
    words("cgroup.controllers"),
    words("cgroup.subtree_control"),
  ]);
  for (const controller of wantedControllers) {
    if (!available.includes(controller) || passed.includes(controller)) continue;
    try {
      await host.writeFile(join(directory, "cgroup.subtree_control"), `+${controller}`);
    } catch (error) {
      if (controller === "cpu" || controller === "memory") throw error;
    }
  }
}

/** v1 shows the largest number of whole pages where there is no limit. */
const unlimitedFrom = 2 ** 62;

/** What is in force for CPU and memory; `undefined` when there is no such cgroup. */
export async function readLimits(
  host: Host,
  h: Hierarchies,
  path: string,
): Promise<CgroupLimits | undefined> {
  const read = async (mount: string | undefined, file: string) =>
    mount === undefined ? undefined : (await host.readText(join(mount, path, file)))?.trim();
  const limit = (text: string | undefined): number | undefined => {
    const value = Number(text);
    return text === undefined || Number.isNaN(value) || value < 0 || value >= unlimitedFrom
      ? undefined
      : value;
  };
  const u = h.unified;
  const [weight, max, memory] = u === undefined
    ? await Promise.all([
      read(h.cpu, "cpu.shares"),
      Promise.all([read(h.cpu, "cpu.cfs_quota_us"), read(h.cpu, "cpu.cfs_period_us")]),
      read(h.memory, "memory.limit_in_bytes"),
    ])
    : await Promise.all([
      read(u, "cpu.weight"),
      read(u, "cpu.max").then((text) => text?.split(/\s+/) ?? []),
      read(u, "memory.max"),
    ]);
  if (weight === undefined) return undefined;
  const [quota, period, bytes] = [limit(max[0]), limit(max[1]), limit(memory)];
  return {
    cpuShares: u === undefined ? Number(weight) : sharesOfWeight(Number(weight)),
    ...(quota === undefined ? {} : { cpuQuota: quota }),
    ...(period === undefined ? {} : { cpuPeriod: period }),
    ...(bytes === undefined ? {} : { memory: bytes }),
  };
}

/** What is used in it and below; `undefined` when there is no such cgroup. */
export async function readUsage(host: Host, h: Hierarchies, path: string): Promise<Usage | undefined> {
  const read = async (mount: string | undefined, file: string) =>
    mount === undefined ? undefined : await host.readText(join(mount, path, file));
  const u = h.unified;
  const [cpu, memory, stat, swap] = await Promise.all(
    u === undefined
      ? [
        read(h.cpuacct, "cpuacct.usage"),
        read(h.memory, "memory.usage_in_bytes"),
        read(h.memory, "memory.stat"),
        undefined,
      ]
      : ["cpu.stat", "memory.current", "memory.stat", "memory.swap.current"].map((file) => read(u, file)),
  );
  if (cpu === undefined || memory === undefined) return undefined;
  const field = (text: string | undefined, name: string) =>
    Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text ?? "")?.[1] ?? 0);
  const inactive = field(stat, u === undefined ? "total_inactive_file" : "inactive_file");
  return {
    at: host.now(),
    cpu: u === undefined ? Number(cpu) : field(cpu, "usage_usec") * 1000,
    memory: Number(memory),
    workingSet: Math.max(0, Number(memory) - inactive),
    rss: field(stat, u === undefined ? "total_rss" : "anon"),
    ...(u !== undefined && swap === undefined
      ? {}
      : { swap: u === undefined ? field(stat, "total_swap") : Number(swap) }),
  };
}

/** Bottom-up; a cgroup stays busy for a moment after its last process ended, and strays in it are killed. */
export async function removeTree(host: Host, directory: string): Promise<void> {
  for (const name of await host.list(directory) ?? []) {
    const path = join(directory, name);
    if ((await host.lstat(path))?.kind === "directory") await removeTree(host, path);
  }
  for (let tries = 1;; tries++) {
    try {
      return await host.remove(directory);
    } catch (error) {
      if (tries === removalTries) {
        throw new AgentError("FailedKillPod", `cannot remove cgroup ${directory}: ${errorText(error)}`);
      }
      if (tries === removalTries / 2) await killAll(host, directory);
      await host.sleep(removalPause, AbortSignal.timeout(60_000));
    }
  }
}

/** Bottom-up; what has processes stays, with all above it. */
export async function removeEmpty(host: Host, directory: string): Promise<void> {
  for (const name of await host.list(directory) ?? []) {
    const path = join(directory, name);
    if ((await host.lstat(path))?.kind === "directory") await removeEmpty(host, path);
  }
  await host.remove(directory).catch(() => {});
}

async function killAll(host: Host, directory: string): Promise<void> {
  const pids = (await host.readText(join(directory, "cgroup.procs")) ?? "").split("\n").filter((pid) =>
    /^\d+$/.test(pid)
  );
  if (pids.length === 0) return;
  await host.exec(["/bin/sh", "-c", 'kill -9 "$@"', "kill", ...pids], {}, AbortSignal.timeout(5_000));
}
