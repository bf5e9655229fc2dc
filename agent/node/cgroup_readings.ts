/**
 * What the kernel tells of a pod's cgroup and those of its containers below it, in more detail than usage: for scrapes.
 * Not for: names of metrics (model/cadvisor_metrics.ts), limits being set (cgroup_files.ts).
 */
import { join } from "@std/path";
import {
  type CgroupReading,
  type InterfaceReading,
  parseInterfaces,
  type PodReading,
} from "../model/cgroup_reading.ts";
import type { Host } from "../ports.ts";
import { type Hierarchies, readLimits } from "./cgroup_files.ts";

/** Ticks of 1/100 s (USER_HZ). */
const nanosecondsPerTick = 1e7;

/** `undefined` when there is no such cgroup. @param path of the pod's. */
export async function readPodCgroups(
  host: Host,
  h: Hierarchies,
  uid: string,
  path: string,
): Promise<PodReading | undefined> {
  const whole = await readCgroup(host, h, path);
  if (whole === undefined) return undefined;
  const mount = h.unified ?? h.cpuacct ?? h.cpu;
  const below = mount === undefined ? [] : await host.list(join(mount, path)) ?? [];
  const containers = new Map<string, CgroupReading>();
  await Promise.all(below.map(async (name) => {
    const id = /(?:^|-)([0-9a-f]{64})(?:\.scope)?$/.exec(name)?.[1];
    const reading = id === undefined ? undefined : await readCgroup(host, h, join(path, name));
    if (id !== undefined && reading !== undefined) containers.set(id, reading);
  }));
  const paths = [...containers.values()].map((c) => c.path);
  return { uid, whole, containers, network: await readNetwork(host, mount, paths) };
}

/** Of the node itself, as cAdvisor has it of the root cgroup. */
export async function readNodeNetwork(host: Host): Promise<InterfaceReading[]> {
  return parseInterfaces(await host.readText("/proc/1/net/dev") ?? "");
}

/** That of the first process that is found: all of a pod share one network. */
async function readNetwork(
  host: Host,
  mount: string | undefined,
  paths: readonly string[],
): Promise<InterfaceReading[]> {
  for (const path of mount === undefined ? [] : paths) {
    const procs = await host.readText(join(mount!, path, "cgroup.procs")).catch(() => undefined);
    const pid = /^\d+/.exec(procs ?? "")?.[0];
    const text = pid === undefined
      ? undefined
      : await host.readText(`/proc/${pid}/net/dev`).catch(() => undefined);
    if (text !== undefined) return parseInterfaces(text);
  }
  return [];
}

async function readCgroup(
  host: Host,
  h: Hierarchies,
  path: string,
): Promise<CgroupReading | undefined> {
  const u = h.unified;
  const read = async (mount: string | undefined, file: string) =>
    mount === undefined ? undefined : await host.readText(join(mount, path, file)).catch(() => undefined);
  const [cpu, cpuTimes, quota, current, stat, failures, processes, swap] = await Promise.all(
    u === undefined
      ? [
        read(h.cpuacct, "cpuacct.usage"),
        read(h.cpuacct, "cpuacct.stat"),
        read(h.cpu, "cpu.stat"),
        read(h.memory, "memory.usage_in_bytes"),
        read(h.memory, "memory.stat"),
        read(h.memory, "memory.failcnt"),
        read(h.pids, "pids.current"),
        undefined,
      ]
      : [
        read(u, "cpu.stat"),
        undefined,
        undefined,
        read(u, "memory.current"),
        read(u, "memory.stat"),
        undefined,
        read(u, "pids.current"),
        read(u, "memory.swap.current"),
      ],
  );
  if (cpu === undefined || current === undefined) return undefined;
  const limits = await readLimits(host, h, path);
  const field = (text: string | undefined, name: string) =>
    Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text ?? "")?.[1] ?? 0);
  const v1 = u === undefined;
  const memory = Number(current);
  const throttling = v1 ? quota : cpu;
  return {
    at: host.now(),
    path,
    cpu: v1 ? Number(cpu) : field(cpu, "usage_usec") * 1000,
    user: v1 ? field(cpuTimes, "user") * nanosecondsPerTick : field(cpu, "user_usec") * 1000,
    system: v1 ? field(cpuTimes, "system") * nanosecondsPerTick : field(cpu, "system_usec") * 1000,
    periods: field(throttling, "nr_periods"),
    throttledPeriods: field(throttling, "nr_throttled"),
    throttled: v1 ? field(quota, "throttled_time") : field(cpu, "throttled_usec") * 1000,
    memory,
    workingSet: Math.max(0, memory - field(stat, v1 ? "total_inactive_file" : "inactive_file")),
    rss: field(stat, v1 ? "total_rss" : "anon"),
    cache: field(stat, v1 ? "total_cache" : "file"),
    mapped: field(stat, v1 ? "total_mapped_file" : "file_mapped"),
    swap: v1 ? field(stat, "total_swap") : Number(swap ?? 0),
    failures: Number(failures ?? 0),
    processes: Number(processes ?? 0),
    ...(limits === undefined ? {} : { limits }),
  };
}
