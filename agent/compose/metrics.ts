/**
 * What `/metrics` says, under the kubelet's names where the meaning is the same: counted when somebody asks, not before.
 * Source: kubernetes pkg/kubelet/metrics; the Prometheus client conventions for process_*. Not for: the registry.
 */
import { buildInfo } from "../build_info.ts";
import type { CallMetrics, Metrics } from "../lib/metrics.ts";
import type { Pod } from "../model/gen/v1.ts";
import { isOfApi, isOver } from "../model/api_pod.ts";
import { kubeletVersion } from "../model/kubernetes_version.ts";
import { volumeMetrics } from "../model/volume_stats.ts";
import type { VolumeMeter } from "../node/volume_meter.ts";
import type { StatusStore } from "../status_store.ts";

/** The kubelet's operation types; what it does not know keeps our name. */
const operations: Record<string, string> = {
  version: "version",
  status: "status",
  observe: "list_containers",
  runPodSandbox: "run_podsandbox",
  stopPodSandbox: "stop_podsandbox",
  removePodSandbox: "remove_podsandbox",
  createContainer: "create_container",
  startContainer: "start_container",
  stopContainer: "stop_container",
  removeContainer: "remove_container",
  updateContainerResources: "update_container",
  execSync: "exec_sync",
};
const imageOperations: Record<string, string> = {
  list: "list_images",
  status: "image_status",
  pull: "pull_image",
  remove: "remove_image",
  importArchive: "import_archive",
};

const callsNamed = (names: Record<string, string>): CallMetrics => ({
  seconds: "kubelet_runtime_operations_duration_seconds",
  total: "kubelet_runtime_operations_total",
  errors: "kubelet_runtime_operations_errors_total",
  labels: (method) => ({ operation_type: names[method] ?? method }),
});

export const runtimeCalls = callsNamed(operations);
export const imageCalls = callsNamed(imageOperations);

const isRunning = (pod: Pod) => pod.status?.phase === "Running";

const containerStates = (pods: readonly Pod[]): Record<string, number> => {
  const counts: Record<string, number> = { created: 0, running: 0, exited: 0 };
  for (
    const c of pods.flatMap((
      p,
    ) => [...p.status?.initContainerStatuses ?? [], ...p.status?.containerStatuses ?? []])
  ) {
    const state = c.state?.running ? "running" : c.state?.terminated ? "exited" : "created";
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
};

/** Fields utime and stime (in ticks of 1/100 s) and vsize of /proc/self/stat. */
function processTimes(): { processorSeconds: number; virtualMemory: number } {
  const fields = Deno.readTextFileSync("/proc/self/stat").replace(/^.*\) /, "").split(" ");
  return {
    processorSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
    virtualMemory: Number(fields[20]),
  };
}

function processFiles(): { open: number; most: number } {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  return {
    open: [...Deno.readDirSync("/proc/self/fd")].length,
    most: Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 0),
  };
}

/** Names are those of every Prometheus client. @param counted processor seconds that were told before; returns the new ones */
function tellOfProcess(metrics: Metrics, startedAt: number, counted: number): number {
  const gauge = (name: string, help: string, value: number) => metrics.gauge(name, help).set(value);
  const { processorSeconds, virtualMemory } = processTimes();
  const { open, most } = processFiles();
  gauge("process_resident_memory_bytes", "Resident memory size in bytes.", Deno.memoryUsage().rss);
  gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", virtualMemory);
  gauge("process_open_fds", "Number of open file descriptors.", open);
  gauge("process_max_fds", "Maximum number of open file descriptors.", most);
  gauge("process_start_time_seconds", "Start time since the epoch in seconds.", startedAt / 1000);
  metrics.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")
    .inc({}, processorSeconds - counted);
  return processorSeconds;
}

/** As the kubelet that this agent stands for names itself: dashboards look for versions that differ. */
function tellOfBuild(metrics: Metrics): void {
  const gitVersion = kubeletVersion(buildInfo().version);
  const [, major = "", minor = ""] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  metrics.gauge(
    "kubernetes_build_info",
    "A metric with a constant '1' value labeled by version and platform.",
  )
    .set(1, {
      git_version: gitVersion,
      major,
      minor,
      platform: `linux/${Deno.build.arch === "aarch64" ? "arm64" : "amd64"}`,
    });
}

/** Brings the gauges up to date and prints everything. */
export function createMetricsPage(
  o: { metrics: Metrics; store: StatusStore; volumes: VolumeMeter; nodeName: string; startedAt: number },
): (signal: AbortSignal) => Promise<string> {
  const { metrics, store } = o;
  const restarts = metrics.gauge("agent_container_restarts", "Restarts of all containers that are known.");
  let counted = 0;
  tellOfBuild(metrics);
  return async (signal) => {
    const volumes = await o.volumes.look(signal);
    const pods = store.pods();
    metrics.gauge("kubelet_node_name", "The node's name. The count is always 1.").set(1, {
      node: o.nodeName,
    });
    metrics.gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox.").set(
      pods.filter(isRunning).length,
    );
    const desired = metrics.gauge(
      "kubelet_desired_pods",
      "Number of pods the agent is being instructed to run.",
    );
    const active = metrics.gauge("kubelet_active_pods", "Number of pods that have not ended.");
    for (const isStatic of [true, false]) {
      const own = pods.filter((pod) => isOfApi(pod) !== isStatic);
      const labels = { static: `${isStatic}` };
      desired.set(own.length, labels);
      active.set(own.filter((pod) => !isOver(pod.status)).length, labels);
    }
    const containers = metrics.gauge("kubelet_running_containers", "Number of containers by state.");
    for (const [state, count] of Object.entries(containerStates(pods))) {
      containers.set(count, { container_state: state });
    }
    restarts.set(
      pods.flatMap((p) => p.status?.containerStatuses ?? []).reduce((n, c) => n + c.restartCount, 0),
    );
    metrics.gauge("agent_problems", "Problems of manifests, images and configuration.").set(
      store.problems().length,
    );
    counted = tellOfProcess(metrics, o.startedAt, counted);
    return metrics.render() + volumeMetrics(pods, volumes);
  };
}

/** Observes how long pods take from their first sight to Ready. */
export function observePodStarts(
  store: StatusStore,
  metrics: Metrics,
  now: () => number,
  signal: AbortSignal,
): void {
  const seconds = metrics.histogram(
    "kubelet_pod_start_duration_seconds",
    "Duration in seconds from the agent seeing a pod for the first time to the pod starting to run.",
  );
  const waiting = new Map<string, number>();
  const started = new Set<string>();
  store.subscribe((change) => {
    if (change.kind !== "pod") return;
    if (change.deleted) {
      waiting.delete(change.uid);
      started.delete(change.uid);
    } else if (!started.has(change.uid) && isRunning(change.pod)) {
      const since = waiting.get(change.uid);
      if (since !== undefined) seconds.observe((now() - since) / 1000);
      started.add(change.uid);
      waiting.delete(change.uid);
    } else if (!started.has(change.uid) && !waiting.has(change.uid)) waiting.set(change.uid, now());
  }, signal);
}
