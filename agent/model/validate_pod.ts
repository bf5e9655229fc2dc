/** Rules for a pod. Source: kubernetes pkg/apis/core/validation. Not for: what the agent does not support (coverage.ts). */
import type { Pod, PodSpec } from "./gen/v1.ts";
import { type FieldPath, type Report } from "./finding.ts";
import { type Check, dnsLabel, dnsSubdomain, ipAddress } from "./names.ts";
import { validateNetworks } from "./networks.ts";
import { checkName, checkOneOf, checkPresent, checkRange, checkUnique, elements } from "./rules.ts";
import { validateContainer } from "./validate_container.ts";
import { validateInitContainer, validateLife } from "./validate_life.ts";
import { validateMetadata } from "./validate_objects.ts";
import { validateClaimVolumes } from "./validate_persistent.ts";
import { validatePodResources, validateResizePolicy } from "./validate_resources.ts";
import { validateScheduling } from "./validate_scheduling.ts";
import { validatePodSecurity } from "./validate_security.ts";
import { validateVolumes } from "./validate_volume.ts";

/** The pod is as its author wrote it, without defaults. */
export function validatePod(pod: Pod, report: Report): void {
  validateMetadata(pod.metadata, report);
  const spec = pod.spec;
  if (spec === undefined) return report(["spec"], "required: expected a mapping with containers");
  validateVolumes(spec.volumes, report);
  validateClaimVolumes(pod, report);
  validateContainers(spec, report);
  validatePodResources(pod, report);
  validateHostPorts(spec, report);
  validatePolicies(spec, report);
  validateDns(spec, report);
  validateIdentity(spec, report);
  validateScheduling(spec, report);
  validatePodSecurity(pod, report);
  validateNetworks(pod, report);
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

/** A trailing dot, the root alone, and underscores are fine. */
const searchDomain: Check = (v) =>
  v === "." ? undefined : dnsSubdomain(v.replace(/\.$/, "").replaceAll("_", "a"));

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
  if (searches.join(" ").length > 2048) {
    report([...at, "searches"], "expected at most 2048 characters together, with the spaces between them");
  }
  for (const [i, search] of elements(searches)) {
    checkName(search, searchDomain, [...at, "searches", i], report);
  }
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
  if (spec.hostnameOverride) {
    const at = ["spec", "hostnameOverride"];
    checkName(spec.hostnameOverride, dnsSubdomain, at, report);
    if (spec.hostnameOverride.length > 64) {
      report(at, "expected at most 64 characters, as many as the kernel keeps");
    }
    if (spec.hostNetwork === true) report(at, "may not stand beside hostNetwork");
    if (spec.setHostnameAsFQDN === true) report(at, "may not stand beside setHostnameAsFQDN");
  }
  for (const [i, secret] of elements(spec.imagePullSecrets)) {
    checkPresent(secret.name, ["spec", "imagePullSecrets", i, "name"], "the name of a Secret", report);
  }
}
