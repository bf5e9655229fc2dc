/**
 * What an ephemeral container may say when it is added to a running pod: a container's rules, less what only one that
 * the pod began with may have. Source: kubernetes pkg/apis/core/validation (validateEphemeralContainers). Not for:
 * manifests, where none may stand.
 */
import type { Container, EphemeralContainer, Pod } from "./gen/v1.ts";
import { coverageOf } from "./coverage.ts";
import { decode, newBudget } from "./decode.ts";
import { defaultContainer } from "./defaults.ts";
import { asContainer } from "./ephemeral.ts";
import { type FieldPath, fieldText, type Report } from "./finding.ts";
import { validateContainer } from "./validate_container.ts";

const forbidden = [
  "ports",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "lifecycle",
  "resources",
  "resizePolicy",
  "restartPolicy",
  "restartPolicyRules",
] as const;

/** With defaults, or what is wrong with it, field by field. `value` is parsed JSON. */
export function parseEphemeral(
  value: unknown,
  pod: Pod,
): { container: EphemeralContainer } | { problems: string[] } {
  const decoded = decode("EphemeralContainer", value, newBudget());
  const problems = decoded.findings.filter((f) => f.severity === "error")
    .map((f) => `${fieldText(f.path)}: ${f.message}`);
  const container = decoded.value as EphemeralContainer | undefined;
  if (container === undefined) problems.push("expected a v1 EphemeralContainer");
  if (container === undefined || problems.length > 0) return { problems };
  const report: Report = (path, message, severity = "error") => {
    if (severity === "error") problems.push(`${fieldText(path)}: ${message}`);
  };
  validateEphemeral(container, pod, report);
  if (problems.length > 0) return { problems };
  const { targetContainerName } = container;
  const whole = defaultContainer(asContainer(container), { hostNetwork: false });
  const { resources: _, ...rest } = whole;
  return {
    container: { ...rest, ...(targetContainerName ? { targetContainerName } : {}) } as EphemeralContainer,
  };
}

function validateEphemeral(container: EphemeralContainer, pod: Pod, report: Report): void {
  const spec = pod.spec!;
  const own = asContainer(container);
  for (const field of forbidden) {
    if (container[field] !== undefined) report([field], "may not stand in an ephemeral container");
  }
  validateContainer(own, [], spec.volumes ?? [], report);
  for (const [i, mount] of (container.volumeMounts ?? []).entries()) {
    for (const field of ["subPath", "subPathExpr"] as const) {
      if (mount[field]) report(["volumeMounts", i, field], "may not stand in an ephemeral container");
    }
  }
  const others = [...spec.initContainers ?? [], ...spec.containers].map((c) => c.name);
  const taken = [...others, ...(spec.ephemeralContainers ?? []).map((c) => c.name)];
  if (taken.includes(container.name)) report(["name"], `the pod has a container ${container.name} already`);
  const target = container.targetContainerName;
  if (target && !others.includes(target)) {
    report(["targetContainerName"], `expected one of ${others.join(", ")}, got "${target}"`);
  }
  // Judged as the only container of a pod, by which path it would have there.
  const alone = (path: FieldPath) => path.slice(["spec", "containers", 0].length);
  const inPod: Pod = { spec: { containers: [own as Container] } };
  coverageOf(inPod, (path, message, severity) => report(alone(path), message, severity));
}
