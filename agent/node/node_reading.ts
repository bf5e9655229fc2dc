/**
 * What /proc tells of the node as a whole, and the runtime of its images' disk. Not for: CPU and memory in use (usage.ts).
 */
import { parseDiskStats, parsePressure } from "../model/cgroup_parse.ts";
import type { ImageDisk, NodeFacts, NodeReading } from "../model/stats_node.ts";
import type { Host, ImageFileSystem, Images } from "../ports.ts";
import { readNodeNetwork } from "./cgroup_readings.ts";
import { pidRoom } from "./room.ts";

export async function readNode(host: Host): Promise<NodeReading> {
  const read = (path: string) => host.readText(`/proc/${path}`).catch(() => undefined);
  const [vmstat, meminfo, uptime, diskstats, cpu, memory, io] = await Promise.all(
    ["vmstat", "meminfo", "uptime", "diskstats", "pressure/cpu", "pressure/memory", "pressure/io"].map(read),
  );
  const [network, room] = await Promise.all([readNodeNetwork(host), pidRoom(host)]);
  const field = (text: string | undefined, name: string) =>
    Number(new RegExp(`^${name}:? +(\\d+)`, "m").exec(text ?? "")?.[1] ?? 0);
  const [total, free] = [field(meminfo, "SwapTotal") * 1024, field(meminfo, "SwapFree") * 1024];
  return {
    at: host.now(),
    bootedAt: host.now() - Number(uptime?.split(" ")[0] ?? 0) * 1000,
    pageFaults: field(vmstat, "pgfault"),
    majorPageFaults: field(vmstat, "pgmajfault"),
    swap: { used: total - free, free },
    pressure: { cpu: parsePressure(cpu), memory: parsePressure(memory), io: parsePressure(io) },
    network,
    io: parseDiskStats(diskstats),
    tasks: room === undefined ? {} : { now: room.capacity - room.available, most: room.capacity },
  };
}

/** What the runtime does not tell is absent. */
export async function readImageDisks(
  { host, images }: { host: Pick<Host, "statfs">; images: Pick<Images, "fileSystems"> },
  signal: AbortSignal,
): Promise<NodeFacts["images"]> {
  const withDisk = async ({ path, ...usage }: ImageFileSystem): Promise<ImageDisk> => ({
    ...usage,
    disk: await host.statfs(path).catch(() => undefined),
  });
  const found = await images.fileSystems(signal).catch(() => ({}));
  const entries = Object.entries(found).map(async ([name, usage]) => [name, await withDisk(usage)] as const);
  return Object.fromEntries(await Promise.all(entries));
}
