/**
 * Files of a cgroup, version 1 and 2, and of /proc/pressure -> readings. Pure. Not for: reading them (node/cgroup_readings.ts).
 *
 * Source: Linux Documentation/admin-guide/cgroup-v1, cgroup-v2.rst and accounting/psi.rst.
 */
import type { CgroupReading, DeviceTraffic, Pressure } from "./cgroup_reading.ts";

/** Texts by the names of files; those that are not there are `undefined`. */
export type CgroupFiles = Readonly<Record<string, string | undefined>>;

/** Which files are read of which hierarchy of version 1. */
export const filesV1 = {
  cpuacct: ["cpuacct.usage", "cpuacct.stat", "cgroup.procs"],
  cpu: ["cpu.stat"],
  memory: [
    ...["memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.kmem.usage_in_bytes", "memory.stat"],
    ...["memory.failcnt", "memory.oom_control", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
  ],
  pids: ["pids.current", "pids.max"],
  blkio: ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"],
} as const;

export const filesV2 = [
  ...["cpu.stat", "cpu.pressure", "cgroup.procs", "io.stat", "io.pressure", "pids.current", "pids.max"],
  ...["memory.current", "memory.peak", "memory.stat", "memory.pressure", "memory.events"],
  ...["memory.swap.current", "memory.swap.max"],
] as const;

type Parsed = Omit<CgroupReading, "at" | "path" | "limits">;

/** Ticks of 1/100 s (USER_HZ). */
const nanosecondsPerTick = 1e7;

/** From here on a limit is none. */
const unlimitedFrom = 2 ** 62;

const number = (text: string | undefined): number => {
  const value = Number(text ?? 0);
  return Number.isNaN(value) ? 0 : value;
};

const limit = (text: string | undefined): number | undefined => {
  const value = Number(text ?? NaN);
  return Number.isNaN(value) || value >= unlimitedFrom ? undefined : value;
};

const fieldsOf = (text: string | undefined) => (name: string): number =>
  Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text ?? "")?.[1] ?? 0);

const lines = (text: string | undefined): string[] => (text ?? "").split("\n").filter((line) => line !== "");

const tasks = (files: CgroupFiles) => ({
  pids: lines(files["cgroup.procs"]).map(Number),
  threads: number(files["pids.current"]),
  threadsMax: number(files["pids.max"]),
});

/** `undefined`: there is no such cgroup. */
export function parseV1(files: CgroupFiles): Parsed | undefined {
  const memory = limit(files["memory.usage_in_bytes"]);
  if (files["cpuacct.usage"] === undefined || memory === undefined) return undefined;
  const [times, throttling, stat] = [files["cpuacct.stat"], files["cpu.stat"], files["memory.stat"]]
    .map(fieldsOf) as [ReturnType<typeof fieldsOf>, ReturnType<typeof fieldsOf>, ReturnType<typeof fieldsOf>];
  const [both, alone] = [limit(files["memory.memsw.limit_in_bytes"]), limit(files["memory.limit_in_bytes"])];
  return {
    cpu: number(files["cpuacct.usage"]),
    user: times("user") * nanosecondsPerTick,
    system: times("system") * nanosecondsPerTick,
    periods: throttling("nr_periods"),
    throttledPeriods: throttling("nr_throttled"),
    throttled: throttling("throttled_time"),
    memory,
    memoryPeak: number(files["memory.max_usage_in_bytes"]),
    workingSet: Math.max(0, memory - stat("total_inactive_file")),
    rss: stat("total_rss"),
    cache: stat("total_cache"),
    mapped: stat("total_mapped_file"),
    kernel: number(files["memory.kmem.usage_in_bytes"]),
    activeFile: stat("total_active_file"),
    inactiveFile: stat("total_inactive_file"),
    swap: stat("total_swap"),
    // One limit is of both together.
    ...(both === undefined ? {} : { swapLimit: Math.max(0, both - (alone ?? 0)) }),
    pageFaults: stat("total_pgfault"),
    majorPageFaults: stat("total_pgmajfault"),
    failures: number(files["memory.failcnt"]),
    oomKills: fieldsOf(files["memory.oom_control"])("oom_kill"),
    ...tasks(files),
    io: devicesV1(
      files["blkio.throttle.io_service_bytes_recursive"],
      files["blkio.throttle.io_serviced_recursive"],
    ),
  };
}

