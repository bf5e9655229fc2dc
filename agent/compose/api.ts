/** The local API and the health endpoint, wired. Not for: what they answer (api/). */
import type { Service } from "../agent.ts";
import { createHealthApi } from "../api/health.ts";
import { createLocalApi } from "../api/local.ts";
import { serveApi } from "../api/serve.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { Host } from "../ports.ts";
import { pullWithAny } from "../reconcile/images.ts";
import type { StatusStore } from "../status_store.ts";
import type { Heartbeat } from "./liveness.ts";
import { createMetricsPage } from "./metrics.ts";
import type { PodParts } from "./pods.ts";
import type { ChosenRuntime } from "./runtime.ts";
import { createApiUsage } from "./usage.ts";

export interface ApiServiceOptions {
  config: Config;
  host: Host;
  log: Log;
  /** The effective configuration. */
  shownConfig: { values: Readonly<Record<string, unknown>>; origin: unknown };
  store: StatusStore;
  metrics: Metrics;
  parts: PodParts;
  chosen: ChosenRuntime;
  heartbeat: Heartbeat;
  /** Whether every pod that was found at the start has a status. */
  settled(): boolean;
}

/** What both the local API and the kubelet's tell. */
export type SharedPages = ReturnType<typeof createPages>;

export function createPages({ config, host, store, metrics, parts }: ApiServiceOptions) {
  return {
    metrics: createMetricsPage({
      metrics,
      store,
      volumes: parts.volumeMeter,
      nodeName: config.nodeName,
      startedAt: host.now(),
    }),
    usage: createApiUsage({ ...parts, store, host }),
  };
}

export function apiService(o: ApiServiceOptions, pages: SharedPages): Service {
  const { config, host, store, parts, chosen, heartbeat, settled } = o;
  const ready = () => {
    const condition = store.status()?.conditions.find((c) => c.type === "Ready");
    if (condition?.status !== "True") {
      return { ok: false, reasons: [condition?.message ?? "the agent is starting"] };
    }
    return settled() ? { ok: true, reasons: [] } : { ok: false, reasons: ["not every pod has a status yet"] };
  };
  const { images, credentials, reconciler } = parts;
  const brought = <T>(result: T): T => {
    reconciler.retryImages(() => true);
    return result;
  };
  return {
    name: "api",
    async start(signal) {
      const app = createLocalApi({
        store,
        ready,
        settled,
        live: heartbeat.live,
        ...pages,
        config: () => o.shownConfig,
        logs: { directory: config.podLogsDir, files: host },
        images: {
          list: (signal) => images.list(signal),
          async pull(image, signal) {
            const warn = (failure: string) => o.log.warn("no password from a program", { failure });
            return brought(await pullWithAny({ images, credentials }, image, [], warn, signal));
          },
          importArchive: async (path, signal) => brought(await images.importArchive(path, signal)),
        },
        devices: () => parts.devices.reports(),
        requests: reconciler,
        sessions: { runtime: parts.runtime, streams: chosen.cri.streams },
        now: () => host.now(),
        signal,
      });
      return await serveApi({
        socket: config.socket,
        app,
        ...(config.healthzPort === 0
          ? {}
          : { healthz: { address: config.healthzBindAddress, port: config.healthzPort } }),
        health: createHealthApi({ ready, live: heartbeat.live }),
        report: (problems) => store.setProblems("api", problems),
        signal,
      });
    },
  };
}
