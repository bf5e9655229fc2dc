/**
 * Rules for what decides over a container's life: its restart policy and rules, how long its hooks may sleep. Source:
 * kubernetes pkg/apis/core/validation. Not for: the form of probes and hooks (validate_container.ts).
 */
import type { Container, PodSpec } from "./gen/v1.ts";
import { type FieldPath, type Report } from "./finding.ts";
import { checkOneOf, elements } from "./rules.ts";

const mostRules = 20;
const mostExitCodes = 255;
const defaultGraceSeconds = 30;

export function validateLife(spec: PodSpec, container: Container, at: FieldPath, report: Report): void {
  checkOneOf(container.restartPolicy, ["Always", "OnFailure", "Never"], [...at, "restartPolicy"], report);
  validateRules(container, at, report);
  const most = spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
  for (const hook of ["postStart", "preStop"] as const) {
    const seconds = container.lifecycle?.[hook]?.sleep?.seconds;
    if (seconds === undefined || (seconds >= 0 && seconds <= most)) continue;
    report(
      [...at, "lifecycle", hook, "sleep", "seconds"],
      `expected 0 to ${most}, the pod's terminationGracePeriodSeconds; got ${seconds}`,
    );
  }
}

function validateRules(container: Container, at: FieldPath, report: Report): void {
  const rules = container.restartPolicyRules ?? [];
  const here = [...at, "restartPolicyRules"];
  if (rules.length > 0 && container.restartPolicy === undefined) {
    report(
      [...at, "restartPolicy"],
      "required beside restartPolicyRules: expected Always, OnFailure or Never",
    );
  }
  if (rules.length > mostRules) report(here, `expected at most ${mostRules} rules, got ${rules.length}`);
  for (const [i, { action, exitCodes }] of elements(rules)) {
    checkOneOf(action, ["Restart", "RestartAllContainers"], [...here, i, "action"], report);
    if (exitCodes === undefined) {
      report([...here, i, "exitCodes"], "required: expected an operator and values");
      continue;
    }
    checkOneOf(exitCodes.operator, ["In", "NotIn"], [...here, i, "exitCodes", "operator"], report);
    const values = exitCodes.values ?? [];
    if (values.length > mostExitCodes) {
      const got = `expected at most ${mostExitCodes} exit codes, got ${values.length}`;
      report([...here, i, "exitCodes", "values"], got);
    }
  }
}

/** One that restarts always is a sidecar; the others run to their end, where probes and hooks mean nothing. */
export function validateInitContainer(container: Container, at: FieldPath, report: Report): void {
  if (container.restartPolicy === "Always") return;
  const sidecarsOnly = [
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
  ] as const;
  for (const field of sidecarsOnly) {
    if (container[field] !== undefined) {
      report([...at, field], "may not stand in an init container unless its restartPolicy is Always");
    }
  }
}
