/** Paths of the kubelet's API that reach into containers, wired. Not for: what they answer (api/kubelet/). */
import { logRoutes } from "../../api/kubelet/logs.ts";
import type { Route } from "../../api/kubelet/routes.ts";
import { streamRoutes } from "../../api/kubelet/streams.ts";
import type { KubeletApiOptions } from "./mod.ts";

export const sessionRoutes = ({ config, host, store, parts, chosen }: KubeletApiOptions): Route[] => [
  ...logRoutes({ store, logs: { directory: config.podLogsDir, files: host }, now: () => host.now() }),
  ...streamRoutes({
    store,
    runtime: parts.runtime,
    streams: chosen.cri.streams,
    idleMs: config.kubeletApi.sessionIdle,
  }),
];
