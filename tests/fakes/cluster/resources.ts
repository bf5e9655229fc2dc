/**
 * Which resources the double has: names, groups, scopes, subresources; and which one a path names. Pure. Not for: rules of a
 * kind (strategy.ts).
 */

export interface Resource {
  group: string;
  version: string;
  kind: string;
  plural: string;
  namespaced: boolean;
  shortNames: readonly string[];
  subresources: readonly string[];
}

interface More {
  namespaced?: boolean;
  shortNames?: string[];
  subresources?: string[];
}

/** @param kind the plural is made of it as in most of the API. */
export function resource(groupVersion: string, kind: string, more: More = {}): Resource {
  const [group = "", version = ""] = groupVersion.includes("/")
    ? groupVersion.split("/")
    : ["", groupVersion];
  const name = kind.toLowerCase();
  const plural = /(s|x|ch)$/.test(name)
    ? `${name}es`
    : name.endsWith("y")
    ? `${name.slice(0, -1)}ies`
    : `${name}s`;
  return {
    group,
    version,
    kind,
    plural: kind === "Endpoints" ? name : plural,
    namespaced: more.namespaced ?? true,
    shortNames: more.shortNames ?? [],
    subresources: more.subresources ?? [],
  };
}

const cluster = { namespaced: false };
const podSubresources = "status binding eviction log exec attach portforward ephemeralcontainers resize"
  .split(" ");

export const builtIn: readonly Resource[] = [
  resource("v1", "Pod", { shortNames: ["po"], subresources: podSubresources }),
  resource("v1", "Node", { ...cluster, shortNames: ["no"], subresources: ["status", "proxy"] }),
  resource("v1", "Namespace", { ...cluster, shortNames: ["ns"], subresources: ["status"] }),
  resource("v1", "ConfigMap", { shortNames: ["cm"] }),
  resource("v1", "Secret"),
  resource("v1", "Service", { shortNames: ["svc"], subresources: ["status"] }),
  resource("v1", "Endpoints", { shortNames: ["ep"] }),
  resource("v1", "Event", { shortNames: ["ev"] }),
  resource("v1", "ServiceAccount", { shortNames: ["sa"], subresources: ["token"] }),
  resource("v1", "PersistentVolumeClaim", { shortNames: ["pvc"], subresources: ["status"] }),
  resource("v1", "PersistentVolume", { ...cluster, shortNames: ["pv"], subresources: ["status"] }),
  resource("events.k8s.io/v1", "Event"),
  resource("coordination.k8s.io/v1", "Lease"),
  resource("certificates.k8s.io/v1", "CertificateSigningRequest", {
    ...cluster,
    shortNames: ["csr"],
    subresources: ["approval", "status"],
  }),
  resource("node.k8s.io/v1", "RuntimeClass", cluster),
  resource("storage.k8s.io/v1", "StorageClass", { ...cluster, shortNames: ["sc"] }),
  resource("storage.k8s.io/v1", "CSIDriver", cluster),
  resource("storage.k8s.io/v1", "CSINode", cluster),
  resource("storage.k8s.io/v1", "VolumeAttachment", { ...cluster, subresources: ["status"] }),
  resource("apps/v1", "Deployment", { shortNames: ["deploy"], subresources: ["status"] }),
  resource("apps/v1", "ReplicaSet", { shortNames: ["rs"], subresources: ["status"] }),
  resource("apps/v1", "DaemonSet", { shortNames: ["ds"], subresources: ["status"] }),
  resource("apps/v1", "StatefulSet", { shortNames: ["sts"], subresources: ["status"] }),
  resource("resource.k8s.io/v1", "ResourceSlice", cluster),
];

/** Created, never kept: the answer is in their status. */
export const reviews: readonly Resource[] = [
  resource("authentication.k8s.io/v1", "TokenReview", cluster),
  resource("authentication.k8s.io/v1", "SelfSubjectReview", cluster),
  resource("authorization.k8s.io/v1", "SubjectAccessReview", cluster),
  resource("authorization.k8s.io/v1", "SelfSubjectAccessReview", cluster),
];

export const groupVersion = ({ group, version }: Pick<Resource, "group" | "version">): string =>
  group === "" ? version : `${group}/${version}`;

/** What a path below /api or /apis names. */
export interface Target {
  resource: Resource;
  namespace?: string;
  name?: string;
  subresource?: string;
  /** What follows the subresource: the path at a node's proxy. */
  rest: string;
}

export function findTarget(path: string, known: readonly Resource[]): Target | undefined {
  const [root, ...parts] = path.split("/").filter((part) => part !== "").map(decodeURIComponent);
  if (root !== "api" && root !== "apis") return undefined;
  const group = root === "api" ? "" : parts.shift() ?? "";
  const version = parts.shift() ?? "";
  const scoped = parts[0] === "namespaces" && parts.length > 2 && parts[2] !== "status";
  const namespace = scoped ? parts.splice(0, 2)[1] : undefined;
  const [plural, name, subresource, ...rest] = parts;
  const found = known.find((r) => r.group === group && r.version === version && r.plural === plural);
  if (found === undefined || (namespace !== undefined && !found.namespaced)) return undefined;
  if (found.namespaced && name !== undefined && namespace === undefined) return undefined;
  if (subresource !== undefined && !found.subresources.includes(subresource)) return undefined;
  return {
    resource: found,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
    rest: rest.join("/"),
  };
}
