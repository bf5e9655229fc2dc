/** What the kubelet's API tells, from the parts that know it. Not for: its form (api/kubelet/). */
import { isoTime } from "../../model/iso_time.ts";
import { join } from "@std/path";
import { type CheckpointOptions, checkpointRoute } from "../../api/kubelet/checkpoint.ts";
import { closed, disabledRoutes, openRoutes, type PageOptions, pageRoutes } from "../../api/kubelet/pages.ts";
import type { Route } from "../../api/kubelet/routes.ts";
import { findPod } from "../../api/lookup.ts";
import { systemLogRoutes } from "../../api/kubelet/system_logs.ts";
import { kubeletConfiguration } from "../../config/format.ts";
import { probeMetrics } from "../../model/probe_metrics.ts";
import { runningPods } from "../../model/running_pods.ts";
import { cadvisorPage } from "./cadvisor.ts";
import type { KubeletApiOptions } from "./mod.ts";
import { sessionRoutes } from "./sessions.ts";

/** All of them, for those who may. */
export function allRoutes(o: KubeletApiOptions): Route[] {
  const { config: { kubeletApi: api }, host } = o;
  const pages = pagesOf(o);
  if (!api.debugging) return [...openRoutes(pages), ...disabledRoutes()];
  return [
    ...openRoutes(pages),
    ...pageRoutes(pages),
    ...api.systemLogs ? systemLogRoutes(host, "/var/log") : [closed("/logs/*", "logs endpoint is disabled.")],
    checkpointRoute(checkpoints(o)),
    ...sessionRoutes(o),
  ];
}

/** For everybody. */
export const readOnlyRoutes = (o: KubeletApiOptions): Route[] => openRoutes(pagesOf(o));

function pagesOf(o: KubeletApiOptions): PageOptions {
  const { store, pages, heartbeat, parts, host } = o;
  const startedAt = host.now();
  return {
    live: heartbeat.live,
    pods: () => store.pods(),
    runningPods: async (signal) => runningPods(await parts.runtime.observe(undefined, signal)),
    configz: () => kubeletConfiguration(o.shownConfig.values),
    summary: pages.usage.summary,
    metrics: {
      "/metrics": pages.metrics,
      "/metrics/resource": pages.usage.resource,
      "/metrics/cadvisor": cadvisorPage(o),
      "/metrics/probes": () => probeMetrics(store.pods(), (uid) => parts.reconciler.probes(uid), startedAt),
      "/metrics/slis": () => sliMetrics(heartbeat.live().ok),
    },
  };
}

/** Source: k8s.io/component-base/metrics/prometheus/slis. */
const sliMetrics = (ok: boolean): string =>
  "# HELP kubernetes_healthcheck [STABLE] This metric records the result of a single healthcheck.\n" +
  "# TYPE kubernetes_healthcheck gauge\n" +
  `kubernetes_healthcheck{name="ping",type="healthz"} 1\n` +
  `kubernetes_healthcheck{name="syncloop",type="healthz"} ${ok ? 1 : 0}\n`;

/** Where the kubelet keeps them. */
function checkpoints({ config, host, store, parts, chosen }: KubeletApiOptions): CheckpointOptions {
  return {
    pod: (namespace, name) => findPod(store, namespace, name),
    async checkpoint(pod, container, timeoutSeconds, signal) {
      const { namespace, name, uid = "" } = pod.metadata ?? {};
      const [observed] = await parts.runtime.observe(uid, signal);
      const found = observed?.containers.find((c) => c.name === container && c.state === "running");
      if (found === undefined) return undefined;
      const directory = join(config.rootDir, "checkpoints");
      await host.mkdir(directory, 0o700);
      const time = isoTime(host.now());
      const location = join(directory, `checkpoint-${name}_${namespace}-${container}-${time}.tar`);
      await chosen.cri.checkpoint(found.id, location, timeoutSeconds, signal);
      return location;
    },
  };
}
