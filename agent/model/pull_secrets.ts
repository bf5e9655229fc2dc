/**
 * Which credentials may open the registry of an image: from imagePullSecrets, the node's own docker configuration,
 * credential providers. Source: Kubernetes pkg/credentialprovider, keyring.go. Pure. Not for: pulling.
 */
import type { Pod, Secret } from "./gen/v1.ts";
import { matchesImage } from "./image_match.ts";
import { normalizeImageName } from "./image_name.ts";

export interface RegistryAuth {
  username: string;
  password: string;
}

/** What opens all images that a pattern fits (image_match.ts). */
export interface Credential {
  pattern: string;
  auth: RegistryAuth;
}

export type Keyring = readonly Credential[];

const decodeText = (base64: string): string | undefined => {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  } catch {
    return undefined;
  }
};

const isRecord = (v: unknown): v is Record<string, unknown> =>
  typeof v === "object" && v !== null && !Array.isArray(v);

function parseAuth(value: unknown): RegistryAuth | undefined {
  if (!isRecord(value)) return undefined;
  if (typeof value.username === "string" && typeof value.password === "string") {
    return { username: value.username, password: value.password };
  }
  const pair = typeof value.auth === "string" ? decodeText(value.auth) : undefined;
  const colon = pair?.indexOf(":") ?? -1;
  return colon < 0 ? undefined : { username: pair!.slice(0, colon), password: pair!.slice(colon + 1) };
}

const dockerHub = "index.docker.io";

/** What stands before the images of a docker configuration's key: no scheme, no version of the API. */
export function patternOf(key: string): string {
  const pattern = key.replace(/^https?:\/\//, "").replace(/\/v[12](?=\/|$)/, "").replace(/\/$/, "");
  return isDockerHub(pattern) ? dockerHub : pattern;
}

const isDockerHub = (place: string): boolean => /^(index\.)?docker\.io(\/|$)/.test(place);

/**
 * The credentials of a `.dockerconfigjson` (with `auths`) or `.dockercfg` (without), `undefined` when the text is
 * neither. An entry without a name and a password is none.
 */
export function parseDockerConfig(text: string): Keyring | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(json)) return undefined;
  return Object.entries(isRecord(json.auths) ? json.auths : json).flatMap(([key, value]) => {
    const auth = parseAuth(value);
    return auth === undefined ? [] : [{ pattern: patternOf(key), auth }];
  });
}

/** Of the pod's imagePullSecrets, those that are there. */
export function secretKeyring(pod: Pod, secrets: ReadonlyMap<string, Secret>): Keyring {
  const namespace = pod.metadata?.namespace ?? "default";
  return (pod.spec?.imagePullSecrets ?? []).flatMap((ref) => {
    const { data } = secrets.get(`${namespace}/${ref.name}`) ?? {};
    const text = data?.[".dockerconfigjson"] ?? data?.[".dockercfg"];
    return text === undefined ? [] : parseDockerConfig(decodeText(text) ?? "") ?? [];
  });
}

/** The whole name of an image without tag and digest: `docker.io/library/busybox`. What is no name stays as it is. */
export function imageRepository(image: string): string {
  const name = normalizeImageName(image);
  return name === undefined ? image : `${name.registry}/${name.repository}`;
}

/** Of one keyring, those that fit, the most particular first; Docker Hub's when nothing else does. */
function lookUp(keyring: Keyring, repository: string): RegistryAuth[] {
  const ordered = keyring.toSorted((a, b) => a.pattern === b.pattern ? 0 : a.pattern < b.pattern ? 1 : -1);
  const fitting = ordered.filter(({ pattern }) => pattern !== dockerHub && matchesImage(pattern, repository));
  if (fitting.length > 0 || !isDockerHub(repository)) return fitting.map(({ auth }) => auth);
  return ordered.filter(({ pattern }) => pattern === dockerHub).map(({ auth }) => auth);
}

/** Credentials to try, best first; empty means anonymous. Keyrings in the order in which they are asked. */
export function authsFor(image: string, keyrings: readonly Keyring[]): RegistryAuth[] {
  const repository = imageRepository(image);
  const auths = keyrings.flatMap((keyring) => lookUp(keyring, repository));
  const seen = new Set<string>();
  return auths.filter(({ username, password }) => {
    const key = JSON.stringify([username, password]);
    return !seen.has(key) && seen.add(key);
  });
}
