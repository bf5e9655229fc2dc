/**
 * Keeps up with the pods that are bound to this node, and apart from them with the mirrors of its static pods, which
 * describe what runs here already. Not for: what the pods use.
 */
import type { Log } from "../../lib/log.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { isMirror } from "../../model/mirror.ts";
import { type DesiredPod, type PodKey, SOURCE } from "../../model/wish.ts";
import type { Api } from "../client/api.ts";
import { watchObjects } from "../client/watch_objects.ts";

export interface PodWatchOptions {
  api: Api;
  nodeName: string;
  log: Log;
  /** What there is now, by the pods' own names. */
  changed(pods: ReadonlyMap<PodKey, DesiredPod>, mirrors: ReadonlyMap<PodKey, Pod>): void;
  /** The connection stands again. */
  restored?(): void;
  /** Tests make it short. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Source: k8s.io/kubernetes/pkg/kubelet/types, ConfigFirstSeenAnnotationKey. */
const SEEN = "kubernetes.io/config.seen";

/** Never rejects; ends with the signal. */
export async function watchPods(o: PodWatchOptions, signal: AbortSignal): Promise<void> {
  /** The same as long as the API server shows the same: others compare by identity. */
  const known = new WeakMap<Pod, DesiredPod>();
  const desired = (pod: Pod): DesiredPod => {
    const found = known.get(pod) ?? asDesired(pod);
    known.set(pod, found);
    return found;
  };
  await watchObjects<Pod>({
    api: o.api,
    path: "/api/v1/pods",
    query: { fieldSelector: `spec.nodeName=${o.nodeName}` },
    log: o.log,
    changed(keys, objects) {
      for (const key of keys) tellMalformed(o.log, key, objects.get(key));
      const [pods, mirrors] = [new Map<PodKey, DesiredPod>(), new Map<PodKey, Pod>()];
      for (const [key, pod] of objects) {
        if (!isWhole(pod)) continue;
        if (isMirror(pod)) mirrors.set(key, pod);
        else pods.set(key, desired(pod));
      }
      o.changed(pods, mirrors);
    },
    troubled: (error) => error === undefined && o.restored?.(),
    ...(o.pause && { pause: o.pause }),
  }, signal);
}

/** The API server is somebody else: what all code relies on is looked at. */
const isWhole = ({ metadata, spec }: Pod): boolean =>
  typeof metadata?.uid === "string" && metadata.uid !== "" && typeof metadata.namespace === "string" &&
  Array.isArray(spec?.containers) && spec.containers.every((c) => typeof c?.name === "string");

function tellMalformed(log: Log, key: string, pod: Pod | undefined): void {
  if (pod === undefined || isWhole(pod)) return;
  log.warn("the API server shows a pod without uid, namespace or containers: it is left aside", { pod: key });
}

function asDesired(pod: Pod): DesiredPod {
  const { managedFields: _, ...metadata } = pod.metadata ?? {};
  const bound = pod.status?.conditions?.find(({ type }) => type === "PodScheduled")?.lastTransitionTime;
  const seen = bound ?? metadata.creationTimestamp;
  const annotations = {
    ...metadata.annotations,
    [SOURCE]: "api",
    // The same for every run of the agent, so that files which show it are not written anew.
    ...(seen && { [SEEN]: seen }),
  };
  return {
    pod: { ...pod, metadata: { ...metadata, annotations } },
    uid: pod.metadata?.uid ?? "",
    source: "api",
    origin: "the API server",
  };
}
