/**
 * The kubelet's /metrics/cadvisor: the families that dashboards and alerts commonly use. Pure. Source: cAdvisor,
 * metrics/prometheus.go, and the labels that the kubelet gives (pkg/kubelet/server). Not for: reading cgroups.
 */
import type { CgroupReading, InterfaceReading, PodReading, Traffic } from "./cgroup_reading.ts";
import type { ContainerStatus, Pod } from "./gen/v1.ts";
import { family, type Sample } from "./resource_metrics.ts";
import type { Capacity } from "./stats_parts.ts";
import type { NodeUsage } from "./usage.ts";

export interface CadvisorFacts {
  usage: NodeUsage;
  readings: readonly PodReading[];
  pods: readonly Pod[];
  /** Of the node. */
  network: readonly InterfaceReading[];
  /** Where pods lie. */
  disk: Capacity | undefined;
  machine: {
    cpus: number;
    memory: number;
    ids: Readonly<Record<"boot_id" | "machine_id" | "system_uuid", string>>;
  };
}

type Labels = Record<string, string>;

/** One row: a pod as a whole, or a container of it. */
interface Row {
  labels: Labels;
  reading: CgroupReading;
  disk?: number;
  startedAt?: number;
}

const none: Labels = { container: "", image: "", name: "", namespace: "", pod: "" };

