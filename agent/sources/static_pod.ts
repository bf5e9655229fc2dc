/**
 * What the node adds to a pod of the manifest directory: node name, uid and the kubelet's annotations. Pure.
 *
 * The kubelet appends the node's name to the pod's name, so that mirror pods of several nodes do not clash; a pod keeps
 * its plain name here.
 */
import type { Pod } from "../model/gen/v1.ts";
import { podHash, staticPodUid } from "../model/hash.ts";
import { type DesiredPod, SOURCE } from "../model/wish.ts";

export function staticPod(pod: Pod, nodeName: string, origin: string): DesiredPod {
  const { name = "", namespace = "default" } = pod.metadata ?? {};
  const uid = staticPodUid(nodeName, namespace, name);
  const annotations = {
    ...pod.metadata?.annotations,
    "kubernetes.io/config.hash": podHash(pod),
    [SOURCE]: "file",
  };
  const { status: _, ...described } = pod;
  return {
    pod: {
      ...described,
      metadata: { ...pod.metadata, name, namespace, uid, annotations },
      spec: { ...pod.spec!, nodeName },
    },
    uid,
    source: "file",
    origin,
  };
}
