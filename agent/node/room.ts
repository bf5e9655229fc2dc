/** How much memory, disk and how many process ids are left on the node. Not for: whether that is too little (model/node_pressure.ts). */
import type { Room, Rooms } from "../model/node_pressure.ts";
import type { Capacity } from "../model/stats_parts.ts";
import type { Host } from "../ports.ts";
import { readNodeUsage } from "./usage.ts";

export interface RoomPlaces {
  /** What pods write to. */
  nodefs: string;
  /** Where the runtime has images and containers. */
  imagefs: string;
}

/** `dedicated`: images and containers have a file system of their own. */
export async function readRooms(
  host: Pick<Host, "readText" | "stat" | "statfs" | "now">,
  places: RoomPlaces,
): Promise<{ rooms: Rooms; dedicated: boolean }> {
  const [memory, pids, nodefs, imagefs, dedicated] = await Promise.all([
    memoryRoom(host),
    pidRoom(host),
    host.statfs(places.nodefs),
    host.statfs(places.imagefs),
    isDedicated(host, places),
  ]);
  const rooms = {
    ...(memory && { "memory.available": memory }),
    ...(pids && { "pid.available": pids }),
    ...diskRooms("nodefs", nodefs),
    ...diskRooms("imagefs", imagefs ?? nodefs),
  };
  return { rooms, dedicated };
}

async function isDedicated(host: Pick<Host, "stat">, { nodefs, imagefs }: RoomPlaces): Promise<boolean> {
  const [own, other] = await Promise.all([host.stat(nodefs), host.stat(imagefs)]);
  return own !== undefined && other !== undefined && own.dev !== other.dev;
}

async function memoryRoom(host: Pick<Host, "readText" | "now">): Promise<Room | undefined> {
  const meminfo = await host.readText("/proc/meminfo") ?? "";
  const capacity = 1024 * Number(/^MemTotal: +(\d+) kB$/m.exec(meminfo)?.[1] ?? 0);
  const { workingSet } = await readNodeUsage(host);
  return capacity === 0 ? undefined : { available: Math.max(0, capacity - workingSet), capacity };
}

/** As the kubelet counts: threads that there are of ids that there may be. */
export async function pidRoom(host: Pick<Host, "readText">): Promise<Room | undefined> {
  const number = async (path: string) => Number(await host.readText(path) ?? NaN);
  const capacity = Math.min(
    await number("/proc/sys/kernel/pid_max"),
    await number("/proc/sys/kernel/threads-max"),
  );
  const used = Number(/\/(\d+) /.exec(await host.readText("/proc/loadavg") ?? "")?.[1] ?? NaN);
  return Number.isNaN(capacity - used) ? undefined : { available: capacity - used, capacity };
}

function diskRooms(name: "nodefs" | "imagefs", disk: Capacity | undefined): Rooms {
  if (disk === undefined || disk.capacity === 0) return {};
  return {
    [`${name}.available`]: { available: disk.available, capacity: disk.capacity },
    // Some file systems (btrfs) have no count of their own.
    ...(disk.inodes > 0 && { [`${name}.inodesFree`]: { available: disk.inodesFree, capacity: disk.inodes } }),
  };
}
