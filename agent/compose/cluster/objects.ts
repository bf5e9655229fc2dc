/** What pods of the API server use, wired: they are published with it, their tokens renewed, their volumes made use of. */
import { createEntrance, type Entrance } from "../../cluster/objects/entrance.ts";
import { createExpansion } from "../../cluster/objects/expansion.ts";
import { createClusterObjects } from "../../cluster/objects/objects.ts";
import type { Loop } from "../loop.ts";
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

export function volumeExpansion({ link, log, csi, desired, signal }: ClusterContext): Loop {
  const expansion = createExpansion({
    api: link.api,
    log,
    objects: () => link.objects,
    expand: (volume, bytes, signal) => csi.volumes.expand(volume, bytes, signal, { controlled: true }),
  });
  let seen = link.objects.persistentVolumes;
  desired.subscribe(({ clusterObjects }) => {
    if (clusterObjects === undefined || clusterObjects.persistentVolumes === seen) return;
    seen = clusterObjects.persistentVolumes;
    if (seen.size > 0) expansion.look();
  }, signal);
  return { name: "growth of volumes", run: (signal) => expansion.run(signal) };
}
