/** The kinds that manifests describe, their names, and the content of some as bytes. Pure. Not for: parsing (manifest.ts). */
import type {
  ConfigMap,
  CSIDriver,
  NetworkAttachmentDefinition,
  ObjectMeta,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  RuntimeClass,
  Secret,
  StorageClass,
} from "./gen/v1.ts";
import type { Objects } from "./wish.ts";

/** Everything that a text, or a file, describes. */
export interface ManifestObjects {
  pods: Pod[];
  configMaps: ConfigMap[];
  secrets: Secret[];
  runtimeClasses: RuntimeClass[];
  storageClasses: StorageClass[];
  csiDrivers: CSIDriver[];
  persistentVolumes: PersistentVolume[];
  persistentVolumeClaims: PersistentVolumeClaim[];
  networkAttachments: NetworkAttachmentDefinition[];
}

interface KindRow<Field> {
  field: Field;
  apiVersion: string;
  /** Of a namespace, not of the cluster. */
  namespaced: boolean;
}

const row = <Field extends keyof ManifestObjects>(
  field: Field,
  namespaced = true,
  apiVersion = "v1",
): KindRow<Field> => ({ field, apiVersion, namespaced });

/** What others refer to comes first. */
export const kinds = {
  RuntimeClass: row("runtimeClasses", false, "node.k8s.io/v1"),
  StorageClass: row("storageClasses", false, "storage.k8s.io/v1"),
  CSIDriver: row("csiDrivers", false, "storage.k8s.io/v1"),
  NetworkAttachmentDefinition: row("networkAttachments", true, "k8s.cni.cncf.io/v1"),
  PersistentVolume: row("persistentVolumes", false),
  PersistentVolumeClaim: row("persistentVolumeClaims"),
  Secret: row("secrets"),
  ConfigMap: row("configMaps"),
  Pod: row("pods"),
};

export type Kind = keyof typeof kinds;
export const kindNames = Object.keys(kinds) as Kind[];

/** The list of each kind. */
export const kindFields: readonly (readonly [Kind, keyof ManifestObjects])[] = kindNames.map((kind) => [
  kind,
  kinds[kind].field,
]);

/** Those that pods use. */
export type ObjectField = Exclude<keyof ManifestObjects, "pods">;
export const objectFields: readonly (readonly [Kind, ObjectField])[] = kindFields.flatMap(([kind, field]) =>
  field === "pods" ? [] : [[kind, field] as const]
);

/** A value for each list of a kind. */
export const eachField = <T>(of: (kind: Kind) => T): Record<keyof ManifestObjects, T> =>
  Object.fromEntries(kindFields.map(([kind, field]) => [field, of(kind)])) as Record<
    keyof ManifestObjects,
    T
  >;

export const noManifestObjects = (): ManifestObjects => eachField(() => []);

/** `namespace/name`, or the name alone where the kind has no namespaces. */
export function objectKey(kind: Kind, { name = "", namespace }: ObjectMeta = {}): string {
  return kinds[kind].namespaced ? `${namespace || "default"}/${name}` : name;
}

/** `undefined`: there is none. @throws {BadContent} while nobody can say. */
export function configMapNamed(objects: Objects, namespace: string, name: string): ConfigMap | undefined {
  return objects.configMaps.get(`${namespace}/${name}`) ?? absent(objects, "ConfigMap", namespace, name);
}

/** As `configMapNamed`. */
export function secretNamed(objects: Objects, namespace: string, name: string): Secret | undefined {
  return objects.secrets.get(`${namespace}/${name}`) ?? absent(objects, "Secret", namespace, name);
}

/** In the kubelet's words: pkg/kubelet/util/manager. */
function absent({ unread }: Objects, kind: Kind, namespace: string, name: string): undefined {
  const why = unread?.get(`${kind} ${namespace}/${name}`);
  if (why !== undefined) throw new BadContent(`failed to sync ${kind.toLowerCase()} cache: ${why}`);
}

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
