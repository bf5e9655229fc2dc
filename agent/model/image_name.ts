/**
 * Image names as the container world reads them: `busybox` means docker.io/library/busybox:latest. Follows the
 * grammar of distribution/reference. Not for: resolving names, credentials.
 */

export interface ImageName {
  /** The whole name with its defaults; with a digest the tag is dropped, as containerd does. */
  name: string;
  /** `HOST[:PORT]`. */
  registry: string;
  /** Path below the registry: `library/busybox`. */
  repository: string;
  tag?: string;
  /** `sha256:…`. */
  digest?: string;
}

const DEFAULT_REGISTRY = "docker.io";
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
/** Hex digits of the digests that are in use; another length is a broken name. */
const DIGEST_LENGTHS: Record<string, number> = { sha256: 64, sha384: 96, sha512: 128 };
const LABEL = "(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])";
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9A-Fa-f:]+\\])(?::[0-9]+)?$`);
const MAX_REPOSITORY = 255;

function isDigest(text: string): boolean {
  if (!DIGEST.test(text)) return false;
  const [algorithm = "", hex = ""] = text.split(":");
  const length = DIGEST_LENGTHS[algorithm];
  return length === undefined || (hex.length === length && hex === hex.toLowerCase());
}

/** The part before the first slash is a host when it looks like one: a dot, a port, `localhost`, an upper-case letter. */
function splitRegistry(path: string): [registry: string, repository: string] {
  const slash = path.indexOf("/");
  const first = path.slice(0, Math.max(slash, 0));
  const isHost = slash >= 0 && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  if (!isHost) return [DEFAULT_REGISTRY, path];
  return [first === "index.docker.io" ? DEFAULT_REGISTRY : first, path.slice(slash + 1)];
}

/** `NAME[:TAG][@DIGEST]` at its separators, unchecked: a colon before the last slash belongs to a port. */
function splitReference(text: string): { path: string; tag?: string; digest?: string } {
  const at = text.indexOf("@");
  const tagged = at < 0 ? text : text.slice(0, at);
  const colon = tagged.lastIndexOf(":");
  const hasTag = colon > tagged.lastIndexOf("/");
  return {
    path: hasTag ? tagged.slice(0, colon) : tagged,
    ...(hasTag ? { tag: tagged.slice(colon + 1) } : {}),
    ...(at < 0 ? {} : { digest: text.slice(at + 1) }),
  };
}

/** `undefined` when the text is no image name. A bare content id (64 hex digits) is none either. */
export function normalizeImageName(text: string): ImageName | undefined {
  const { path, tag, digest } = splitReference(text);
  if (digest !== undefined && !isDigest(digest)) return undefined;
  if (tag !== undefined && !TAG.test(tag)) return undefined;
  if (/^[0-9a-f]{64}$/.test(path)) return undefined;

  const [registry, rest] = splitRegistry(path);
  const repository = registry === DEFAULT_REGISTRY && !rest.includes("/") ? `library/${rest}` : rest;
  if (!HOST.test(registry) || repository.length > MAX_REPOSITORY) return undefined;
  if (!repository.split("/").every((component) => COMPONENT.test(component))) return undefined;

  if (digest !== undefined) {
    const name = `${registry}/${repository}@${digest}`;
    return { name, registry, repository, digest, ...(tag === undefined ? {} : { tag }) };
  }
  return { name: `${registry}/${repository}:${tag ?? "latest"}`, registry, repository, tag: tag ?? "latest" };
}

/** The tag of an image name: `latest` when there is neither tag nor digest, "" with a digest alone. */
export function imageTag(image: string): string {
  const [name = "", digest] = image.split("@", 2);
  const tag = /:([\w][\w.-]{0,127})$/.exec(name)?.[1];
  return tag ?? (digest === undefined ? "latest" : "");
}
