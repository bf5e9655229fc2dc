/**
 * What an API server of an earlier version does not know: it drops such fields from whatever is written, without a word.
 * Not for: what it refuses (faults.ts).
 */
import { isObject, type Json, type Stored } from "./objects.ts";

/** By kind; lists on the way are walked through: `status.conditions.observedGeneration`. */
export type UnknownFields = Readonly<Record<string, readonly string[]>>;

/** Of what a node writes, v1.33 keeps all but these. Source: pkg/features/kube_features.go, dropDisabledPodStatusFields. */
export const unknownTo133: UnknownFields = {
  Node: ["status.declaredFeatures", "status.nodeInfo.swap"],
  Pod: [
    "status.observedGeneration",
    "status.conditions.observedGeneration",
    "status.allocatedResources",
    "status.resources",
    ...["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"].flatMap((list) =>
      ["allocatedResources", "allocatedResourcesStatus", "stopSignal"].map((f) => `status.${list}.${f}`)
    ),
  ],
};

export function withoutUnknown(object: Stored, unknown: UnknownFields): Stored {
  const paths = unknown[object.kind];
  if (paths === undefined) return object;
  return paths.reduce<Json>((rest, path) => without(rest, path.split(".")), object as Json) as Stored;
}

function without(value: Json, [field = "", ...deeper]: readonly string[]): Json {
  const { [field]: child, ...rest } = value;
  if (child === undefined) return value;
  if (deeper.length === 0) return rest;
  const cut = (inner: unknown) => isObject(inner) ? without(inner, deeper) : inner;
  return { ...value, [field]: Array.isArray(child) ? child.map(cut) : cut(child) } as Json;
}