function rowsOf({ usage, readings, pods }: CadvisorFacts): Row[] {
  return pods.flatMap((pod): Row[] => {
    const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
    const reading = readings.find((r) => r.uid === uid);
    if (reading === undefined) return [];
    const own = { ...none, namespace, pod: name };
    const disks = usage.pods.find((p) => p.uid === uid)?.containers ?? [];
    const containers = statusesOf(pod).flatMap((status): Row[] => {
      const id = status.containerID?.replace(/^.*:\/\//, "") ?? "";
      const found = reading.containers.get(id);
      if (found === undefined) return [];
      const startedAt = Date.parse(status.state?.running?.startedAt ?? "") / 1000;
      const disk = disks.find((d) => d.id === id)?.disk?.bytes;
      return [{
        labels: { ...own, container: status.name, id: found.path, image: status.image, name: id },
        reading: found,
        ...(disk === undefined ? {} : { disk }),
        ...(Number.isNaN(startedAt) ? {} : { startedAt }),
      }];
    });
    return [{ labels: { ...own, id: reading.whole.path }, reading: reading.whole }, ...containers];
  });
}

const statusesOf = ({ status }: Pod): ContainerStatus[] => [
  ...status?.initContainerStatuses ?? [],
  ...status?.containerStatuses ?? [],
  ...status?.ephemeralContainerStatuses ?? [],
];

interface Told {
  name: string;
  type: "counter" | "gauge";
  help: string;
  of(row: Row): number | undefined;
  /** Beside the row's. */
  labels?: Labels;
}

const seconds = (nanoseconds: number) => nanoseconds / 1e9;
const limited = (row: Row) => (row.reading.limits?.cpuQuota ?? -1) > 0;

const told: readonly Told[] = [
  {
    name: "container_cpu_usage_seconds_total",
    type: "counter",
    help: "Cumulative cpu time consumed in seconds.",
    labels: { cpu: "total" },
    of: ({ reading }) => seconds(reading.cpu),
  },
  {
    name: "container_cpu_user_seconds_total",
    type: "counter",
    help: "Cumulative user cpu time consumed in seconds.",
    of: ({ reading }) => seconds(reading.user),
  },
  {
    name: "container_cpu_system_seconds_total",
    type: "counter",
    help: "Cumulative system cpu time consumed in seconds.",
    of: ({ reading }) => seconds(reading.system),
  },
  {
    name: "container_cpu_cfs_periods_total",
    type: "counter",
    help: "Number of elapsed enforcement period intervals.",
    of: (row) => limited(row) ? row.reading.periods : undefined,
  },
  {
    name: "container_cpu_cfs_throttled_periods_total",
    type: "counter",
    help: "Number of throttled period intervals.",
    of: (row) => limited(row) ? row.reading.throttledPeriods : undefined,
  },
  {
    name: "container_cpu_cfs_throttled_seconds_total",
    type: "counter",
    help: "Total time duration the container has been throttled.",
    of: (row) => limited(row) ? seconds(row.reading.throttled) : undefined,
  },
  {
    name: "container_memory_usage_bytes",
    type: "gauge",
    help: "Current memory usage in bytes, including all memory regardless of when it was accessed.",
    of: ({ reading }) => reading.memory,
  },
  {
    name: "container_memory_working_set_bytes",
    type: "gauge",
    help: "Current working set in bytes.",
    of: ({ reading }) => reading.workingSet,
  },
  {
    name: "container_memory_rss",
    type: "gauge",
    help: "Size of RSS in bytes.",
    of: ({ reading }) => reading.rss,
  },
  {
    name: "container_memory_cache",
    type: "gauge",
    help: "Number of bytes of page cache memory.",
    of: ({ reading }) => reading.cache,
  },
  {
    name: "container_memory_mapped_file",
    type: "gauge",
    help: "Size of memory mapped files in bytes.",
    of: ({ reading }) => reading.mapped,
  },
  {
    name: "container_memory_swap",
    type: "gauge",
    help: "Container swap usage in bytes.",
    of: ({ reading }) => reading.swap,
  },
  {
    name: "container_memory_failcnt",
    type: "counter",
    help: "Number of memory usage hits limits.",
    of: ({ reading }) => reading.failures,
  },
  {
    name: "container_processes",
    type: "gauge",
    help: "Number of processes running inside the container.",
    of: ({ reading }) => reading.pids.length,
  },
  {
    name: "container_fs_usage_bytes",
    type: "gauge",
    help: "Number of bytes that are consumed by the container on this filesystem.",
    labels: { device: "" },
    of: ({ disk }) => disk,
  },
  {
    name: "container_start_time_seconds",
    type: "gauge",
    help: "Start time of the container since unix epoch in seconds.",
    of: ({ startedAt }) => startedAt,
  },
  {
    name: "container_last_seen",
    type: "gauge",
    help: "Last time a container was seen by the exporter",
    of: ({ reading }) => Math.floor(reading.at / 1000),
  },
  {
    name: "container_spec_cpu_shares",
    type: "gauge",
    help: "CPU share of the container.",
    of: ({ reading }) => reading.limits?.cpuShares,
  },
  {
    name: "container_spec_cpu_period",
    type: "gauge",
    help: "CPU period of the container.",
    of: ({ reading }) => reading.limits?.cpuPeriod,
  },
  {
    name: "container_spec_cpu_quota",
    type: "gauge",
    help: "CPU quota of the container.",
    of: ({ reading }) => reading.limits?.cpuQuota,
  },
  {
    name: "container_spec_memory_limit_bytes",
    type: "gauge",
    help: "Memory limit for the container.",
    of: ({ reading }) => reading.limits === undefined ? undefined : reading.limits.memory ?? 0,
  },
];

const directions = ["receive", "transmit"] as const;
const counted: readonly (keyof Traffic)[] = ["bytes", "packets", "errors", "dropped"];

function networkFamilies(facts: CadvisorFacts, rows: readonly Row[]): string[] {
  const of = (labels: Labels, at: number, found: readonly InterfaceReading[]) =>
    found.map((device) => ({ labels: { ...labels, interface: device.name }, at, device }));
  const samples = [
    ...of({ ...none, id: "/" }, facts.usage.at, facts.network),
    ...facts.readings.flatMap((pod) => {
      const row = rows.find((r) => r.reading === pod.whole);
      return row === undefined ? [] : of(row.labels, pod.whole.at, pod.network);
    }),
  ];
  return directions.flatMap((direction) =>
    counted.map((what) => {
      const suffix = what === "dropped" ? "packets_dropped" : what;
      const help = `Cumulative count of ${what === "dropped" ? "packets dropped" : what} while ` +
        `${direction === "receive" ? "receiving" : "transmitting"}`;
      return family(
        `container_network_${direction}_${suffix}_total`,
        "counter",
        help,
        samples.map(({ labels, at, device }): Sample => [labels, device[direction][what], at]),
      );
    })
  );
}

/** Prometheus text. */
export function cadvisorMetrics(facts: CadvisorFacts): string {
  const rows = rowsOf(facts);
  const { node } = facts.usage;
  const root = { ...none, id: "/" };
  const ofNode: Record<string, number | undefined> = {
    container_cpu_usage_seconds_total: seconds(node.cpu),
    container_memory_usage_bytes: node.memory,
    container_memory_working_set_bytes: node.workingSet,
    container_memory_rss: node.rss,
    container_fs_usage_bytes: facts.disk && facts.disk.capacity - facts.disk.available,
  };
  const families = told.map(({ name, type, help, of, labels = {} }) => {
    const whole = ofNode[name];
    return family(name, type, help, [
      ...whole === undefined ? [] : [[{ ...root, ...labels }, whole, node.at] as Sample],
      ...rows.flatMap((row): Sample[] => {
        const value = of(row);
        return value === undefined ? [] : [[{ ...row.labels, ...labels }, value, row.reading.at]];
      }),
    ]);
  });
  const { ids, cpus, memory } = facts.machine;
  const limit = facts.disk === undefined
    ? []
    : [[{ ...root, device: "" }, facts.disk.capacity, node.at] as Sample];
  return [
    ...families,
    ...networkFamilies(facts, rows),
    family(
      "container_fs_limit_bytes",
      "gauge",
      "Number of bytes that can be consumed on this filesystem.",
      limit,
    ),
    family(
      "container_scrape_error",
      "gauge",
      "1 if there was an error while getting container metrics, 0 otherwise",
      [
        [{}, 0],
      ],
    ),
    family("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [[ids, cpus]]),
    family("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.", [[ids, memory]]),
    family(
      "machine_scrape_error",
      "gauge",
      "1 if there was an error while getting machine metrics, 0 otherwise.",
      [
        [{}, 0],
      ],
    ),
  ].join("");
}
