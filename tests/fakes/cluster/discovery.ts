/** What clients ask first: which groups, versions and resources there are. Source: Kubernetes' API concepts. */
import type { Answer } from "./call.ts";
import { groupVersion, type Resource, reviews } from "./resources.ts";
import type { World } from "./world.ts";

const version = { major: "1", minor: "36", gitVersion: "v1.36.2", platform: "linux/amd64" };

/** `undefined` when the path is none of these. */
export function answerDiscovery({ resources }: World, path: string): Answer | undefined {
  const all = [...resources, ...reviews];
  const json = (value: unknown): Answer => ({ status: 200, json: value });
  switch (path.replace(/(?<=.)\/$/, "")) {
    case "/version":
      return json(version);
    case "/healthz":
    case "/livez":
    case "/readyz":
      return { status: 200, text: "ok", type: "text/plain; charset=utf-8" };
    case "/api":
      return json({ kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] });
    case "/apis":
      return json({ kind: "APIGroupList", apiVersion: "v1", groups: groupsOf(all) });
    // An empty document in the protocol buffers that kubectl asks for: nothing is known to check against.
    case "/openapi/v2":
      return { status: 200, text: "", type: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf" };
  }
  const match = /^\/api\/(v1)$|^\/apis\/([^/]+\/[^/]+)$/.exec(path);
  const wanted = match?.[1] ?? match?.[2];
  const found = all.filter((r) => groupVersion(r) === wanted);
  if (found.length === 0) return undefined;
  return json({
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: wanted,
    resources: found.flatMap(entriesOf),
  });
}

function groupsOf(all: readonly Resource[]) {
  const names = [...new Set(all.map(groupVersion))].filter((name) => name.includes("/"));
  return names.map((name) => {
    const [group, version] = name.split("/");
    const entry = { groupVersion: name, version };
    return { name: group, versions: [entry], preferredVersion: entry };
  });
}

function entriesOf(r: Resource) {
  const review = reviews.includes(r);
  const verbs = review
    ? ["create"]
    : ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
  const own = {
    name: r.plural,
    singularName: "",
    namespaced: r.namespaced,
    kind: r.kind,
    verbs,
    ...(r.shortNames.length === 0 ? {} : { shortNames: r.shortNames }),
  };
  return [
    own,
    ...r.subresources.map((s) => ({
      name: `${r.plural}/${s}`,
      singularName: "",
      namespaced: r.namespaced,
      kind: r.kind,
      verbs: ["get", "patch", "update"],
    })),
  ];
}
