/**
 * Whether a node is one that a pod asks for: nodeSelector and the required part of nodeAffinity. Pure. Not for: what a
 * pod prefers, which concerns a scheduler.
 *
 * Source: kubernetes component-helpers/scheduling/corev1/nodeaffinity.
 */
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod } from "./gen/v1.ts";

export interface NodeIdentity {
  name: string;
  labels: Readonly<Record<string, string>>;
}

export function matchesNode({ spec }: Pod, node: NodeIdentity): boolean {
  const labels = Object.entries(spec?.nodeSelector ?? {});
  if (!labels.every(([key, value]) => labelOf(node, key) === value)) return false;
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || matchesNodeSelector(required, node);
}

export const matchesNodeSelector = ({ nodeSelectorTerms }: NodeSelector, node: NodeIdentity): boolean =>
  nodeSelectorTerms.some((term) => matchesTerm(term, node));

const labelOf = ({ labels }: NodeIdentity, key: string) =>
  Object.hasOwn(labels, key) ? labels[key] : undefined;

/** Of several terms one must hold, of a term everything; an empty term never does. */
function matchesTerm(
  { matchExpressions = [], matchFields = [] }: NodeSelectorTerm,
  node: NodeIdentity,
): boolean {
  if (matchExpressions.length === 0 && matchFields.length === 0) return false;
  return matchExpressions.every((r) => holds(r, labelOf(node, r.key))) &&
    matchFields.every((r) => holds(r, r.key === "metadata.name" ? node.name : ""));
}

function holds({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
      return isInteger(value) && Number(value) > Number(values[0]);
    case "Lt":
      return isInteger(value) && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

const isInteger = (value: string | undefined) => value !== undefined && /^[-+]?\d+$/.test(value);

/** What every node says of itself; `more` are those of the configuration. `arch` is Go's word for it. */
export const nodeLabels = (
  nodeName: string,
  arch: string,
  more: Readonly<Record<string, string>>,
): Record<string, string> => ({
  "beta.kubernetes.io/arch": arch,
  "beta.kubernetes.io/os": "linux",
  "kubernetes.io/arch": arch,
  "kubernetes.io/hostname": nodeName,
  "kubernetes.io/os": "linux",
  ...more,
});
