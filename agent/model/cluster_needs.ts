/** Which objects of an API server a pod needs here. Pure. Not for: getting them (cluster/objects). */
import { claimKeysOf } from "./cluster_claim.ts";
import type { Pod } from "./gen/v1.ts";
import { referencesOf } from "./references.ts";

export type NeedKind =
  | "ConfigMap"
  | "Secret"
  | "PersistentVolumeClaim"
  | "Service"
  | "RuntimeClass"
  | "CSIDriver";

/** `Kind namespace/name` of one object, or the kind alone: all of the cluster. */
export type NeedKey = string;

export const needKey = (kind: NeedKind, name: string): NeedKey => `${kind} ${name}`;

export function readNeed(key: NeedKey): { kind: NeedKind; namespace: string; name: string } {
  const [kind, path = "/"] = key.split(" ");
  const [namespace, name] = path.split("/");
  return { kind: kind as NeedKind, namespace: namespace!, name: name! };
}

const known = new WeakMap<Pod, readonly NeedKey[]>();

export function needsOf(pod: Pod): readonly NeedKey[] {
  const needs = known.get(pod) ?? [...new Set(collect(pod))];
  known.set(pod, needs);
  return needs;
}

function collect(pod: Pod): NeedKey[] {
  const namespace = pod.metadata?.namespace ?? "default";
  const { runtimeClassName = "", volumes = [] } = pod.spec ?? {};
  const claims = claimKeysOf(pod);
  return [
    ...referencesOf(pod).filter(({ name }) => name !== "").map(({ kind, name }) =>
      needKey(kind, `${namespace}/${name}`)
    ),
    ...claims.map((key) => needKey("PersistentVolumeClaim", key)),
    // Every pod is told where the API server is.
    "Service",
    ...(runtimeClassName === "" ? [] : ["RuntimeClass"]),
    ...(claims.length > 0 || volumes.some((v) => v.csi !== undefined) ? ["CSIDriver"] : []),
  ];
}
