/**
 * ConfigMaps, Secrets, RuntimeClasses and networks that a pod names and nobody describes. The pod stays desired: it waits
 * for them, as pods do. Pure. Not for: using the objects.
 */
import type { Problem } from "../model/errors.ts";
import { fieldText } from "../model/finding.ts";
import { NETWORKS, wantedNetworks } from "../model/networks.ts";
import { runtimeClassProblem } from "../model/runtime_class.ts";
import { type Reference, referencesOf } from "../model/references.ts";
import type { Pod } from "../model/gen/v1.ts";
import type { DesiredPod, Objects } from "../model/wish.ts";

export function missingReferences({ pod, origin }: DesiredPod, objects: Objects): Problem[] {
  const namespace = pod.metadata?.namespace ?? "default";
  const runtimeClass = runtimeClassProblem(pod, objects.runtimeClasses);
  const held: Problem[] = runtimeClass === undefined ? [] : [{
    severity:
      pod.spec?.runtimeClassName !== undefined && objects.runtimeClasses.has(pod.spec.runtimeClassName)
        ? "error"
        : "warning",
    file: origin,
    object: `Pod ${namespace}/${pod.metadata?.name}`,
    field: runtimeClass.field,
    message: `${runtimeClass.message}: the pod waits`,
  }];
  return [
    ...held,
    ...missingNetworks(pod, origin, objects),
    ...missingObjects(pod, namespace, origin, objects),
    ...missingClaims(pod, namespace, origin, objects),
  ];
}

function missingNetworks(pod: Pod, origin: string, objects: Objects): Problem[] {
  const wanted = wantedNetworks(pod, objects);
  if (!("message" in wanted)) return [];
  return [{
    severity: "warning",
    file: origin,
    object: `Pod ${pod.metadata?.namespace ?? "default"}/${pod.metadata?.name}`,
    field: fieldText(["metadata", "annotations", NETWORKS]),
    message: wanted.message,
  }];
}

function missingObjects(pod: Pod, namespace: string, origin: string, objects: Objects): Problem[] {
  return referencesOf(pod).filter((r) => !r.optional).flatMap((reference) => {
    const { kind, name, field } = reference;
    const problem = (at: string, message: string): Problem => ({
      severity: "warning",
      file: origin,
      object: `Pod ${namespace}/${pod.metadata?.name}`,
      field: `${field}.${at}`,
      message,
    });
    const found = contentOf(objects, kind, `${namespace}/${name}`);
    if (found === undefined) {
      return [
        problem(
          reference.nameField,
          `no manifest describes ${kind} ${namespace}/${name}: the pod waits for it`,
        ),
      ];
    }
    return reference.keys.filter(({ key }) => !found.has(key))
      .map(({ key, field: at }) =>
        problem(at, `${kind} ${namespace}/${name} has no key "${key}": the pod waits for it`)
      );
  });
}

/** Those of ephemeral volumes come with their pod. */
function missingClaims(pod: Pod, namespace: string, origin: string, objects: Objects): Problem[] {
  return (pod.spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }, i): Problem[] => {
    if (persistentVolumeClaim === undefined) return [];
    const key = `${namespace}/${persistentVolumeClaim.claimName}`;
    if (objects.persistentVolumeClaims.has(key)) return [];
    return [{
      severity: "warning",
      file: origin,
      object: `Pod ${namespace}/${pod.metadata?.name}`,
      field: `spec.volumes[${i}].persistentVolumeClaim.claimName`,
      message: `no manifest describes PersistentVolumeClaim ${key}: the pod waits for it`,
    }];
  });
}

function contentOf(objects: Objects, kind: Reference["kind"], key: string): Set<string> | undefined {
  const secret = kind === "Secret" ? objects.secrets.get(key) : undefined;
  const configMap = kind === "ConfigMap" ? objects.configMaps.get(key) : undefined;
  if (secret === undefined && configMap === undefined) return undefined;
  return new Set([secret?.data, configMap?.data, configMap?.binaryData].flatMap((m) => Object.keys(m ?? {})));
}
