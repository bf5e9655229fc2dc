/**
 * Which credentials may open the registry of an image: from imagePullSecrets and the node's own docker configuration.
 * Source: Kubernetes pkg/credentialprovider (host globs, longest path first). Pure. Not for: pulling.
 */
import type { Pod, Secret } from "./gen/v1.ts";

export interface RegistryAuth {
  username: string;
  password: string;
}

interface Entry {
  pattern: string;
  auth: RegistryAuth;
}

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

/** The entries of a `.dockerconfigjson` (with `auths`) or `.dockercfg` (without). Anything unreadable is no entry. */
export function parseDockerConfig(text: string): Entry[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return [];
  }
  const auths = isRecord(json) ? (isRecord(json.auths) ? json.auths : json) : {};
  return Object.entries(auths).flatMap(([key, value]) => {
    const auth = parseAuth(value);
    const pattern = key.replace(/^https?:\/\//, "").replace(/\/v[12]\/?$/, "").replace(/\/$/, "");
    return auth === undefined ? [] : [{ pattern, auth }];
  });
}

function secretEntries(secret: Secret): Entry[] {
  const text = secret.data?.[".dockerconfigjson"] ?? secret.data?.[".dockercfg"];
  return text === undefined ? [] : parseDockerConfig(decodeText(text) ?? "");
}

/** `registry/repository` without tag or digest; Docker Hub's short names get their full form. */
function registryPath(image: string): string {
  const name = image.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
  const first = name.split("/")[0]!;
  const hasRegistry = name.includes("/") &&
    (first.includes(".") || first.includes(":") || first === "localhost");
  return hasRegistry ? name : `index.docker.io/${name.includes("/") ? name : `library/${name}`}`;
}

function matches(pattern: string, path: string): boolean {
  const [host, ...rest] = pattern.split("/");
  const [ownHost, ...ownRest] = path.split("/");
  const glob = (p: string, s: string) => {
    const [ps, ss] = [p.split("."), s.split(".")];
    return ps.length === ss.length && ps.every((part, i) => part === "*" || part === ss[i]);
  };
  const sameHost = glob(host!, ownHost!) || (host === "docker.io" && ownHost === "index.docker.io");
  return sameHost && (ownRest.join("/") + "/").startsWith(rest.length === 0 ? "" : rest.join("/") + "/");
}

/** Credentials to try, best first; empty means anonymous. `nodeConfig` is the text of ROOT/config.json, if any. */
export function authsFor(
  image: string,
  pod: Pod,
  secrets: ReadonlyMap<string, Secret>,
  nodeConfig: string | undefined,
): RegistryAuth[] {
  const namespace = pod.metadata?.namespace ?? "default";
  const named = (pod.spec?.imagePullSecrets ?? []).flatMap((ref) => {
    const secret = secrets.get(`${namespace}/${ref.name}`);
    return secret === undefined ? [] : secretEntries(secret);
  });
  const path = registryPath(image);
  return [...named, ...parseDockerConfig(nodeConfig ?? "{}")]
    .filter((e) => matches(e.pattern, path))
    .sort((a, b) => b.pattern.length - a.pattern.length)
    .map((e) => e.auth);
}
