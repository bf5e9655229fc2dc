/**
 * What volumes hold, as values: the files of configMap, secret, downwardAPI and projected volumes. Pure. Not for: writing
 * them (agent/volumes), telling whether they have changed (volumes_hash.ts).
 *
 * Sources: kubernetes pkg/volume/{configmap,secret,downwardapi,projected}, pkg/volume/util/atomic_writer.go.
 */
import type {
  Container,
  DownwardAPIVolumeFile,
  ImageVolumeSource,
  KeyToPath,
  Pod,
  ServiceAccountTokenProjection,
  Volume,
  VolumeProjection,
} from "./gen/v1.ts";
import type { Objects } from "./wish.ts";
import { extractField, extractResource, type PodFacts } from "./downward.ts";
import { BadContent, configMapBytes, configMapNamed, secretBytes, secretNamed } from "./objects.ts";

export interface FileProjection {
  content: Uint8Array;
  /** Permission bits. */
  mode: number;
  /** Owner; absent leaves root's. */
  uid?: number;
}

/** Tokens of a pod's service account by `tokenKey`, requested before. */
export type Tokens = ReadonlyMap<string, string>;

export const tokenKey = (
  { audience = "", expirationSeconds = 3600 }: ServiceAccountTokenProjection,
): string => `${expirationSeconds} ${audience}`;

/** What tokens a volume's files are made of. */
export const tokenProjections = (volume: Volume): ServiceAccountTokenProjection[] =>
  (volume.projected?.sources ?? []).flatMap((source) => source.serviceAccountToken ?? []);

/** Files by their path relative to the volume, or what is wrong in the kubelet's words. */
export type Payload = { files: Map<string, FileProjection> } | { error: string };

type Files = Map<string, FileProjection>;

const defaultFileMode = 0o644;

/** `undefined` for a volume that is not made of files from objects. */
export function volumePayload(
  volume: Volume,
  pod: Pod,
  objects: Objects,
  facts: PodFacts,
  tokens: Tokens = new Map(),
): Payload | undefined {
  const sources = projections(volume);
  if (sources === undefined) return undefined;
  const mode = (volume.configMap ?? volume.secret ?? volume.downwardAPI ?? volume.projected)?.defaultMode ??
    defaultFileMode;
  const files: Files = new Map();
  try {
    for (const source of sources) {
      for (const [path, file] of projectionFiles(source, { pod, objects, facts, tokens, mode })) {
        files.set(path, file);
      }
    }
  } catch (error) {
    if (error instanceof BadContent) return { error: error.message };
    throw error;
  }
  const wrong = [...files.keys()].map(pathProblem).find((p) => p !== undefined) ?? overlap(files);
  return wrong === undefined
    ? { files: new Map([...files].map(([k, v]) => [cleanPath(k), v])) }
    : { error: wrong };
}

/** Single-source volumes are projected volumes with one source. */
export function projections(volume: Volume): VolumeProjection[] | undefined {
  const { configMap, secret, downwardAPI, projected } = volume;
  if (configMap !== undefined) return [{ configMap }];
  if (secret !== undefined) {
    const { secretName, items, optional } = secret;
    return [{ secret: { name: secretName ?? "", ...(items && { items }), ...(optional && { optional }) } }];
  }
  if (downwardAPI !== undefined) return [{ downwardAPI }];
  return projected === undefined ? undefined : projected.sources ?? [];
}

interface Sources {
  pod: Pod;
  objects: Objects;
  facts: PodFacts;
  tokens: Tokens;
  mode: number;
}

function projectionFiles(source: VolumeProjection, sources: Sources): Files {
  const { pod, objects, facts, mode } = sources;
  const namespace = pod.metadata?.namespace ?? "default";
  if (source.configMap !== undefined) {
    const { name = "", items, optional } = source.configMap;
    const found = configMapNamed(objects, namespace, name);
    if (found === undefined && optional !== true) throw new BadContent(`configmap "${name}" not found`);
    const bytes = found === undefined ? new Map<string, Uint8Array>() : configMapBytes(found);
    return keyFiles(bytes, items, optional === true, mode, "config");
  }
  if (source.secret !== undefined) {
    const { name = "", items, optional } = source.secret;
    const found = secretNamed(objects, namespace, name);
    if (found === undefined && optional !== true) throw new BadContent(`secret "${name}" not found`);
    const bytes = found === undefined ? new Map<string, Uint8Array>() : secretBytes(found);
    return keyFiles(bytes, items, optional === true, mode, "secret");
  }
  if (source.downwardAPI !== undefined) {
    return new Map(
      (source.downwardAPI.items ?? []).map((item) => [item.path, downwardFile(item, pod, facts, mode)]),
    );
  }
  if (source.serviceAccountToken !== undefined) return tokenFile(source.serviceAccountToken, sources);
  const kind = Object.keys(source)[0] ?? "an empty source";
  throw new BadContent(`projected ${kind} is not supported`);
}

