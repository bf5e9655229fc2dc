/** The ConfigMaps and Secrets that a pod names, with where it names them. Pure. Not for: whether they are there. */
import type { Container, KeyToPath, Pod, Volume } from "./gen/v1.ts";

export interface Reference {
  kind: "ConfigMap" | "Secret";
  name: string;
  /** The pod does without it. */
  optional: boolean;
  /** Keys that must be in it, with their fields below the reference's. */
  keys: { key: string; field: string }[];
  field: string;
  /** Below `field`, where the name stands. */
  nameField: string;
}

/** All are of the pod's own namespace. */
export function referencesOf(pod: Pod): Reference[] {
  const {
    initContainers = [],
    containers = [],
    ephemeralContainers = [],
    volumes = [],
    imagePullSecrets = [],
  } = pod.spec ?? { containers: [] };
  const ofContainers = Object.entries({ initContainers, containers, ephemeralContainers }).flatMap((
    [kind, list],
  ) => list.flatMap((container, i) => ofContainer(container, `spec.${kind}[${i}]`)));
  const ofVolumes = volumes.flatMap((volume, i) => ofVolume(volume, `spec.volumes[${i}]`));
  const pullSecrets = imagePullSecrets.map(({ name }, i) =>
    reference("Secret", name, {}, `spec.imagePullSecrets[${i}]`)
  );
  return [...ofContainers, ...ofVolumes, ...pullSecrets];
}

interface Source {
  optional?: boolean;
  key?: string;
  items?: KeyToPath[];
}

function reference(
  kind: Reference["kind"],
  name: string | undefined,
  { optional = false, key, items = [] }: Source,
  field: string,
  nameField = "name",
): Reference {
  const keys = key === undefined
    ? items.map((item, i) => ({ key: item.key, field: `items[${i}].key` }))
    : [{ key, field: "key" }];
  return { kind, name: name ?? "", optional, keys, field, nameField };
}

function ofContainer(
  { envFrom = [], env = [] }: Pick<Container, "env" | "envFrom">,
  at: string,
): Reference[] {
  const found: Reference[] = [];
  for (const [i, { configMapRef, secretRef }] of envFrom.entries()) {
    const field = `${at}.envFrom[${i}]`;
    if (configMapRef) {
      found.push(reference("ConfigMap", configMapRef.name, configMapRef, `${field}.configMapRef`));
    }
    if (secretRef) found.push(reference("Secret", secretRef.name, secretRef, `${field}.secretRef`));
  }
  for (const [i, { valueFrom: { configMapKeyRef: map, secretKeyRef: secret } = {} }] of env.entries()) {
    const field = `${at}.env[${i}].valueFrom`;
    if (map) found.push(reference("ConfigMap", map.name, map, `${field}.configMapKeyRef`));
    if (secret) found.push(reference("Secret", secret.name, secret, `${field}.secretKeyRef`));
  }
  return found;
}

function ofVolume({ configMap, secret, projected, csi }: Volume, at: string): Reference[] {
  const found: Reference[] = [];
  if (configMap) found.push(reference("ConfigMap", configMap.name, configMap, `${at}.configMap`));
  if (secret) found.push(reference("Secret", secret.secretName, secret, `${at}.secret`, "secretName"));
  for (const [i, source] of (projected?.sources ?? []).entries()) {
    const field = `${at}.projected.sources[${i}]`;
    const { configMap: map, secret: hidden } = source;
    if (map) found.push(reference("ConfigMap", map.name, map, `${field}.configMap`));
    if (hidden) found.push(reference("Secret", hidden.name, hidden, `${field}.secret`));
  }
  const ofDriver = csi?.nodePublishSecretRef;
  if (ofDriver) found.push(reference("Secret", ofDriver.name, {}, `${at}.csi.nodePublishSecretRef`));
  return found;
}
