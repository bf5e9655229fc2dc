/**
 * ConfigMaps, Secrets, RuntimeClasses and networks that a pod names and nobody describes. The pod stays desired: it waits
 * for them, as pods do. Pure. Not for: using the objects.
 */
import type { Problem } from "../model/errors.ts";
import { fieldText } from "../model/finding.ts";
import { NETWORKS, wantedNetworks } from "../model/networks.ts";
import { runtimeClassProblem } from "../model/runtime_class.ts";
import type { Container, KeyToPath, Pod, Volume } from "../model/gen/v1.ts";
import type { DesiredPod, Objects } from "../model/wish.ts";

interface Reference {
  kind: "ConfigMap" | "Secret";
  name: string;
  /** Keys that must be in it, with their fields below the reference's. */
  keys: { key: string; field: string }[];
  field: string;
  /** Below `field`, where the name stands. */
  nameField: string;
}

type Optional = { optional?: boolean } | undefined;
const wanted = (source: Optional) => source !== undefined && source.optional !== true;

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
  return references(pod).flatMap((reference) => {
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

function references(pod: Pod): Reference[] {
  const spec = pod.spec;
  const containers = (["initContainers", "containers"] as const).flatMap((kind) =>
    (spec?.[kind] ?? []).flatMap((c, i) => ofContainer(c, `spec.${kind}[${i}]`))
  );
  const pullSecrets = (spec?.imagePullSecrets ?? []).map(({ name = "" }, i): Reference => ({
    ...{ kind: "Secret", name, keys: [], field: `spec.imagePullSecrets[${i}]`, nameField: "name" },
  }));
  const volumes = (spec?.volumes ?? []).flatMap((v, i) => ofVolume(v, `spec.volumes[${i}]`));
  return [...containers, ...volumes, ...pullSecrets];
}

function ofContainer(container: Container, at: string): Reference[] {
  const found: Reference[] = [];
  const add = (
    kind: Reference["kind"],
    source: Optional & { name?: string; key?: string },
    field: string,
  ) => {
    const keys = source.key === undefined ? [] : [{ key: source.key, field: "key" }];
    if (wanted(source)) found.push({ kind, name: source.name ?? "", keys, field, nameField: "name" });
  };
  for (const [i, { configMapRef, secretRef }] of (container.envFrom ?? []).entries()) {
    if (configMapRef !== undefined) add("ConfigMap", configMapRef, `${at}.envFrom[${i}].configMapRef`);
    if (secretRef !== undefined) add("Secret", secretRef, `${at}.envFrom[${i}].secretRef`);
  }
  for (const [i, { valueFrom }] of (container.env ?? []).entries()) {
    const { configMapKeyRef, secretKeyRef } = valueFrom ?? {};
    const field = `${at}.env[${i}].valueFrom`;
    if (configMapKeyRef !== undefined) add("ConfigMap", configMapKeyRef, `${field}.configMapKeyRef`);
    if (secretKeyRef !== undefined) add("Secret", secretKeyRef, `${field}.secretKeyRef`);
  }
  return found;
}

function ofVolume(volume: Volume, at: string): Reference[] {
  const found: Reference[] = [];
  const add = (
    kind: Reference["kind"],
    name: string | undefined,
    source: Optional & { items?: KeyToPath[] },
    field: string,
    nameField: string,
  ) => {
    const keys = (source.items ?? []).map(({ key }, i) => ({ key, field: `items[${i}].key` }));
    if (wanted(source)) found.push({ kind, name: name ?? "", keys, field, nameField });
  };
  const { configMap, secret, projected } = volume;
  if (configMap !== undefined) add("ConfigMap", configMap.name, configMap, `${at}.configMap`, "name");
  if (secret !== undefined) add("Secret", secret.secretName, secret, `${at}.secret`, "secretName");
  for (const [i, source] of (projected?.sources ?? []).entries()) {
    const field = `${at}.projected.sources[${i}]`;
    if (source.configMap !== undefined) {
      add("ConfigMap", source.configMap.name, source.configMap, `${field}.configMap`, "name");
    }
    if (source.secret !== undefined) {
      add("Secret", source.secret.name, source.secret, `${field}.secret`, "name");
    }
  }
  return found;
}