/** Only the pod's own user may read a token, or, where there are several, the pod's group (kubernetes pkg/volume/projected). */
function tokenFile(source: ServiceAccountTokenProjection, { pod, tokens, mode }: Sources): Files {
  const token = tokens.get(tokenKey(source));
  if (token === undefined) {
    throw new BadContent("serviceAccountToken needs a cluster: this node has not joined one");
  }
  const uid = podUser(pod);
  const content = new TextEncoder().encode(token);
  const isPrivate = uid !== undefined || pod.spec?.securityContext?.fsGroup !== undefined;
  return new Map([[source.path, {
    content,
    mode: isPrivate ? 0o600 : mode,
    ...(uid !== undefined && { uid }),
  }]]);
}

/** The user that all containers of the pod run as, where they say so and agree (kubernetes pkg/volume/util FsUserFrom). */
export function podUser(pod: Pod): number | undefined {
  const { initContainers = [], containers = [], securityContext } = pod.spec ?? {};
  const users = new Set(
    [...initContainers, ...containers].map((c) => c.securityContext?.runAsUser ?? securityContext?.runAsUser),
  );
  return users.size === 1 ? [...users][0] : undefined;
}

function keyFiles(
  bytes: ReadonlyMap<string, Uint8Array>,
  items: readonly KeyToPath[] | undefined,
  optional: boolean,
  mode: number,
  kind: string,
): Files {
  if (items === undefined || items.length === 0) {
    return new Map([...bytes].map(([key, content]) => [key, { content, mode }]));
  }
  const files: Files = new Map();
  for (const item of items) {
    const content = bytes.get(item.key);
    if (content !== undefined) files.set(item.path, { content, mode: item.mode ?? mode });
    else if (!optional) throw new BadContent(`references non-existent ${kind} key: ${item.key}`);
  }
  return files;
}

function downwardFile(item: DownwardAPIVolumeFile, pod: Pod, facts: PodFacts, mode: number): FileProjection {
  const { fieldRef, resourceFieldRef } = item;
  const read = fieldRef !== undefined
    // Volumes outlive a pod's addresses; the API allows only metadata here.
    ? fieldRef.fieldPath.startsWith("metadata.")
      ? extractField(fieldRef, pod, facts)
      : { error: `field label not supported: ${fieldRef.fieldPath}` }
    : resourceFieldRef !== undefined
    ? extractResource(resourceFieldRef, pod, undefined, facts)
    : { error: `${item.path} names neither fieldRef nor resourceFieldRef` };
  if ("error" in read) throw new BadContent(read.error);
  return { content: new TextEncoder().encode(read.value), mode: item.mode ?? mode };
}

/** Why a path may not be written inside a volume. */
function pathProblem(path: string): string | undefined {
  if (path === "") return `invalid path: must not be empty: ""`;
  if (path.includes("\0")) return "invalid path: must not contain NUL";
  if (path.startsWith("/")) return `invalid path: must be relative path: ${path}`;
  if (path.length > 4096) return "invalid path: must be less than or equal to 4096 characters";
  const parts = path.split("/");
  if (parts.includes("..")) return `invalid path: must not contain '..': ${path}`;
  if (parts.some((part) => new TextEncoder().encode(part).length > 255)) {
    return "invalid path: filenames must be less than or equal to 255 characters";
  }
  const clean = cleanPath(path);
  if (clean === "") return `invalid path: must name a file: ${path}`;
  return clean.startsWith("..") ? `invalid path: must not start with '..': ${path}` : undefined;
}

const cleanPath = (path: string): string =>
  path.split("/").filter((part) => part !== "" && part !== ".").join("/");

/** A file cannot also be the directory of another. */
function overlap(files: Files): string | undefined {
  const paths = new Set([...files.keys()].map(cleanPath));
  for (const path of paths) {
    for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) {
      const parent = path.slice(0, at);
      if (paths.has(parent)) {
        return `conflicting paths: ${parent} is both a file and the directory of ${path}`;
      }
    }
  }
  return undefined;
}

/**
 * Directories that a volume must hold because another volume is mounted below it in some container: `b` for one at
 * `/a` beside one at `/a/b`. Volumes that are mounted read-only could not take them later.
 */
export function nestedMountPoints(pod: Pod, volumeName: string): string[] {
  const nested = new Set<string>();
  for (const container of [...pod.spec?.initContainers ?? [], ...pod.spec?.containers ?? []]) {
    const mounts = (container.volumeMounts ?? []).map((m) => ({
      name: m.name,
      path: cleanPath(m.mountPath),
    }));
    for (const own of mounts.filter((m) => m.name === volumeName)) {
      const below = mounts.map((m) => m.path).filter((p) => p.startsWith(`${own.path}/`)).sort();
      const outermost = below.filter((p) => !below.some((q) => p.startsWith(`${q}/`)));
      for (const path of outermost) nested.add(path.slice(own.path.length + 1));
    }
  }
  return [...nested].filter((path) => pathProblem(path) === undefined).sort();
}

/** The image volumes that a container mounts. */
export function imageVolumes(pod: Pod, container: Container): { name: string; image: ImageVolumeSource }[] {
  const mounted = new Set((container.volumeMounts ?? []).map((m) => m.name));
  return (pod.spec?.volumes ?? []).flatMap(({ name, image }) =>
    image !== undefined && mounted.has(name) ? [{ name, image }] : []
  );
}
