/**
 * The families of /metrics/cadvisor that are told of cgroups: of a container, a pod, the node, all pods. Pure. Not for:
 * which of them there are and how they are labelled (cadvisor_metrics.ts).
 *
 * Source: cAdvisor metrics/prometheus.go: names, labels, units and what is told of a cgroup without it.
 */
import type { CgroupReading, DeviceTraffic, Pressures } from "./cgroup_reading.ts";
import type { Capacity } from "./stats_parts.ts";

export type Labels = Record<string, string>;

/** What is told of one cgroup. What is not known of it is absent. */
export interface Row {
  labels: Labels;
  reading: Partial<CgroupReading> & { at: number };
  /** A file system that it writes to. */
  fs?: { device: string; used?: number; capacity?: Capacity | undefined };
  /** Seconds since the epoch. */
  startedAt?: number;
  fileDescriptors?: number;
  /** Paths of block devices, by `MAJOR:MINOR`. */
  devices: ReadonlyMap<string, string>;
}

const deviceOf = ({ devices }: Row, { device }: DeviceTraffic) => devices.get(device) ?? device;

export interface Family {
  name: string;
  type: "counter" | "gauge";
  help: string;
  /** Values, and labels beside the row's. */
  of(row: Row): readonly (readonly [labels: Labels, value: number])[];
}

type Value = (row: Row) => number | undefined;

const one =
  (type: Family["type"]) => (name: string, help: string, value: Value, labels: Labels = {}): Family => ({
    ...{ name, type, help },
    of(row) {
      const found = value(row);
      return found === undefined ? [] : [[labels, found]];
    },
  });
const counter = one("counter");
const gauge = one("gauge");

const seconds = (nanoseconds: number | undefined) =>
  nanoseconds === undefined ? undefined : nanoseconds / 1e9;
const number =
  (key: Exclude<keyof CgroupReading, "path" | "pids" | "io" | "pressure" | "limits">): Value => (row) =>
    row.reading[key];
/** Told of what has a limit of CPU. */
const limited = (value: Value): Value => (row) =>
  (row.reading.limits?.cpuQuota ?? -1) > 0 ? value(row) : undefined;

const cpu: Family[] = [
  counter(
    "container_cpu_usage_seconds_total",
    "Cumulative cpu time consumed in seconds.",
    ({ reading }) => seconds(reading.cpu),
    { cpu: "total" },
  ),
  counter(
    "container_cpu_user_seconds_total",
    "Cumulative user cpu time consumed in seconds.",
    ({ reading }) => seconds(reading.user),
  ),
  counter(
    "container_cpu_system_seconds_total",
    "Cumulative system cpu time consumed in seconds.",
    ({ reading }) => seconds(reading.system),
  ),
  counter(
    "container_cpu_cfs_periods_total",
    "Number of elapsed enforcement period intervals.",
    limited(number("periods")),
  ),
  counter(
    "container_cpu_cfs_throttled_periods_total",
    "Number of throttled period intervals.",
    limited(number("throttledPeriods")),
  ),
  counter(
    "container_cpu_cfs_throttled_seconds_total",
    "Total time duration the container has been throttled.",
    limited(({ reading }) => seconds(reading.throttled)),
  ),
];

const memory: Family[] = [
  gauge(
    "container_memory_usage_bytes",
    "Current memory usage in bytes, including all memory regardless of when it was accessed",
    number("memory"),
  ),
  gauge("container_memory_max_usage_bytes", "Maximum memory usage recorded in bytes", number("memoryPeak")),
  gauge("container_memory_working_set_bytes", "Current working set in bytes.", number("workingSet")),
  gauge("container_memory_rss", "Size of RSS in bytes.", number("rss")),
  gauge("container_memory_cache", "Number of bytes of page cache memory.", number("cache")),
  gauge("container_memory_mapped_file", "Size of memory mapped files in bytes.", number("mapped")),
  gauge("container_memory_kernel_usage", "Size of kernel memory allocated in bytes.", number("kernel")),
  gauge(
    "container_memory_total_active_file_bytes",
    "Current total active file in bytes.",
    number("activeFile"),
  ),
  gauge(
    "container_memory_total_inactive_file_bytes",
    "Current total inactive file in bytes.",
    number("inactiveFile"),
  ),
  gauge("container_memory_swap", "Container swap usage in bytes.", number("swap")),
  counter("container_memory_failcnt", "Number of memory usage hits limits", number("failures")),
  {
    name: "container_memory_failures_total",
    type: "counter",
    help: "Cumulative count of memory allocation failures.",
    of: ({ reading: { pageFaults, majorPageFaults } }) =>
      // What is below a cgroup counts in both.
      ["container", "hierarchy"].flatMap((scope) => [
        ...pageFaults === undefined ? [] : [[{ failure_type: "pgfault", scope }, pageFaults] as const],
        ...majorPageFaults === undefined
          ? []
          : [[{ failure_type: "pgmajfault", scope }, majorPageFaults] as const],
      ]),
  },
  counter(
    "container_oom_events_total",
    "Count of out of memory events observed for the container",
    number("oomKills"),
  ),
];

