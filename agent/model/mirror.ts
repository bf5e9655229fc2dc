/**
 * Mirror pods: what a cluster is shown of a node's static pods. Pure. Sources: k8s.io/kubernetes/pkg/kubelet/types, the
 * admission plugins NodeRestriction, ServiceAccount, Priority and RuntimeClass. Not for: keeping them at the API server.
 */
import type { Container, Pod, PodSpec, Volume } from "./gen/v1.ts";
import { staticPodUid } from "./hash.ts";
import { sourceOf } from "./wish.ts";

/**
 * Of the same value as the hash, which the events of a static pod have in the place of a uid: kubectl looks for them by it.
 */
export const MIRROR = "kubernetes.io/config.mirror";
/** What a static pod's manifest says, in short; kubeadm waits for it to change. */
export const CONFIG_HASH = "kubernetes.io/config.hash";
/** Fields of the static pod that a mirror may not show, for they name what only this node has. */
export const LEFT_OUT = "agent/mirror-leaves-out";

export const isMirror = (pod: Pod): boolean => pod.metadata?.annotations?.[MIRROR] !== undefined;

/** Of the static pod that a mirror shows. */
export function mirroredUid(metadata: Pod["metadata"], nodeName: string): string {
  const { name = "", namespace = "default" } = metadata ?? {};
  return staticPodUid(nodeName, namespace, name.slice(0, -mirrorName("", nodeName).length));
}

/** As the kubelet names static pods: those of several nodes do not clash. */
export const mirrorName = (name: string, nodeName: string): string => `${name}-${nodeName}`;

/** `name` may be the mirror's. */
export const isCalled = (pod: Pod, name: string, nodeName: string): boolean =>
  pod.metadata?.name === name ||
  (sourceOf(pod) === "file" &&
    mirrorName(pod.metadata?.name ?? "", nodeName) === name);

/** @param owner the Node, which takes its mirrors with it when it is deleted. */
export function mirrorOf(pod: Pod, owner: { name: string; uid: string }): Pod {
  const { name = "", namespace = "default", labels, annotations } = pod.metadata ?? {};
  const left: string[] = [];
  const spec = admissible(pod.spec!, left);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: mirrorName(name, owner.name),
      namespace,
      ...(labels && { labels }),
      annotations: {
        ...annotations,
        [MIRROR]: annotations?.[CONFIG_HASH] ?? "",
        ...(left.length > 0 && { [LEFT_OUT]: left.join(" ") }),
      },
      ownerReferences: [{ apiVersion: "v1", kind: "Node", ...owner, controller: true }],
    },
    spec,
  };
}

/** Whether what the API server has still says what the manifest says. */
export const isCurrent = (mirror: Pod, wanted: Pod): boolean => {
  const shown = (pod: Pod) => [MIRROR, CONFIG_HASH].map((key) => pod.metadata?.annotations?.[key]);
  const ownerOf = (pod: Pod) => pod.metadata?.ownerReferences?.[0]?.uid;
  return mirror.metadata?.deletionTimestamp === undefined && ownerOf(mirror) === ownerOf(wanted) &&
    JSON.stringify(shown(mirror)) === JSON.stringify(shown(wanted));
};

/** Nothing evicts a static pod by a taint. */
const toleratesAll = { operator: "Exists", effect: "NoExecute" };

/** What admission takes of a node: no names of Secrets, ConfigMaps, claims, accounts, and no numbers of classes. */
function admissible(spec: PodSpec, left: string[]): PodSpec {
  const {
    serviceAccountName,
    serviceAccount,
    imagePullSecrets,
    resourceClaims,
    runtimeClassName,
    overhead: _overhead,
    priority: _priority,
    ephemeralContainers: _ephemeral,
    automountServiceAccountToken: _automount,
    ...rest
  } = spec;
  const dropped = { serviceAccountName, serviceAccount, imagePullSecrets, resourceClaims, runtimeClassName };
  for (const [field, value] of Object.entries(dropped)) if (value !== undefined) left.push(`spec.${field}`);
  const volumes = spec.volumes?.map((volume, i) => plainVolume(volume, `spec.volumes[${i}]`, left));
  const plain = (list: "containers" | "initContainers") =>
    spec[list]?.map((container, i) => plainContainer(container, `spec.${list}[${i}]`, left)) ?? [];
  return {
    ...rest,
    ...(volumes && { volumes }),
    ...(spec.initContainers && { initContainers: plain("initContainers") }),
    containers: plain("containers"),
    tolerations: [...spec.tolerations ?? [], toleratesAll],
  };
}

/** Kinds of volumes that name nothing but the node's own. */
const plainVolumes = ["emptyDir", "hostPath", "downwardAPI", "image", "nfs", "gitRepo"] as const;

/** Its place is kept, for containers mount it by its name. */
function plainVolume(volume: Volume, path: string, left: string[]): Volume {
  const kinds = Object.keys(volume).filter((key) => key !== "name");
  if (kinds.every((kind) => (plainVolumes as readonly string[]).includes(kind))) return volume;
  left.push(...kinds.map((kind) => `${path}.${kind}`));
  return { name: volume.name, emptyDir: {} };
}

function plainContainer(container: Container, path: string, left: string[]): Container {
  const { envFrom, env, volumeDevices, resources, ...rest } = container;
  if (envFrom !== undefined) left.push(`${path}.envFrom`);
  if (volumeDevices !== undefined) left.push(`${path}.volumeDevices`);
  const kept = env?.filter(({ name, valueFrom }) => {
    const named = valueFrom?.configMapKeyRef ?? valueFrom?.secretKeyRef;
    if (named !== undefined) left.push(`${path}.env[${name}]`);
    return named === undefined;
  });
  const { claims: _claims, ...amounts } = resources ?? {};
  return { ...rest, ...(kept && { env: kept }), ...(resources && { resources: amounts }) };
}
