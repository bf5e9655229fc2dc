/**
 * Rules for the fields that say on which nodes a pod may run. Source: kubernetes pkg/apis/core/validation. Not for:
 * whether this node is one of them (admission.ts).
 */
import type {
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodSpec,
  Toleration,
} from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { dnsSubdomain, labelValue, qualifiedName } from "./names.ts";
import { classPriority, systemPriorities } from "./priority.ts";
import { checkName, checkOneOf, elements } from "./rules.ts";

export function validateScheduling(spec: PodSpec, report: Report): void {
  const selector = Object.entries(spec.nodeSelector ?? {});
  for (const [key, value] of selector) {
    checkName(key, qualifiedName, ["spec", "nodeSelector", key], report);
    checkName(value, labelValue, ["spec", "nodeSelector", key], report);
  }
  const affinity: FieldPath = ["spec", "affinity", "nodeAffinity"];
  const { requiredDuringSchedulingIgnoredDuringExecution: required } = spec.affinity?.nodeAffinity ?? {};
  if (required !== undefined) {
    validateNodeSelector(required, [...affinity, "requiredDuringSchedulingIgnoredDuringExecution"], report);
  }
  validateTolerations(spec.tolerations, ["spec", "tolerations"], report);
  validatePriority(spec, report);
  checkOneOf(spec.preemptionPolicy, ["PreemptLowerPriority", "Never"], ["spec", "preemptionPolicy"], report);
}

export function validateNodeSelector(selector: NodeSelector, at: FieldPath, report: Report): void {
  const terms = [...at, "nodeSelectorTerms"];
  if ((selector.nodeSelectorTerms ?? []).length === 0) report(terms, "required: expected at least one term");
  for (const [i, term] of elements(selector.nodeSelectorTerms)) validateTerm(term, [...terms, i], report);
}

function validatePriority({ priorityClassName, priority }: PodSpec, report: Report): void {
  if (!priorityClassName) return;
  const at = ["spec", "priorityClassName"];
  checkName(priorityClassName, dnsSubdomain, at, report);
  const known = classPriority(priorityClassName);
  if (known === undefined) {
    const names = Object.keys(systemPriorities).join(" and ");
    const message = `no manifest describes PriorityClasses: known are ${names}; the pod's priority is ${
      priority ?? 0
    }`;
    report(at, message, "warning");
  } else if (priority !== undefined && priority !== known) {
    report(["spec", "priority"], `expected ${known}, the class's, or nothing; got ${priority}`);
  }
}

function validateTerm(term: NodeSelectorTerm, at: FieldPath, report: Report): void {
  for (const [i, requirement] of elements(term.matchExpressions)) {
    const here = [...at, "matchExpressions", i];
    checkName(requirement.key, qualifiedName, [...here, "key"], report);
    validateRequirement(requirement, here, report);
    for (const [j, value] of elements(requirement.values)) {
      if (["In", "NotIn"].includes(requirement.operator)) {
        checkName(value, labelValue, [...here, "values", j], report);
      }
    }
  }
  for (const [i, requirement] of elements(term.matchFields)) {
    const here = [...at, "matchFields", i];
    if (requirement.key !== undefined && requirement.key !== "metadata.name") {
      report([...here, "key"], `expected metadata.name, got ${shown(requirement.key)}`);
    }
    checkOneOf(requirement.operator, ["In", "NotIn"], [...here, "operator"], report);
    if ((requirement.values ?? []).length !== 1) {
      report([...here, "values"], "required: expected exactly one name of a node");
    }
  }
}

const operators = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

function validateRequirement(
  { operator, values = [] }: NodeSelectorRequirement,
  at: FieldPath,
  report: Report,
) {
  checkOneOf(operator, operators, [...at, "operator"], report);
  const here = [...at, "values"];
  if (["In", "NotIn"].includes(operator) && values.length === 0) {
    report(here, `required with operator ${operator}: expected at least one value`);
  }
  if (["Exists", "DoesNotExist"].includes(operator) && values.length > 0) {
    report(here, `may not stand with operator ${operator}`);
  }
  if (["Gt", "Lt"].includes(operator) && (values.length !== 1 || !/^-?\d+$/.test(values[0] ?? ""))) {
    report(here, `required with operator ${operator}: expected one integer`);
  }
}

export function validateTolerations(
  tolerations: readonly Toleration[] | undefined,
  at: FieldPath,
  report: Report,
): void {
  for (const [i, { key, operator, value, effect, tolerationSeconds }] of elements(tolerations)) {
    const here = [...at, i];
    if (key) checkName(key, qualifiedName, [...here, "key"], report);
    else if (operator !== "Exists") {
      report([...here, "operator"], "expected Exists, because there is no key");
    }
    checkOneOf(operator, ["", "Equal", "Exists", "Gt", "Lt"], [...here, "operator"], report);
    if (operator === "Exists" && value) report([...here, "value"], "may not stand with operator Exists");
    const effects = ["", "NoSchedule", "PreferNoSchedule", "NoExecute"];
    checkOneOf(effect, effects, [...here, "effect"], report);
    if (tolerationSeconds !== undefined && effect !== "NoExecute") {
      report([...here, "effect"], "expected NoExecute, because of tolerationSeconds");
    }
  }
}
