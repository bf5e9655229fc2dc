/**
 * The Node of this machine as it is registered, and what of an existing one is brought in line. Pure. Not for: its status
 * (node_status.ts).
 *
 * Source: kubernetes pkg/kubelet/kubelet_node_status.go (initialNode, updateDefaultLabels).
 */
import type { Node, NodeStatus, Taint } from "./gen/v1.ts";

export interface NodeIntent {
  name: string;
  /** Those that every node has, and those of the configuration. */
  labels: Readonly<Record<string, string>>;
  taints: readonly Taint[];
  /** "" is none. */
  providerID: string;
  controllerAttaches: boolean;
}

const attachAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach";

const annotationsOf = ({ controllerAttaches }: NodeIntent) =>
  controllerAttaches ? { [attachAnnotation]: "true" } : {};

export function newNode(intent: NodeIntent, status: NodeStatus): Node {
  const { name, labels, taints, providerID } = intent;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { ...labels }, annotations: annotationsOf(intent) },
    spec: {
      ...(providerID !== "" && { providerID }),
      ...(taints.length > 0 && { taints: [...taints] }),
    },
    status,
  };
}

/** Labels that a node itself knows best; all others are whoever's set them last, once it is registered. */
const ownLabels = [
  "kubernetes.io/hostname",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "node.kubernetes.io/instance-type",
  "beta.kubernetes.io/instance-type",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
];

/** A merge patch that brings a Node in line that exists already; `undefined`: it is. */
export function nodePatch(existing: Node, intent: NodeIntent): { metadata: object } | undefined {
  const { labels: has = {}, annotations: noted = {} } = existing.metadata ?? {};
  const labels = Object.entries(intent.labels).filter(([k, v]) => ownLabels.includes(k) && has[k] !== v);
  const wanted = annotationsOf(intent)[attachAnnotation];
  const annotation = noted[attachAnnotation] === wanted ? {} : { [attachAnnotation]: wanted ?? null };
  const metadata = {
    ...(labels.length > 0 && { labels: Object.fromEntries(labels) }),
    ...(Object.keys(annotation).length > 0 && { annotations: annotation }),
  };
  return Object.keys(metadata).length === 0 ? undefined : { metadata };
}

export const ownerOf = (node: Node) => ({
  apiVersion: "v1",
  kind: "Node",
  name: node.metadata?.name ?? "",
  uid: node.metadata?.uid ?? "",
});
