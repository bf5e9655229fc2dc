/** What pods of the API server use, wired: they are published with it, and their tokens renewed. */
import { createEntrance, type Entrance } from "../../cluster/objects/entrance.ts";
import { createClusterObjects } from "../../cluster/objects/objects.ts";
import type { ClusterContext } from "./mod.ts";

/** Pods that are put here are published with what they use. */
export function podEntrance({ link, log, publish, parts }: ClusterContext, signal: AbortSignal): Entrance {
  const objects = createClusterObjects({ api: link.api, log, changed: () => entrance.look() }, signal);
  const entrance: Entrance = createEntrance(
    objects,
    (pods, objects) => publish({ ...objects, source: "api", pods, problems: [] }),
  );
  link.tokens.due.subscribe((uid) => parts.reconciler.refreshVolumes(uid), signal);
  link.departures.subscribe((uid) => link.tokens.forget(uid), signal);
  return entrance;
}
