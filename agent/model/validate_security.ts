/**
 * Rules for the security contexts of pods and containers, and for the pod's namespaces. Source: kubernetes
 * pkg/apis/core/validation. Not for: what this node cannot enforce (admission.ts).
 */
import { apparmorAnnotation, apparmorAnnotationProblems } from "./apparmor.ts";
import type { Pod, PodSecurityContext, PodSpec, SecurityContext } from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { checkOneOf, checkPresent, checkRange, checkUnique, elements } from "./rules.ts";
import { sysctlNamespace } from "./sysctls.ts";

const idRange = [0, 2 ** 31 - 1] as const;

/** Of the pod as a whole and of each container in it. */
export function validatePodSecurity(pod: Pod, report: Report): void {
  const spec = pod.spec!;
  if (spec.securityContext !== undefined) {
    validatePodContext(spec.securityContext, spec, ["spec", "securityContext"], report);
  }
  validateNamespaces(spec, report);
  for (const kind of ["initContainers", "containers"] as const) {
    for (const [i, container] of elements(spec[kind])) {
      const at = ["spec", kind, i, "securityContext"];
      if (container.securityContext !== undefined) {
        validateContext(container.securityContext, spec, at, report);
      }
    }
  }
  validateApparmorAnnotations(pod, report);
}

function validatePodContext(context: PodSecurityContext, spec: PodSpec, at: FieldPath, report: Report): void {
  for (const field of ["runAsUser", "runAsGroup", "fsGroup"] as const) {
    checkRange(context[field], idRange, [...at, field], report);
  }
  for (const [i, group] of elements(context.supplementalGroups)) {
    checkRange(group, idRange, [...at, "supplementalGroups", i], report);
  }
  const words = {
    fsGroupChangePolicy: ["OnRootMismatch", "Always"],
    supplementalGroupsPolicy: ["Merge", "Strict"],
    seLinuxChangePolicy: ["MountOption", "Recursive"],
  } as const;
  for (const field of ["fsGroupChangePolicy", "supplementalGroupsPolicy", "seLinuxChangePolicy"] as const) {
    checkOneOf(context[field], words[field], [...at, field], report);
  }
  validateProfiles(context, at, report);
  validateSysctls(context, spec, [...at, "sysctls"], report);
  validateWindows(context, spec, at, report);
}

function validateSysctls(context: PodSecurityContext, spec: PodSpec, at: FieldPath, report: Report): void {
  const names = new Map<string, FieldPath>();
  const taken = { net: spec.hostNetwork === true && "hostNetwork", ipc: spec.hostIPC === true && "hostIPC" };
  for (const [i, { name }] of elements(context.sysctls)) {
    const here = [...at, i, "name"];
    checkPresent(name, here, "the name of a sysctl", report);
    if (!name) continue;
    const good = name.length <= 253 &&
      /^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/.test(name);
    if (!good) report(here, `expected a sysctl like net.ipv4.ip_forward, got ${shown(name)}`);
    checkUnique(name, names, here, "the sysctl", report);
    const namespace = sysctlNamespace(name);
    const field = namespace !== undefined && taken[namespace];
    if (field) report(here, `may not be set with ${field}: it would be the host's`);
  }
}

function validateContext(context: SecurityContext, spec: PodSpec, at: FieldPath, report: Report): void {
  checkRange(context.runAsUser, idRange, [...at, "runAsUser"], report);
  checkRange(context.runAsGroup, idRange, [...at, "runAsGroup"], report);
  checkOneOf(context.procMount, ["", "Default", "Unmasked"], [...at, "procMount"], report);
  if (context.procMount === "Unmasked" && spec.hostUsers !== false) {
    report([...at, "procMount"], "Unmasked is for pods whose hostUsers is false");
  }
  for (const list of ["add", "drop"] as const) {
    for (const [i, capability] of elements(context.capabilities?.[list])) {
      if (/^[A-Za-z_]+$/.test(capability)) continue;
      const here = [...at, "capabilities", list, i];
      report(here, `expected a capability such as NET_ADMIN, or ALL; got ${shown(capability)}`);
    }
  }
  validateProfiles(context, at, report);
  validateWindows(context, spec, at, report);
  if (context.allowPrivilegeEscalation !== false) return;
  const capabilities = context.capabilities?.add ?? [];
  if (context.privileged === true) {
    report([...at, "allowPrivilegeEscalation"], "may not be false in a privileged container");
  } else if (capabilities.some((c) => /^(CAP_)?SYS_ADMIN$/.test(c ?? ""))) {
    report([...at, "allowPrivilegeEscalation"], "may not be false with the capability SYS_ADMIN");
  }
}

/** Without the pod's `os` they are only without effect (coverage.ts). */
function validateWindows(
  context: Pick<SecurityContext, "windowsOptions">,
  spec: PodSpec,
  at: FieldPath,
  report: Report,
): void {
  if (context.windowsOptions === undefined || spec.os?.name !== "linux") return;
  report([...at, "windowsOptions"], "may not stand in a pod whose os is linux");
}

const profileTypes = ["RuntimeDefault", "Unconfined", "Localhost"];

/** Profiles of seccomp and AppArmor have the same form. */
function validateProfiles(
  context: Pick<SecurityContext, "seccompProfile" | "appArmorProfile">,
  at: FieldPath,
  report: Report,
): void {
  for (const field of ["seccompProfile", "appArmorProfile"] as const) {
    const profile = context[field];
    if (profile === undefined) continue;
    checkOneOf(profile.type, profileTypes, [...at, field, "type"], report);
    const here = [...at, field, "localhostProfile"];
    const name = profile.localhostProfile ?? "";
    if ((profile.type === "Localhost") !== (name !== "")) {
      report(here, "expected with type Localhost, and only with it");
    } else if (field === "seccompProfile" && (name.startsWith("/") || name.split("/").includes(".."))) {
      report(here, `expected a path below the node's directory of seccomp profiles, got ${shown(name)}`);
    } else if (field === "appArmorProfile" && (name !== name.trim() || name.length > 4095)) {
      report(here, "expected the name of a profile, at most 4095 characters, without spaces around it");
    }
  }
}

function validateNamespaces(spec: PodSpec, report: Report): void {
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    report(["spec", "shareProcessNamespace"], "stands beside hostPID; expected one of them");
  }
  if (spec.hostUsers !== false) return;
  for (const field of ["hostNetwork", "hostPID", "hostIPC"] as const) {
    if (spec[field] === true) report(["spec", field], "may not stand beside hostUsers: false");
  }
}

function validateApparmorAnnotations(pod: Pod, report: Report): void {
  for (const { key, message } of apparmorAnnotationProblems(pod)) {
    report(["metadata", "annotations", key], message);
  }
  for (const kind of ["initContainers", "containers"] as const) {
    for (const [i, container] of elements(pod.spec?.[kind])) {
      const field = container.securityContext?.appArmorProfile;
      const annotated = apparmorAnnotation(pod, container.name);
      if (field === undefined || annotated === undefined) continue;
      if (field.type === annotated.type && field.localhostProfile === annotated.localhostProfile) continue;
      const at = ["spec", kind, i, "securityContext", "appArmorProfile"];
      report(at, "says something else than the annotation: expected the same, or one of them");
    }
  }
}
