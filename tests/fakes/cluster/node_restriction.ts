/**
 * What a node may write: its own Node without other's labels and taints, mirror pods, status of its pods, tokens bound to
 * them, its Lease. Source: plugin/pkg/admission/noderestriction. Not for: reading (node_authorizer.ts).
 */
import { nodeNameOf } from "./authorize.ts";
import { notFound, refused } from "./errors.ts";
import { asList, asObject, asText, equal, type Json, type Stored, valueAt } from "./objects.ts";
import { isMirror, nodeOf, referencesOf } from "./references.ts";
import { kinds, type Writing } from "./world.ts";

export interface Admitted {
  operation: "create" | "update" | "delete";
  name: string;
  namespace?: string;
  before?: Stored;
  after?: Json;
}

/** @throws {ApiError} 403 */
export function restrictNode(writing: Writing, asked: Admitted): void {
  const node = nodeNameOf(writing.user);
  if (node === undefined) return;
  const why = objection(writing, node, asked);
  if (why !== undefined) throw refused(writing.resource, asked.name, why);
}

function objection(writing: Writing, node: string, asked: Admitted): string | undefined {
  const { resource, subresource } = writing;
  switch (`${resource.plural}${subresource === undefined ? "" : `/${subresource}`}`) {
    case "pods":
      return podObjection(writing, node, asked);
    case "pods/status":
      return statusObjection(node, asked);
    case "pods/eviction":
      return nodeOf(podOf(writing, asked.namespace, asked.name)) === node
        ? undefined
        : `node ${node} can only evict pods with spec.nodeName set to itself`;
    case "nodes":
    case "nodes/status":
      return nodeObjection(node, asked);
    case "serviceaccounts/token":
      return tokenObjection(writing, node, asked);
    case "leases":
    case "csinodes":
      return asked.name === node
        ? undefined
        : `can only access ${resource.plural} with the same name as the requesting node`;
    case "certificatesigningrequests":
      return undefined;
    default:
      return undefined;
  }
}

function podOf({ world }: Writing, namespace: string | undefined, name: string): Stored {
  const pod = world.store.get(kinds.pod, namespace, name);
  if (pod === undefined) throw notFound(kinds.pod, name);
  return pod;
}

function podObjection(
  writing: Writing,
  node: string,
  { operation, before, after }: Admitted,
): string | undefined {
  if (operation === "delete") {
    return before !== undefined && nodeOf(before) === node
      ? undefined
      : `node "${node}" can only delete pods with spec.nodeName set to itself`;
  }
  if (operation !== "create") return `node "${node}" can only create and delete mirror pods`;
  const pod = after as unknown as Stored;
  if (!isMirror(pod)) {
    return `pod does not have "kubernetes.io/config.mirror" annotation, node "${node}" can only create mirror pods`;
  }
  if (nodeOf(pod) !== node) return `node "${node}" can only create pods with spec.nodeName set to itself`;
  const uid = writing.world.store.get(kinds.node, undefined, node)?.metadata.uid;
  return ownerObjection(node, uid, asList(pod.metadata.ownerReferences)) ?? referenceObjection(node, pod);
}

function ownerObjection(node: string, uid: string | undefined, owners: unknown[]): string | undefined {
  const owner = asObject(owners[0]);
  if (owners.length > 1) {
    return `node "${node}" can only create pods with a single owner reference set to itself`;
  }
  if (owner.apiVersion !== "v1" || owner.kind !== "Node" || owner.name !== node) {
    return `node "${node}" can only create pods with an owner reference set to itself`;
  }
  if (owner.controller !== true) {
    return `node "${node}" can only create pods with a controller owner reference set to itself`;
  }
  if (owner.blockOwnerDeletion === true) {
    return `node "${node}" must not set blockOwnerDeletion on an owner reference`;
  }
  return owner.uid === uid
    ? undefined
    : `node ${node} UID mismatch: expected ${asText(owner.uid)} got ${uid}`;
}

function referenceObjection(node: string, pod: Stored): string | undefined {
  const { serviceAccount, secrets, configMaps, claims } = referencesOf(pod);
  const named = serviceAccount !== ""
    ? "a service account"
    : secrets.size > 0
    ? "secrets"
    : configMaps.size > 0
    ? "configmaps"
    : claims.size > 0
    ? "persistentvolumeclaims"
    : undefined;
  return named === undefined ? undefined : `node "${node}" can not create pods that reference ${named}`;
}

function statusObjection(node: string, { before, after }: Admitted): string | undefined {
  if (before === undefined || nodeOf(before) !== node) {
    return `node "${node}" can only update pod status for pods with spec.nodeName set to itself`;
  }
  if (!equal(before.metadata.labels ?? {}, valueAt(after, ["metadata", "labels"]) ?? {})) {
    return `node "${node}" cannot update labels through pod status`;
  }
  return undefined;
}

function nodeObjection(node: string, { operation, name, before, after }: Admitted): string | undefined {
  if (name !== node) return `node "${node}" is not allowed to modify node "${name}"`;
  if (operation === "delete") return undefined;
  const labels = (object: unknown) => asObject(valueAt(object, ["metadata", "labels"]));
  const [old, now] = [labels(before), labels(after)];
  const changed = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((key) =>
    old[key] !== now[key]
  );
  const forbidden = changed.filter(isOthersLabel).sort();
  if (operation === "create") {
    return forbidden.length === 0
      ? undefined
      : `node "${node}" is not allowed to set the following labels: ${forbidden.join(", ")}`;
  }
  if (!equal(before?.spec?.taints ?? [], valueAt(after, ["spec", "taints"]) ?? [])) {
    return `node "${node}" is not allowed to modify taints`;
  }
  return forbidden.length === 0 ? undefined : `is not allowed to modify labels: ${forbidden.join(", ")}`;
}

const within = (domain: string, parent: string) => domain === parent || domain.endsWith(`.${parent}`);
const kubeletLabels = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/arch",
  "kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/instance-type",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
]);

/** In Kubernetes' domains, but not of those that a kubelet may set. */
function isOthersLabel(label: string): boolean {
  const domain = label.includes("/") ? label.slice(0, label.indexOf("/")) : "";
  if (within(domain, "node-restriction.kubernetes.io")) return true;
  if (!within(domain, "kubernetes.io") && !within(domain, "k8s.io")) return false;
  const own = within(domain, "kubelet.kubernetes.io") || within(domain, "node.kubernetes.io");
  return !own && !kubeletLabels.has(label);
}

function tokenObjection(writing: Writing, node: string, { namespace, after }: Admitted): string | undefined {
  const bound = asObject(valueAt(after, ["spec", "boundObjectRef"]));
  if (bound.apiVersion !== "v1" || bound.kind !== "Pod" || asText(bound.name) === "") {
    return "node requested token not bound to a pod";
  }
  if (asText(bound.uid) === "") return "node requested token with a pod binding without a uid";
  const pod = podOf(writing, namespace, asText(bound.name));
  if (pod.metadata.uid !== bound.uid) {
    return `the UID in the bound object reference (${asText(bound.uid)}) does not match the UID in record. ` +
      "The object might have been deleted and then recreated";
  }
  return nodeOf(pod) === node
    ? undefined
    : "node requested token bound to a pod scheduled on a different node";
}
