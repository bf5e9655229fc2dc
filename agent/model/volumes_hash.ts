/**
 * What a pod depends on besides itself, as texts that differ when it does. Pure. Not cryptographic, and made of secrets: keep
 * them in memory, never write or log them.
 */
import { claimKeysOf, volumeNameOf } from "./cluster_claim.ts";
import type { ConfigMap, Pod, Secret } from "./gen/v1.ts";
import { type Reference, referencesOf } from "./references.ts";
import { projections } from "./volumes.ts";
import type { Objects } from "./wish.ts";

const hashes = new WeakMap<object, string>();

/** The same for the same frozen object: snapshots hand out each object unchanged until it changes. */
function hashOnce(object: object, text: () => string): string {
  const known = hashes.get(object);
  if (known !== undefined) return known;
  const hash = fingerprint(text());
  hashes.set(object, hash);
  return hash;
}

/**
 * One text for everything that the published volumes of a pod depend on; another text means: publish again.
 */
export function volumesHash(pod: Pod, objects: Objects): string {
  const volumes = pod.spec?.volumes ?? [];
  const ofFiles = volumes.flatMap((v) => projections(v) ?? []).flatMap(({ configMap, secret }) => [
    ...(configMap === undefined ? [] : [contentHash(objects, "ConfigMap", pod, configMap.name)]),
    ...(secret === undefined ? [] : [contentHash(objects, "Secret", pod, secret.name)]),
  ]);
  const ofClaims = claimKeysOf(pod).map((key) => claimHash(objects, key));
  return [hashOnce(pod, () => podPart(pod)), ...ofFiles, ...ofClaims].join(".");
}

/** The same for all that a pod names besides its volumes: variables and passwords for registries. */
export const namedHash = (pod: Pod, objects: Objects): string =>
  referencesOf(pod).map(({ kind, name }) => contentHash(objects, kind, pod, name)).join(".");

function contentHash(objects: Objects, kind: Reference["kind"], { metadata }: Pod, name = ""): string {
  const key = `${metadata?.namespace ?? "default"}/${name}`;
  const found = (kind === "ConfigMap" ? objects.configMaps : objects.secrets).get(key);
  if (found === undefined) return objects.unread?.has(`${kind} ${key}`) ? "?" : "-";
  const { data, binaryData, stringData }: ConfigMap & Secret = found;
  return hashOnce(found, () => JSON.stringify([data, binaryData, stringData]));
}

/** Of claims that an API server has bound. */
function claimHash({ persistentVolumeClaims, persistentVolumes }: Objects, key: string): string {
  const claim = persistentVolumeClaims.get(key);
  const volume = claim && persistentVolumes.get(volumeNameOf(claim) ?? "");
  return claim === undefined
    ? "-"
    : volume === undefined
    ? "unbound"
    : hashOnce(volume, () => JSON.stringify([volume.metadata?.uid, volume.spec]));
}

function podPart(pod: Pod): string {
  const volumes = pod.spec?.volumes ?? [];
  const { name, namespace, uid, labels, annotations } = pod.metadata ?? {};
  const downward = volumes.flatMap((v) => projections(v) ?? []).some((p) => p.downwardAPI !== undefined);
  const containers = [...pod.spec?.initContainers ?? [], ...pod.spec?.containers ?? []];
  return JSON.stringify([
    volumes,
    pod.spec?.securityContext?.fsGroup,
    containers.map((c) => [c.name, (c.volumeMounts ?? []).map((m) => [m.name, m.mountPath])]),
    downward ? [name, namespace, uid, labels, annotations, containers.map((c) => c.resources)] : [],
  ]);
}

/** 64 bits in hexadecimal; fast, for telling texts apart where nobody tries to make two of them equal. */
function fingerprint(text: string): string {
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  const mix = (a: number, b: number) =>
    (Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)) >>> 0;
  return [mix(high, low), mix(low, high)].map((n) => n.toString(16).padStart(8, "0")).join("");
}
