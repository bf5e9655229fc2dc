/**
 * What the kernel tells of a pod's cgroup and those of its containers below it, in more detail than usage: for scrapes.
 * Not for: names of metrics (model/cadvisor_metrics.ts), limits being set (cgroup_files.ts).
 */
import { join } from "@std/path";
import { filesV1, filesV2, parseV1, parseV2 } from "../model/cgroup_parse.ts";
import {
  type CgroupReading,
  type InterfaceReading,
  parseInterfaces,
  type PodReading,
} from "../model/cgroup_reading.ts";
import type { Host } from "../ports.ts";
import { type Hierarchies, readLimits } from "./cgroup_files.ts";

const controllersV1 = ["cpuacct", "cpu", "memory", "pids", "blkio"] as const;

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
  const pids = [...containers.values()].flatMap((c) => c.pids);
  return { uid, whole, containers, network: await readNetwork(host, pids) };
}

/** That of this process; `undefined` where that is the root, which is the node itself. */
export async function ownCgroup(host: Host): Promise<string | undefined> {
  const text = await host.readText("/proc/self/cgroup").catch(() => undefined) ?? "";
  const path = (/^\d+:(?:.*,)?memory(?:,.*)?:(\/.+)$/m.exec(text) ?? /^0::(\/.+)$/m.exec(text))?.[1];
  // In version 1 a process may be in several places; CPU and memory of different ones tell nothing of it.
  const cpu = (/^\d+:(?:.*,)?cpuacct(?:,.*)?:(\/.*)$/m.exec(text))?.[1];
  return cpu === undefined || cpu === path ? path : undefined;
}

/** How many file descriptors these processes have open. */
export async function countOpenFiles(host: Host, pids: readonly number[]): Promise<number> {
  const lists = await Promise.all(pids.map((pid) => host.list(`/proc/${pid}/fd`).catch(() => undefined)));
  return lists.reduce((sum, names) => sum + (names?.length ?? 0), 0);
}

/** Of the node itself, as cAdvisor has it of the root cgroup. */
export async function readNodeNetwork(host: Host): Promise<InterfaceReading[]> {
  return parseInterfaces(await host.readText("/proc/1/net/dev") ?? "");
}

/** That of the first process that is found: all of a pod share one network. */
async function readNetwork(host: Host, pids: readonly number[]): Promise<InterfaceReading[]> {
  for (const pid of pids) {
    const text = await host.readText(`/proc/${pid}/net/dev`).catch(() => undefined);
    if (text !== undefined) return parseInterfaces(text);
  }
  return [];
}

/** `undefined` when there is no such cgroup. */
export async function readCgroup(
  host: Host,
  h: Hierarchies,
  path: string,
): Promise<CgroupReading | undefined> {
  const u = h.unified;
  const places = u === undefined
    ? controllersV1.flatMap((c) =>
      h[c] === undefined ? [] : filesV1[c].map((file) => ({ mount: h[c]!, file }))
    )
    : filesV2.map((file) => ({ mount: u, file }));
  const texts = await Promise.all(
    places.map(({ mount, file }) => host.readText(join(mount, path, file)).catch(() => undefined)),
  );
  const files = Object.fromEntries(places.map(({ file }, i) => [file, texts[i]?.trim()]));
  const parsed = (u === undefined ? parseV1 : parseV2)(files);
  if (parsed === undefined) return undefined;
  const limits = await readLimits(host, h, path);
  return { at: host.now(), path, ...parsed, ...(limits === undefined ? {} : { limits }) };
}
