/** The kinds that manifests describe, their names, and the content of some as bytes. Pure. Not for: parsing (manifest.ts). */
import type { ConfigMap, ObjectMeta, Pod, RuntimeClass, Secret } from "./gen/v1.ts";
import type { Objects } from "./wish.ts";

export type Kind = "Pod" | "ConfigMap" | "Secret" | "RuntimeClass";

/** Everything that a text, or a file, describes. */
export interface ManifestObjects {
  pods: Pod[];
  configMaps: ConfigMap[];
  secrets: Secret[];
  runtimeClasses: RuntimeClass[];
}

/** The list of each kind. What others refer to comes first. */
export const kindFields = [
  ["RuntimeClass", "runtimeClasses"],
  ["ConfigMap", "configMaps"],
  ["Secret", "secrets"],
  ["Pod", "pods"],
] as const satisfies readonly (readonly [Kind, keyof ManifestObjects])[];

export const noManifestObjects = (): ManifestObjects => ({
  pods: [],
  configMaps: [],
  secrets: [],
  runtimeClasses: [],
});

/** Those of a cluster, not of a namespace. */
export const isNamespaced = (kind: Kind): boolean => kind !== "RuntimeClass";

/** `namespace/name`, or the name alone where the kind has no namespaces. */
export function objectKey(kind: Kind, { name = "", namespace }: ObjectMeta = {}): string {
  return isNamespaced(kind) ? `${namespace || "default"}/${name}` : name;
}

export const configMapNamed = (objects: Objects, namespace: string, name: string): ConfigMap | undefined =>
  objects.configMaps.get(`${namespace}/${name}`);

export const secretNamed = (objects: Objects, namespace: string, name: string): Secret | undefined =>
  objects.secrets.get(`${namespace}/${name}`);

/** `data` as UTF-8 and `binaryData` decoded. */
export function configMapBytes(configMap: ConfigMap): Map<string, Uint8Array> {
  const bytes = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(configMap.data ?? {})) {
    bytes.set(key, new TextEncoder().encode(value));
  }
  for (const [key, value] of Object.entries(configMap.binaryData ?? {})) {
    bytes.set(key, decodeBase64(value, `binaryData of ConfigMap ${configMap.metadata?.name ?? ""}`, key));
  }
  return bytes;
}

/** `data` decoded; `stringData` overrides it, as an API server would write it. */
export function secretBytes(secret: Secret): Map<string, Uint8Array> {
  const bytes = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    bytes.set(key, decodeBase64(value, `data of Secret ${secret.metadata?.name ?? ""}`, key));
  }
  for (const [key, value] of Object.entries(secret.stringData ?? {})) {
    bytes.set(key, new TextEncoder().encode(value));
  }
  return bytes;
}

/** Content that is not what its field promises. The message never holds the content. */
export class BadContent extends Error {
  override readonly name = "BadContent";
}

function decodeBase64(text: string, owner: string, key: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    throw new BadContent(`key ${key} in ${owner} is not base64`);
  }
}
