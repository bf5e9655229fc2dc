/**
 * What a node may do: read the objects that pods bound to it refer to, one by one, its own Node, Lease and CSINode, and its
 * pods. Source: plugin/pkg/auth/authorizer/node (with AuthorizeNodeWithSelectors), bootstrappolicy NodeRules. Not for: what
 * it may write into them (node_restriction.ts).
 */
import { type Attributes, covers, type Decision, type Rule } from "./authorize.ts";
import { asObject, asText, type Stored } from "./objects.ts";
import { isMirror, nodeOf, referencesOf } from "./references.ts";
import { kinds, type World } from "./world.ts";

const read = ["get", "list", "watch"];

const nodeRules: readonly Rule[] = [
  { verbs: ["create"], resources: ["tokenreviews.authentication.k8s.io"] },
  { verbs: ["create"], resources: ["subjectaccessreviews.authorization.k8s.io"] },
  { verbs: read, resources: ["services"] },
  { verbs: ["create", "update", "patch"], resources: ["nodes"] },
  { verbs: ["update", "patch"], resources: ["nodes/status"] },
  { verbs: ["create", "update", "patch"], resources: ["events"] },
  { verbs: ["create", "delete"], resources: ["pods"] },
  { verbs: ["update", "patch"], resources: ["pods/status"] },
  { verbs: ["create"], resources: ["pods/eviction"] },
  {
    verbs: ["create", "get", "list", "watch"],
    resources: ["certificatesigningrequests.certificates.k8s.io"],
  },
  { verbs: read, resources: ["csidrivers.storage.k8s.io", "runtimeclasses.node.k8s.io"] },
  { verbs: ["get", "update", "patch"], resources: ["persistentvolumeclaims/status"] },
];

const allowed: Decision = { allowed: true };
const denied = (reason: string): Decision => ({ allowed: false, reason });

export function authorizeNode(world: World, node: string, asked: Attributes): Decision {
  const judged = byTie(world, node, asked);
  if (judged !== undefined) return judged;
  return nodeRules.some((rule) => covers(rule, asked)) ? allowed : denied("");
}

/** `undefined`: the rules above decide. */
function byTie(world: World, node: string, asked: Attributes): Decision | undefined {
  if (asked.path !== undefined) return undefined;
  switch (`${asked.resource}${asked.subresource === undefined ? "" : `/${asked.subresource}`}`) {
    case "secrets":
    case "configmaps":
      return tied(world, node, asked, read);
    case "persistentvolumeclaims":
    case "persistentvolumes":
    case "volumeattachments":
      return tied(world, node, asked, ["get"]);
    case "serviceaccounts/token":
      return tied(world, node, asked, ["create"]);
    case "leases":
      return own(node, asked, asked.namespace === "kube-node-lease");
    case "csinodes":
      return own(node, asked, true);
    case "nodes":
      return read.includes(asked.verb) ? ownNode(node, asked) : undefined;
    case "pods":
      return read.includes(asked.verb) ? ownPods(world, node, asked) : undefined;
    case "resourceslices":
      // Whose it is, its content says: admission looks at that.
      return asked.verb === "create" || selects(asked, node)
        ? allowed
        : denied("can only list/watch/deletecollection resourceslices with nodeName field selector");
    default:
      return undefined;
  }
}

function tied(world: World, node: string, asked: Attributes, verbs: readonly string[]): Decision {
  if (!verbs.includes(asked.verb)) {
    return denied(`can only ${verbs.join("/")} individual resources of this type`);
  }
  if (asked.name === undefined) return denied("No Object name found");
  return isTied(world, node, asked)
    ? allowed
    : denied(`no relationship found between node '${node}' and this object`);
}

function isTied({ store }: World, node: string, { resource, namespace, name = "" }: Attributes): boolean {
  const pods = store.list(kinds.pod).filter((pod) => nodeOf(pod) === node && !isMirror(pod));
  const claimsOf = (pod: Stored) =>
    [...referencesOf(pod).claims].map((claim) => store.get(kinds.claim, pod.metadata.namespace, claim));
  const volumes = () => new Set(pods.flatMap(claimsOf).map((claim) => asText(claim?.spec?.volumeName)));
  const here = pods.filter((pod) => pod.metadata.namespace === namespace).map(referencesOf);
  switch (resource) {
    case "configmaps":
      return here.some((r) => r.configMaps.has(name));
    case "persistentvolumeclaims":
      return here.some((r) => r.claims.has(name));
    case "serviceaccounts":
      return here.some((r) => r.serviceAccount === name);
    case "persistentvolumes":
      return volumes().has(name);
    case "volumeattachments":
      return store.get(kinds.attachment, undefined, name)?.spec?.nodeName === node;
    default:
      return here.some((r) => r.secrets.has(name)) ||
        [...volumes()].some((v) =>
          secretsOfVolume(store.get(kinds.volume, undefined, v)).has(`${namespace}/${name}`)
        );
  }
}

function secretsOfVolume(volume: Stored | undefined): Set<string> {
  const references = Object.entries(asObject(volume?.spec?.csi)).filter(([key]) => key.endsWith("SecretRef"));
  return new Set(references.map(([, r]) => `${asText(asObject(r).namespace)}/${asText(asObject(r).name)}`));
}

function own(node: string, asked: Attributes, place: boolean): Decision {
  if (!place || !["get", "create", "update", "patch", "delete"].includes(asked.verb)) {
    return denied(`can only access ${asked.resource} with the same name as the requesting node`);
  }
  return asked.name === node || (asked.verb === "create" && asked.name === undefined)
    ? allowed
    : denied(`can only access ${asked.resource} with the same name as the requesting node`);
}

const ownNode = (node: string, asked: Attributes): Decision =>
  asked.name === node
    ? allowed
    : denied(`node '${node}' cannot read '${asked.name ?? "all nodes"}', only its own Node object`);

/** By the field that names the node. */
const selects = ({ fields = [] }: Attributes, node: string): boolean =>
  fields.some((f) => f.field === "spec.nodeName" && f.equal && f.value === node);

function ownPods({ store }: World, node: string, asked: Attributes): Decision {
  if (asked.verb !== "get" && selects(asked, node)) return allowed;
  if (asked.name === undefined) return denied("can only list/watch pods with spec.nodeName field selector");
  const pod = store.get(kinds.pod, asked.namespace, asked.name);
  return pod !== undefined && nodeOf(pod) === node
    ? allowed
    : denied(`no relationship found between node '${node}' and this object`);
}
