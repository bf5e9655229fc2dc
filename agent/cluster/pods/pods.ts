/**
 * Keeps up with the pods that are bound to this node. Mirrors of static pods are left out: they describe what runs here
 * already. Not for: what the pods use.
 */
import type { Log } from "../../lib/log.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { type DesiredPod, type PodKey, podKey } from "../../model/wish.ts";
import type { Api } from "../client/api.ts";
import { watchObjects } from "../client/watch_objects.ts";

export interface PodWatchOptions {
  api: Api;
  nodeName: string;
  log: Log;
  changed(pods: ReadonlyMap<PodKey, DesiredPod>): void;
}

/** Source: k8s.io/kubernetes/pkg/kubelet/types, ConfigMirrorAnnotationKey. */
export const MIRROR = "kubernetes.io/config.mirror";

export const isMirror = (pod: Pod): boolean => pod.metadata?.annotations?.[MIRROR] !== undefined;

/** Never rejects; ends with the signal. */
export async function watchPods(o: PodWatchOptions, signal: AbortSignal): Promise<void> {
  await watchObjects<Pod>({
    api: o.api,
    path: "/api/v1/pods",
    query: { fieldSelector: `spec.nodeName=${o.nodeName}` },
    log: o.log,
    changed(_keys, objects) {
      const own = [...objects.values()].filter((pod) => !isMirror(pod));
      o.changed(new Map(own.map((pod) => [podKey(pod), asDesired(pod)])));
    },
  }, signal);
}

const asDesired = (pod: Pod): DesiredPod => ({
  pod,
  uid: pod.metadata?.uid ?? "",
  source: "api",
  origin: "the API server",
});
