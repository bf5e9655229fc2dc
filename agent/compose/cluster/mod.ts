/**
 * Being a node of a cluster: the services that an agent has which joined one. Each has a file of its own here. Not for:
 * what any of them does (cluster/).
 */
import type { Config } from "../../config/config.ts";
import type { Log } from "../../lib/log.ts";
import type { Metrics } from "../../lib/metrics.ts";
import type { Listeners } from "../../lib/listeners.ts";
import type { Desired, Snapshot } from "../../model/wish.ts";
import type { Host } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import type { RuntimeView } from "../../node/status.ts";
import type { Csi } from "../csi.ts";
import type { Loop } from "../loop.ts";
import type { PodParts } from "../pods.ts";
import type { ClusterLink } from "./link.ts";
import { events } from "./events.ts";
import { evictions } from "./evictions.ts";
import { imageCollection } from "./images.ts";
import { createMirrors } from "./mirrors.ts";
import { nodeServices } from "./node.ts";
import { volumeExpansion } from "./objects.ts";
import { podSource } from "./pods.ts";
import { statusReport } from "./report.ts";

export interface ClusterContext {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  metrics: Metrics;
  link: ClusterLink;
  parts: PodParts;
  /** Until the agent leaves. */
  signal: AbortSignal;
  /** What all sources want, each time that it changes. */
  desired: Listeners<Desired>;
  csi: Csi;
  /** What the runtime said of itself last. */
  runtimeView(): RuntimeView | undefined;
  /** The newest of what the API server wants here. */
  publish(snapshot: Snapshot): void;
}

export function clusterServices(context: ClusterContext): Loop[] {
  const { link } = context;
  const mirrors = createMirrors(context);
  const publish = link.offline.between(context.publish);
  return [
    ...link.services,
    ...link.offline.services,
    ...nodeServices(context),
    podSource({ ...context, publish }, mirrors.seen),
    volumeExpansion(context),
    mirrors.loop,
    statusReport(context),
    events(context),
    evictions(context),
    imageCollection(context),
  ];
}
