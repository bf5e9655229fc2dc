/**
 * Usage as metrics.k8s.io/v1beta1 tells it, which `top` reads, and as the kubelet's /metrics/resource, which
 * metrics-server scrapes. Pure. Source: kubernetes pkg/kubelet/metrics/collectors/resource_metrics.go.
 */
import type { Pod } from "./gen/v1.ts";
import { containerIn, type MeasuredUsage, nanoCores, type NodeUsage, type Usage } from "./usage.ts";

interface Metrics {
  metadata: { name: string; namespace?: string };
  timestamp: string;
  /** Between the two looks that CPU was computed from: `1.002s`. */
  window: string;
}

/** `cpu` in billionths of a core (`1500000n`), `memory` in `Ki`, as metrics-server writes them. */
export interface UsageList {
  cpu: string;
  memory: string;
}

export interface PodMetrics extends Metrics {
  containers: { name: string; usage: UsageList }[];
}

export interface NodeMetrics extends Metrics {
  usage: UsageList;
  /** Not of the API: what the node has, so that shares of it can be told. */
  allocatable: UsageList;
}

const listOf = (before: Usage | undefined, now: Usage): UsageList => ({
  cpu: `${nanoCores(before, now) ?? 0}n`,
  memory: `${Math.ceil(now.workingSet / 1024)}Ki`,
});

const windowOf = (before: NodeUsage, now: NodeUsage): Pick<Metrics, "timestamp" | "window"> => ({
  timestamp: new Date(now.at).toISOString(),
  window: `${(now.at - before.at) / 1000}s`,
});

/** Pods without a running container are left out. A container that has just started counts from the next look. */
export function podMetrics({ before, now }: MeasuredUsage, pods: readonly Pod[]): PodMetrics[] {
  return pods.flatMap((pod): PodMetrics[] => {
    const { name = "", namespace = "", uid } = pod.metadata ?? {};
    const containers = now.pods.find((p) => p.uid === uid)?.containers ?? [];
    if (containers.length === 0) return [];
    return [{
      metadata: { name, namespace },
      ...windowOf(before, now),
      containers: containers.map((c) => ({ name: c.name, usage: listOf(containerIn(before, c.id), c) })),
    }];
  });
}

export const nodeMetrics = (
  { before, now }: MeasuredUsage,
  name: string,
  allocatable: { cpu: number; memory: number },
): NodeMetrics => ({
  metadata: { name },
  ...windowOf(before, now),
  usage: listOf(before.node, now.node),
  allocatable: {
    cpu: `${Math.round(allocatable.cpu * 1e9)}n`,
    memory: `${Math.floor(allocatable.memory / 1024)}Ki`,
  },
});

/** A value, and the time of it in ms where it has one of its own. */
export type Sample = [labels: Record<string, string>, value: number, at?: number];

const escaped = (text: string) => text.replace(/[\\"\n]/g, (c) => c === "\n" ? "\\n" : `\\${c}`);

/** Prometheus text; nothing without samples. */
export const family = (
  name: string,
  type: "counter" | "gauge",
  help: string,
  samples: readonly Sample[],
): string => {
  if (samples.length === 0) return "";
  const lines = samples.map(([labels, value, at]) => {
    const list = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`).join(",");
    const time = at === undefined ? "" : ` ${Math.round(at)}`;
    return `${name}${list === "" ? "" : `{${list}}`} ${value}${time}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
};

/** Without a time of its own, as the kubelet tells of volumes. */
export const gaugeText = (
  name: string,
  help: string,
  samples: readonly [labels: Record<string, string>, value: number][],
): string => family(name, "gauge", help, samples);

type Labels = Record<string, string>;
/** Absent where it is not told. */
type Value = (usage: Usage) => number | undefined;

const swapHelp = (what: string) => `[STABLE] Current ${what} in bytes. Reported only on non-windows systems`;

/** Prometheus text. */
export function resourceMetrics(usage: NodeUsage, pods: readonly Pod[]): string {
  const labelled = pods.flatMap((pod) => {
    const { name: own = "", namespace = "", uid } = pod.metadata ?? {};
    const found = usage.pods.find((p) => p.uid === uid);
    return found === undefined ? [] : [{ pod, found, labels: { namespace, pod: own } }];
  });
  const of = (value: Value) => (labels: Labels, usage: Usage): Sample[] => {
    const found = value(usage);
    return found === undefined ? [] : [[labels, found, usage.at]];
  };
  const ofContainers = (value: Value): Sample[] =>
    labelled.flatMap(({ found, labels }) =>
      found.containers.flatMap((c) => of(value)({ container: c.name, ...labels }, c))
    );
  const ofPods = (value: Value): Sample[] =>
    labelled.flatMap(({ found: { whole }, labels }) => whole === undefined ? [] : of(value)(labels, whole));
  const ofNode = (value: Value): Sample[] => of(value)({}, usage.node);
  const swap = (u: Usage) => u.swap;
  const seconds = (u: Usage) => u.cpu / 1e9;
  const workingSet = (u: Usage) => u.workingSet;
  const starts = labelled.flatMap(({ pod, labels }) =>
    [...pod.status?.initContainerStatuses ?? [], ...pod.status?.containerStatuses ?? []]
      .flatMap(({ name, state }): Sample[] => {
        const at = Date.parse(state?.running?.startedAt ?? "");
        return Number.isNaN(at) ? [] : [[{ container: name, ...labels }, at / 1000, usage.at]];
      })
  );
  const cpu = "[STABLE] Cumulative cpu time consumed by the";
  const memory = "[STABLE] Current working set of the";
  return [
    family(
      "container_cpu_usage_seconds_total",
      "counter",
      `${cpu} container in core-seconds`,
      ofContainers(seconds),
    ),
    family(
      "container_memory_working_set_bytes",
      "gauge",
      `${memory} container in bytes`,
      ofContainers(workingSet),
    ),
    family(
      "container_start_time_seconds",
      "gauge",
      "[STABLE] Start time of the container since unix epoch in seconds",
      starts,
    ),
    family(
      "container_swap_limit_bytes",
      "gauge",
      swapHelp("amount of the container swap limit"),
      ofContainers((u) => u.swapLimit),
    ),
    family(
      "container_swap_usage_bytes",
      "gauge",
      swapHelp("amount of the container swap usage"),
      ofContainers(swap),
    ),
    family("node_cpu_usage_seconds_total", "counter", `${cpu} node in core-seconds`, ofNode(seconds)),
    family("node_memory_working_set_bytes", "gauge", `${memory} node in bytes`, ofNode(workingSet)),
    family("node_swap_usage_bytes", "gauge", swapHelp("swap usage of the node"), ofNode(swap)),
    family("pod_cpu_usage_seconds_total", "counter", `${cpu} pod in core-seconds`, ofPods(seconds)),
    family("pod_memory_working_set_bytes", "gauge", `${memory} pod in bytes`, ofPods(workingSet)),
    family("pod_swap_usage_bytes", "gauge", swapHelp("amount of the pod swap usage"), ofPods(swap)),
    "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise\n" +
    "# TYPE resource_scrape_error gauge\nresource_scrape_error 0\n",
  ].join("");
}