const processes: Family[] = [
  gauge(
    "container_processes",
    "Number of processes running inside the container.",
    ({ reading }) => reading.pids?.length,
  ),
  gauge("container_threads", "Number of threads running inside the container", number("threads")),
  gauge(
    "container_threads_max",
    "Maximum number of threads allowed inside the container, infinity if value is zero",
    number("threadsMax"),
  ),
  gauge(
    "container_file_descriptors",
    "Number of open file descriptors for the container.",
    ({ fileDescriptors }) => fileDescriptors,
  ),
];

const onDisk = (
  name: string,
  help: string,
  value: (fs: NonNullable<Row["fs"]>) => number | undefined,
): Family => ({
  ...{ name, help, type: "gauge" },
  of({ fs }) {
    const found = fs && value(fs);
    return found === undefined ? [] : [[{ device: fs!.device }, found]];
  },
});

const byDevice = (
  name: string,
  help: string,
  value: (traffic: DeviceTraffic) => number | undefined,
): Family => ({
  ...{ name, help, type: "counter" },
  of: (row) =>
    (row.reading.io ?? []).flatMap((traffic) => {
      const found = value(traffic);
      return found === undefined ? [] : [[{ device: deviceOf(row, traffic) }, found] as const];
    }),
});

const disks: Family[] = [
  onDisk(
    "container_fs_limit_bytes",
    "Number of bytes that can be consumed by the container on this filesystem.",
    ({ capacity }) => capacity?.capacity,
  ),
  onDisk(
    "container_fs_usage_bytes",
    "Number of bytes that are consumed by the container on this filesystem.",
    ({ used }) => used,
  ),
  onDisk("container_fs_inodes_free", "Number of available Inodes", ({ capacity }) => capacity?.inodesFree),
  onDisk("container_fs_inodes_total", "Number of Inodes", ({ capacity }) => capacity?.inodes),
  byDevice("container_fs_reads_bytes_total", "Cumulative count of bytes read", ({ bytes }) => bytes["Read"]),
  byDevice("container_fs_reads_total", "Cumulative count of reads completed", (t) => t.operations["Read"]),
  byDevice(
    "container_fs_writes_bytes_total",
    "Cumulative count of bytes written",
    ({ bytes }) => bytes["Write"],
  ),
  byDevice("container_fs_writes_total", "Cumulative count of writes completed", (t) => t.operations["Write"]),
];

const resources = ["cpu", "memory", "io"] as const;

const pressures: Family[] = resources.flatMap((resource): Family[] => {
  const congestion = `due to ${resource === "memory" ? resource : resource.toUpperCase()} congestion.`;
  const total = (kind: "some" | "full"): Value => ({ reading }) => {
    const stall = (reading.pressure as Pressures | undefined)?.[resource]?.[kind];
    return stall === undefined ? undefined : stall.total / 1e6;
  };
  return [
    counter(
      `container_pressure_${resource}_stalled_seconds_total`,
      `Total time duration no tasks in the container could make progress ${congestion}`,
      total("full"),
    ),
    counter(
      `container_pressure_${resource}_waiting_seconds_total`,
      `Total time duration tasks in the container have waited ${congestion}`,
      total("some"),
    ),
  ];
});

const specified: Family[] = [
  gauge(
    "container_start_time_seconds",
    "Start time of the container since unix epoch in seconds.",
    ({ startedAt }) => startedAt,
  ),
  gauge(
    "container_last_seen",
    "Last time a container was seen by the exporter",
    ({ reading }) => Math.floor(reading.at / 1000),
  ),
  gauge(
    "container_spec_cpu_shares",
    "CPU share of the container.",
    ({ reading }) => reading.limits?.cpuShares,
  ),
  gauge(
    "container_spec_cpu_period",
    "CPU period of the container.",
    ({ reading }) => reading.limits?.cpuPeriod,
  ),
  gauge(
    "container_spec_cpu_quota",
    "CPU quota of the container.",
    limited(({ reading }) => reading.limits?.cpuQuota),
  ),
  gauge(
    "container_spec_memory_limit_bytes",
    "Memory limit for the container.",
    ({ reading }) => reading.limits === undefined ? undefined : reading.limits.memory ?? 0,
  ),
  gauge(
    "container_spec_memory_swap_limit_bytes",
    "Memory swap limit for the container.",
    ({ reading }) => reading.limits === undefined ? undefined : reading.swapLimit ?? 0,
  ),
];

/** All that are told of a cgroup, its network apart. */
export const cgroupFamilies: readonly Family[] = [
  ...cpu,
  ...memory,
  ...processes,
  ...disks,
  {
    name: "container_blkio_device_usage_total",
    type: "counter",
    help: "Blkio Device bytes usage",
    of: (row) =>
      (row.reading.io ?? []).flatMap((traffic) => {
        const [major = "", minor = ""] = traffic.device.split(":");
        const labels = { device: deviceOf(row, traffic), major, minor };
        return Object.entries(traffic.bytes).map(([operation, n]) => [{ ...labels, operation }, n] as const);
      }),
  },
  ...pressures,
  ...specified,
];
