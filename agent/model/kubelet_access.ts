/**
 * Who asks the kubelet's API, and what the API server is asked about it: the kubelet's mapping of paths to subresources of
 * its Node. Pure. Source: pkg/kubelet/server/auth.go (v1.36). Not for: asking (api/kubelet/).
 */

/** As TokenReview and SubjectAccessReview have it. */
export interface User {
  name: string;
  groups: readonly string[];
  uid?: string;
  extra?: Readonly<Record<string, readonly string[]>>;
}

/** What one of `subresources` of the Node must allow; in this order. */
export interface Access {
  verb: string;
  subresources: readonly string[];
}

/** One of those: what somebody must be allowed. */
export interface NodeAccess {
  verb: string;
  subresource: string;
}

export const anonymous: User = { name: "system:anonymous", groups: ["system:unauthenticated"] };

const verbs: Readonly<Record<string, string>> = {
  POST: "create",
  GET: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Where more than one will do, the finer one is asked about first. */
const places: readonly [path: string, subresources: readonly string[]][] = [
  ["/pods", ["pods", "proxy"]],
  ["/runningpods", ["pods", "proxy"]],
  ["/healthz", ["healthz", "proxy"]],
  ["/configz", ["configz", "proxy"]],
  ["/stats", ["stats"]],
  ["/metrics", ["metrics"]],
  ["/logs", ["log"]],
  ["/checkpoint", ["checkpoint"]],
];

/** @param path decoded, without its query: the one that routes are looked up by. */
export function accessOf(method: string, path: string): Access {
  const place = places.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`));
  return { verb: verbs[method] ?? "", subresources: place?.[1] ?? ["proxy"] };
}
