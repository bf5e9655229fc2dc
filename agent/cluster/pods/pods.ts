/**
 * Keeps up with the pods that are bound to this node: those that are to run here, and the mirrors of static pods, which
 * describe what runs here already. Not for: what the pods use.
 */
import type { Log } from "../../lib/log.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { isMirror } from "../../model/mirror.ts";
import type { DesiredPod, PodKey } from "../../model/wish.ts";
import type { Api } from "../client/api.ts";
import { watchObjects } from "../client/watch_objects.ts";

export interface PodWatchOptions {
  api: Api;
  nodeName: string;
  log: Log;
  changed(pods: ReadonlyMap<PodKey, DesiredPod>, mirrors: ReadonlyMap<PodKey, Pod>): void;
}

/** Never rejects; ends with the signal. */
export async function watchPods(o: PodWatchOptions, signal: AbortSignal): Promise<void> {
  await watchObjects<Pod>({
    api: o.api,
    path: "/api/v1/pods",
    query: { fieldSelector: `spec.nodeName=${o.nodeName}` },
    log: o.log,
    changed(_keys, objects) {
      const [pods, mirrors] = [new Map<PodKey, DesiredPod>(), new Map<PodKey, Pod>()];
      for (const [key, pod] of objects) {
        if (isMirror(pod)) mirrors.set(key, pod);
        else pods.set(key, asDesired(pod));
      }
      o.changed(pods, mirrors);
    },
  }, signal);
}

const asDesired = (pod: Pod): DesiredPod => ({
  pod,
  uid: pod.metadata?.uid ?? "",
  source: "api",
  origin: "the API server",
});