/** `undefined`: there is no such cgroup. */
export function parseV2(files: CgroupFiles): Parsed | undefined {
  const memory = limit(files["memory.current"]);
  if (files["cpu.stat"] === undefined || memory === undefined) return undefined;
  const [cpu, stat, events] = [
    fieldsOf(files["cpu.stat"]),
    fieldsOf(files["memory.stat"]),
    fieldsOf(files["memory.events"]),
  ];
  const swapLimit = limit(files["memory.swap.max"]);
  const pressure = {
    cpu: parsePressure(files["cpu.pressure"]),
    memory: parsePressure(files["memory.pressure"]),
    io: parsePressure(files["io.pressure"]),
  };
  return {
    cpu: cpu("usage_usec") * 1000,
    user: cpu("user_usec") * 1000,
    system: cpu("system_usec") * 1000,
    periods: cpu("nr_periods"),
    throttledPeriods: cpu("nr_throttled"),
    throttled: cpu("throttled_usec") * 1000,
    memory,
    memoryPeak: number(files["memory.peak"]),
    workingSet: Math.max(0, memory - stat("inactive_file")),
    rss: stat("anon"),
    cache: stat("file"),
    mapped: stat("file_mapped"),
    kernel: stat("kernel"),
    activeFile: stat("active_file"),
    inactiveFile: stat("inactive_file"),
    swap: number(files["memory.swap.current"]),
    ...(swapLimit === undefined ? {} : { swapLimit }),
    pageFaults: stat("pgfault"),
    majorPageFaults: stat("pgmajfault"),
    failures: events("max"),
    oomKills: events("oom_kill"),
    ...tasks(files),
    io: devicesV2(files["io.stat"]),
    ...(Object.values(pressure).some((p) => p !== undefined) && { pressure }),
  };
}

/** Of a `*.pressure` file or one below /proc/pressure; `undefined` where the kernel does not measure it. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  const stall = (kind: string) => {
    const line = lines(text).find((l) => l.startsWith(`${kind} `)) ?? "";
    const value = (name: string) => number(new RegExp(`\\b${name}=([\\d.]+)`).exec(line)?.[1]);
    return { avg10: value("avg10"), avg60: value("avg60"), avg300: value("avg300"), total: value("total") };
  };
  // The kernel tells no `full` of CPU for the whole machine before 5.13.
  return /^some /m.test(text ?? "") ? { some: stall("some"), full: stall("full") } : undefined;
}

/** Lines `8:0 Read 4096`. */
function devicesV1(bytes: string | undefined, operations: string | undefined): DeviceTraffic[] {
  const byDevice = (text: string | undefined) => {
    const found = new Map<string, Record<string, number>>();
    for (const line of lines(text)) {
      const [, device, what, count] = /^(\d+:\d+) (\w+) (\d+)$/.exec(line) ?? [];
      if (device !== undefined) found.set(device, { ...found.get(device), [what!]: Number(count) });
    }
    return found;
  };
  const [sizes, counts] = [byDevice(bytes), byDevice(operations)];
  return [...new Set([...sizes.keys(), ...counts.keys()])].map((device) => ({
    ...{ device, bytes: sizes.get(device) ?? {}, operations: counts.get(device) ?? {} },
  }));
}

/** Of /proc/diskstats (Documentation/admin-guide/iostats.rst): sectors of 512 bytes, of disks that were used. */
export const parseDiskStats = (text: string | undefined): DeviceTraffic[] =>
  lines(text).flatMap((line): DeviceTraffic[] => {
    const [major, minor, name = "", reads, , read, , writes, , written] = line.trim().split(/\s+/);
    const operations = { Read: number(reads), Write: number(writes) };
    if (/^(loop|ram)/.test(name) || operations.Read + operations.Write === 0) return [];
    const bytes = { Read: number(read) * 512, Write: number(written) * 512 };
    return [{ device: `${major}:${minor}`, bytes, operations }];
  });

/** Lines `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`. */
const devicesV2 = (text: string | undefined): DeviceTraffic[] =>
  lines(text).flatMap((line): DeviceTraffic[] => {
    const device = /^\d+:\d+(?= )/.exec(line)?.[0];
    if (device === undefined) return [];
    const value = (name: string) => number(new RegExp(` ${name}=(\\d+)`).exec(line)?.[1]);
    const of = (suffix: string) => ({
      Read: value(`r${suffix}`),
      Write: value(`w${suffix}`),
      Discard: value(`d${suffix}`),
    });
    return [{ device, bytes: of("bytes"), operations: of("ios") }];
  });
