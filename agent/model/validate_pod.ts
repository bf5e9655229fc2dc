/** Rules for a pod. Source: kubernetes pkg/apis/core/validation. Not for: what the agent does not support (coverage.ts). */
import type { Pod, PodSecurityContext, PodSpec } from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { dnsLabel, dnsSubdomain, ipAddress } from "./names.ts";
import { checkName, checkOneOf, checkPresent, checkRange, checkUnique, elements } from "./rules.ts";
import { idRange, validateContainer, validateProfile } from "./validate_container.ts";
import { validateInitContainer, validateLife } from "./validate_life.ts";
import { validateMetadata } from "./validate_objects.ts";
import { validatePodResources, validateResizePolicy } from "./validate_resources.ts";
import { validateScheduling } from "./validate_scheduling.ts";
import { validateVolumes } from "./validate_volume.ts";

/** The pod is as its author wrote it, without defaults. */
export function validatePod(pod: Pod, report: Report): void {
  validateMetadata(pod.metadata, report);
  const spec = pod.spec;
  if (spec === undefined) return report(["spec"], "required: expected a mapping with containers");
  validateVolumes(spec.volumes, report);
  validateContainers(spec, report);
  validatePodResources(pod, report);
  validateHostPorts(spec, report);
  validatePolicies(spec, report);
  validateDns(spec, report);
  validateIdentity(spec, report);
  validateScheduling(spec, report);
  if (spec.securityContext !== undefined) {
    validateSecurity(spec.securityContext, ["spec", "securityContext"], report);
  }
}

function validateContainers(spec: PodSpec, report: Report): void {
  if (Array.isArray(spec.containers) && spec.containers.length === 0) {
    report(["spec", "containers"], "expected at least one container");
  }
  const names = new Map<string, FieldPath>();
  for (const kind of ["initContainers", "containers"] as const) {
    for (const [i, container] of elements(spec[kind])) {
      const at = ["spec", kind, i];
      validateContainer(container, at, spec.volumes ?? [], report);
      validateResizePolicy(container, at, spec.restartPolicy, report);
      checkUnique(container.name, names, [...at, "name"], "the container name", report);
      validateLife(spec, container, at, report);
      if (kind === "initContainers") validateInitContainer(container, at, report);
    }
  }
}

function validateHostPorts(spec: PodSpec, report: Report): void {
  const taken = new Map<string, FieldPath>();
  for (const kind of ["initContainers", "containers"] as const) {
    for (const [i, container] of elements(spec[kind])) {
      for (const [j, port] of elements(container.ports)) {
        const at = ["spec", kind, i, "ports", j, "hostPort"];
        const host = port.hostPort || (spec.hostNetwork === true ? port.containerPort : undefined);
        if (host === undefined) continue;
        if (spec.hostNetwork === true && host !== port.containerPort) {
          report(
            at,
            `expected ${port.containerPort}, the containerPort, because of hostNetwork; got ${host}`,
          );
        }
        if (kind === "initContainers") continue;
        checkUnique(
          `${host}/${port.protocol || "TCP"} ${port.hostIP ?? ""}`.trim(),
          taken,
          at,
          "the host port",
          report,
        );
      }
    }
  }
}

function validatePolicies(spec: PodSpec, report: Report): void {
  checkOneOf(spec.restartPolicy, ["Always", "OnFailure", "Never"], ["spec", "restartPolicy"], report);
  checkRange(
    spec.terminationGracePeriodSeconds,
    [0, Infinity],
    ["spec", "terminationGracePeriodSeconds"],
    report,
  );
  checkRange(spec.activeDeadlineSeconds, [1, 2 ** 31 - 1], ["spec", "activeDeadlineSeconds"], report);
  checkOneOf(spec.os?.name, ["linux", "windows"], ["spec", "os", "name"], report);
}

function validateDns(spec: PodSpec, report: Report): void {
  const policies = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
  checkOneOf(spec.dnsPolicy, policies, ["spec", "dnsPolicy"], report);
  const at: FieldPath = ["spec", "dnsConfig"];
  const nameservers = spec.dnsConfig?.nameservers ?? [];
  if (spec.dnsPolicy === "None" && nameservers.length === 0) {
    report([...at, "nameservers"], "required with dnsPolicy None: expected at least one IP address");
  }
  if (nameservers.length > 3) report([...at, "nameservers"], `expected at most 3, got ${nameservers.length}`);
  for (const [i, server] of elements(nameservers)) {
    checkName(server, ipAddress, [...at, "nameservers", i], report);
  }
  const searches = spec.dnsConfig?.searches ?? [];
  if (searches.length > 32) report([...at, "searches"], `expected at most 32, got ${searches.length}`);
  for (const [i, option] of elements(spec.dnsConfig?.options)) {
    checkPresent(option.name, [...at, "options", i, "name"], "the name of an option", report);
  }
  for (const [i, alias] of elements(spec.hostAliases)) {
    checkName(alias.ip, ipAddress, ["spec", "hostAliases", i, "ip"], report);
    for (const [j, name] of elements(alias.hostnames)) {
      checkName(name, dnsSubdomain, ["spec", "hostAliases", i, "hostnames", j], report);
    }
  }
}

function validateIdentity(spec: PodSpec, report: Report): void {
  if (spec.hostname) checkName(spec.hostname, dnsLabel, ["spec", "hostname"], report);
  if (spec.runtimeClassName) {
    checkName(spec.runtimeClassName, dnsSubdomain, ["spec", "runtimeClassName"], report);
  }
  if (spec.subdomain) checkName(spec.subdomain, dnsLabel, ["spec", "subdomain"], report);
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    report(["spec", "shareProcessNamespace"], "stands beside hostPID; expected one of them");
  }
  for (const [i, secret] of elements(spec.imagePullSecrets)) {
    checkPresent(secret.name, ["spec", "imagePullSecrets", i, "name"], "the name of a Secret", report);
  }
}

function validateSecurity(context: PodSecurityContext, at: FieldPath, report: Report): void {
  for (const field of ["runAsUser", "runAsGroup", "fsGroup"] as const) {
    checkRange(context[field], idRange, [...at, field], report);
  }
  for (const [i, group] of elements(context.supplementalGroups)) {
    checkRange(group, idRange, [...at, "supplementalGroups", i], report);
  }
  checkOneOf(
    context.fsGroupChangePolicy,
    ["OnRootMismatch", "Always"],
    [...at, "fsGroupChangePolicy"],
    report,
  );
  checkOneOf(
    context.supplementalGroupsPolicy,
    ["Merge", "Strict"],
    [...at, "supplementalGroupsPolicy"],
    report,
  );
  validateProfile(context.seccompProfile, [...at, "seccompProfile"], report);
  validateProfile(context.appArmorProfile, [...at, "appArmorProfile"], report);
  const names = new Map<string, FieldPath>();
  for (const [i, sysctl] of elements(context.sysctls)) {
    const here = [...at, "sysctls", i, "name"];
    if (
      sysctl.name !== undefined &&
      !/^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/.test(sysctl.name)
    ) {
      report(here, `expected a sysctl like net.ipv4.ip_forward, got ${shown(sysctl.name)}`);
    }
    checkUnique(sysctl.name, names, here, "the sysctl", report);
  }
}
