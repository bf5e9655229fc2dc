/**
 * What of the PodSpec the agent does not carry out yet, as one table: nothing is ignored in silence. `warning`: the pod
 * runs, but the field has no effect. `error`: without it the pod would mean something else, so it does not run. A row
 * goes when its feature comes. Not for: fields that are wrong in any Kubernetes (validate_*.ts).
 */
import type { Pod } from "./gen/v1.ts";
import type { FieldPath, Report } from "./finding.ts";

interface Row {
  severity: "warning" | "error";
  /** Below `spec`; `[]` stands for every element, `*` for every key of a mapping. */
  field: string;
  /** Values that ask for nothing beyond what happens anyway. */
  unless?: readonly unknown[];
  why?: string;
}

const notYet = "is not supported yet";
const scheduling = "concerns a scheduler; this node runs the pod in any case";
const accounts = "has no effect without a control plane: the pod gets no service account token";

const podRows: readonly Row[] = [
  { severity: "warning", field: "affinity.podAffinity", why: scheduling },
  { severity: "warning", field: "affinity.podAntiAffinity", why: scheduling },
  {
    severity: "warning",
    field: "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
    why: scheduling,
  },
  { severity: "warning", field: "nodeName", why: scheduling },
  { severity: "warning", field: "preemptionPolicy", unless: ["PreemptLowerPriority"], why: scheduling },
  { severity: "warning", field: "schedulerName", unless: ["default-scheduler", ""], why: scheduling },
  { severity: "warning", field: "topologySpreadConstraints", why: scheduling },
  { severity: "warning", field: "serviceAccountName", unless: ["default", ""], why: accounts },
  { severity: "warning", field: "serviceAccount", unless: ["default", ""], why: accounts },
  { severity: "warning", field: "automountServiceAccountToken", unless: [false], why: accounts },
  {
    severity: "warning",
    field: "securityContext.seLinuxChangePolicy",
    why: "has no effect: it concerns volumes of CSI drivers",
  },
  { severity: "warning", field: "securityContext.windowsOptions", why: "has no effect on Linux" },
  {
    severity: "error",
    field: "ephemeralContainers",
    why: "may not stand in a manifest: it is for debugging running pods",
  },
  {
    severity: "error",
    field: "schedulingGates",
    why: "would keep the pod from ever running: there is no scheduler",
  },
  { severity: "error", field: "schedulingGroup", why: notYet },
  { severity: "error", field: "resourceClaims", why: notYet },
  { severity: "error", field: "resources.claims", why: notYet },
];

/** Below `spec.containers[]` and `spec.initContainers[]`. */
const containerRows: readonly Row[] = [
  { severity: "warning", field: "securityContext.windowsOptions", why: "has no effect on Linux" },
  { severity: "error", field: "resources.claims", why: notYet },
];

/** Below `spec.volumes[].projected.sources[]`. */
const projectionRows: readonly Row[] = [
  { severity: "error", field: "serviceAccountToken", why: "needs a control plane" },
  { severity: "error", field: "clusterTrustBundle", why: "needs a control plane" },
  { severity: "error", field: "podCertificate", why: "needs a control plane" },
];

const supportedVolumes = [
  "emptyDir",
  "hostPath",
  "configMap",
  "secret",
  "downwardAPI",
  "projected",
  "image",
  "nfs",
  "csi",
  "persistentVolumeClaim",
  "ephemeral",
];
/** Paths of `unless` aside, every field below `root` that stands in `rows` is reported. */
function applyRows(root: unknown, at: FieldPath, rows: readonly Row[], report: Report): void {
  for (const { severity, field, unless = [], why = notYet } of rows) {
    for (const [path, value] of found(root, field.split("."), at)) {
      const name = field.replaceAll("[]", "").split(".").at(-1);
      if (!unless.includes(value)) report(path, `${name} ${why}`, severity);
    }
  }
}

function found(value: unknown, parts: readonly string[], at: FieldPath): [FieldPath, unknown][] {
  if (value === undefined || value === null) return [];
  const [part, ...rest] = parts;
  if (part === undefined) return Array.isArray(value) && value.length === 0 ? [] : [[at, value]];
  if (typeof value !== "object") return [];
  const key = part.replace("[]", "");
  const child = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
  if (!part.endsWith("[]")) return found(child, rest, [...at, key]);
  return Array.isArray(child) ? child.flatMap((item, i) => found(item, rest, [...at, key, i])) : [];
}

/** Reports what of this pod the agent does not carry out. The pod is as its author wrote it, without defaults. */
export function coverageOf(pod: Pod, report: Report): void {
  const spec = pod.spec;
  if (spec === undefined) return;
  applyRows(spec, ["spec"], podRows, report);
  for (const kind of ["containers", "initContainers"] as const) {
    for (const [i, container] of (spec[kind] ?? []).entries()) {
      applyRows(container, ["spec", kind, i], containerRows, report);
    }
  }
  for (const [i, volume] of (spec.volumes ?? []).entries()) {
    const at = ["spec", "volumes", i];
    for (const source of Object.keys(volume ?? {})) {
      if (source === "name" || supportedVolumes.includes(source)) continue;
      const message = `volumes of this kind are not supported yet: expected ${supportedVolumes.join(", ")}`;
      report([...at, source], message, "error");
    }
    for (const [j, source] of (volume?.projected?.sources ?? []).entries()) {
      applyRows(source, [...at, "projected", "sources", j], projectionRows, report);
    }
  }
}
