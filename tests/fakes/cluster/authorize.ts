/**
 * Who may do what: masters all, nodes what the Node authorizer lets them, others by rules as a cluster made by kubeadm has
 * them. Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy, kubeadm's bootstrap token phase. Not for: admission.
 */
import type { User } from "./authenticate.ts";
import { ApiError } from "./errors.ts";
import { authorizeNode } from "./node_authorizer.ts";
import type { FieldRequirement } from "./selectors.ts";
import type { World } from "./world.ts";

/** What is asked for: something of a resource, or a path that is none. */
export interface Attributes {
  verb: string;
  group: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  /** Of lists and watches, too, when a field selector names one object. */
  name?: string;
  fields?: readonly FieldRequirement[];
  path?: string;
}

export interface Rule {
  verbs: readonly string[];
  /** `pods`, `pods/status`, `certificatesigningrequests.certificates.k8s.io`; `*` is all. */
  resources?: readonly string[];
  names?: readonly string[];
  namespace?: string;
  /** Of what is no resource; `*` at the end stands for the rest. */
  paths?: readonly string[];
}

export type Decision = { allowed: true } | { allowed: false; reason: string };

const read = ["get", "list", "watch"];
const discovery: Rule[] = [{
  verbs: ["get"],
  paths: ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"],
}];
const csr = "certificatesigningrequests.certificates.k8s.io";

/** Of every cluster, by user or `group:NAME`. */
const always: Readonly<Record<string, readonly Rule[]>> = {
  "group:system:unauthenticated": [
    { verbs: ["get"], paths: ["/healthz", "/livez", "/readyz", "/version", "/version/"] },
    { verbs: ["get"], resources: ["configmaps"], namespace: "kube-public", names: ["cluster-info"] },
  ],
  "group:system:authenticated": [
    ...discovery,
    { verbs: ["get"], paths: ["/healthz", "/livez", "/readyz"] },
    { verbs: ["create"], resources: ["selfsubjectaccessreviews.authorization.k8s.io"] },
    { verbs: ["create"], resources: ["selfsubjectreviews.authentication.k8s.io"] },
    { verbs: ["get"], resources: ["configmaps"], namespace: "kube-public", names: ["cluster-info"] },
  ],
  "group:system:bootstrappers": [],
  "group:system:bootstrappers:kubeadm:default-node-token": [
    { verbs: ["create", "get", "list", "watch"], resources: [csr] },
    { verbs: ["get"], resources: ["nodes"] },
    {
      verbs: ["get"],
      resources: ["configmaps"],
      namespace: "kube-system",
      names: ["kubeadm-config", "kubelet-config"],
    },
  ],
  "group:system:nodes": [
    {
      verbs: ["get"],
      resources: ["configmaps"],
      namespace: "kube-system",
      names: ["kubeadm-config", "kubelet-config"],
    },
  ],
  "user:system:kube-scheduler": [{
    verbs: [...read, "create"],
    resources: ["pods", "pods/binding", "nodes"],
  }],
};

export function authorize(world: World, user: User, asked: Attributes): Decision {
  if (user.groups.includes("system:masters")) return { allowed: true };
  const node = nodeNameOf(user);
  const decision = node === undefined ? undefined : authorizeNode(world, node, asked);
  if (decision?.allowed) return decision;
  const subjects = [`user:${user.name}`, ...user.groups.map((group) => `group:${group}`)];
  const rules = subjects.flatMap((s) => [...always[s] ?? [], ...world.grants.get(s) ?? []]);
  return rules.some((rule) => covers(rule, asked))
    ? { allowed: true }
    : decision ?? { allowed: false, reason: "" };
}

export function nodeNameOf(user: User): string | undefined {
  if (!user.groups.includes("system:nodes")) return undefined;
  return /^system:node:(.+)$/.exec(user.name)?.[1];
}

export function covers(rule: Rule, asked: Attributes): boolean {
  if (!rule.verbs.includes("*") && !rule.verbs.includes(asked.verb)) return false;
  if (asked.path !== undefined) {
    return (rule.paths ?? []).some((path) =>
      path.endsWith("*") ? asked.path!.startsWith(path.slice(0, -1)) : path === asked.path
    );
  }
  const plural = asked.resource + (asked.subresource === undefined ? "" : `/${asked.subresource}`);
  const full = asked.group === "" ? plural : plural.replace(/^[^/]+/, (name) => `${name}.${asked.group}`);
  if (!(rule.resources ?? []).some((r) => r === "*" || r === full)) return false;
  if (rule.namespace !== undefined && rule.namespace !== asked.namespace) return false;
  return rule.names === undefined || (asked.name !== undefined && rule.names.includes(asked.name));
}

/** In the API server's words. */
export function forbidden(user: User, asked: Attributes, reason: string): ApiError {
  const because = reason === "" ? "" : `: ${reason}`;
  if (asked.path !== undefined) {
    const message = `forbidden: User "${user.name}" cannot ${asked.verb} path "${asked.path}"${because}`;
    return new ApiError(403, "Forbidden", message);
  }
  const what = asked.resource + (asked.subresource === undefined ? "" : `/${asked.subresource}`);
  const where = asked.namespace === undefined
    ? "at the cluster scope"
    : `in the namespace "${asked.namespace}"`;
  const named = (asked.group === "" ? asked.resource : `${asked.resource}.${asked.group}`) +
    (asked.name === undefined ? "" : ` "${asked.name}"`);
  return new ApiError(
    403,
    "Forbidden",
    `${named} is forbidden: User "${user.name}" cannot ${asked.verb} resource "${what}" in API group ` +
      `"${asked.group}" ${where}${because}`,
    { ...(asked.name === undefined ? {} : { name: asked.name }), group: asked.group, kind: asked.resource },
  );
}
