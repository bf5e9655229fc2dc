/**
 * Rules for PersistentVolumes and claims, also those that a pod carries as a template. Source: kubernetes
 * pkg/apis/core/validation. Not for: whether they fit each other (claim_match.ts).
 */
import { type FieldPath, type Report, shown } from "./finding.ts";
import type {
  CSIPersistentVolumeSource,
  EphemeralVolumeSource,
  LabelSelector,
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  PersistentVolumeSpec,
  Pod,
} from "./gen/v1.ts";
import { dnsSubdomain, driverName, labelValue, qualifiedName } from "./names.ts";
import { parseQuantity } from "./quantity.ts";
import { checkName, checkOneOf, checkPresent, elements } from "./rules.ts";
import { validateClusterMetadata, validateMetadata } from "./validate_objects.ts";
import { validateNodeSelector } from "./validate_scheduling.ts";
import { checkHostPath, hostPathTypes, validateNfs } from "./validate_volume.ts";

const accessModes = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
const volumeModes = ["Filesystem", "Block"];
const sources = ["csi", "local", "hostPath", "nfs"] as const;
/** Everything else of the spec names a source. */
const plainFields: readonly string[] = [
  "accessModes",
  "capacity",
  "claimRef",
  "mountOptions",
  "nodeAffinity",
  "persistentVolumeReclaimPolicy",
  "storageClassName",
  "volumeAttributesClassName",
  "volumeMode",
];

export function validatePersistentVolume(volume: PersistentVolume, report: Report): void {
  validateClusterMetadata("PersistentVolume", volume.metadata, report);
  const { spec } = volume;
  if (spec === undefined) return report(["spec"], "required: expected accessModes, capacity and a source");
  const at = ["spec"];
  checkAccessModes(spec.accessModes, at, report);
  checkStorage(spec.capacity, [...at, "capacity"], report);
  const others = Object.keys(spec.capacity ?? {}).filter((name) => name !== "storage");
  for (const name of others) report([...at, "capacity", name], "expected storage alone");
  checkOneOf(spec.volumeMode, volumeModes, [...at, "volumeMode"], report);
  if (spec.storageClassName) {
    checkName(spec.storageClassName, dnsSubdomain, [...at, "storageClassName"], report);
  }
  if (spec.nodeAffinity !== undefined) {
    if (spec.nodeAffinity.required === undefined) {
      report([...at, "nodeAffinity", "required"], "required: expected the nodes that reach the volume");
    } else validateNodeSelector(spec.nodeAffinity.required, [...at, "nodeAffinity", "required"], report);
  }
  if (spec.claimRef !== undefined) {
    checkPresent(spec.claimRef.name, [...at, "claimRef", "name"], "the name of a claim", report);
  }
  validateSource(spec, at, report);
  validateReclaim(spec, at, report);
}

function validateReclaim(spec: PersistentVolumeSpec, at: FieldPath, report: Report): void {
  const here = [...at, "persistentVolumeReclaimPolicy"];
  const policy = spec.persistentVolumeReclaimPolicy;
  checkOneOf(policy, ["Retain", "Delete", "Recycle"], here, report);
  if (policy === "Delete" || policy === "Recycle") {
    report(here, `${policy} has no effect: volumes of manifests are kept, as with Retain`, "warning");
  }
  if (spec.volumeAttributesClassName !== undefined) {
    report([...at, "volumeAttributesClassName"], "volumeAttributesClassName is not supported yet", "warning");
  }
}

function validateSource(spec: PersistentVolumeSpec, at: FieldPath, report: Report): void {
  const given = Object.keys(spec).filter((key) => !plainFields.includes(key));
  for (const key of given) {
    if ((sources as readonly string[]).includes(key)) continue;
    report([...at, key], `volumes of this kind are not supported: expected ${sources.join(", ")}`);
  }
  if (given.length !== 1) {
    const got = given.length === 0 ? "none" : given.join(" and ");
    report(at, `expected exactly one of ${sources.join(", ")}; got ${got}`);
  }
  const { csi, local, hostPath, nfs } = spec;
  if (csi !== undefined) validateCsi(csi, [...at, "csi"], report);
  if (nfs !== undefined) validateNfs(nfs, [...at, "nfs"], report);
  if (hostPath !== undefined) {
    checkHostPath(hostPath.path ?? "", [...at, "hostPath", "path"], report);
    checkOneOf(hostPath.type, hostPathTypes, [...at, "hostPath", "type"], report);
    if (hostPath.path === "/" && spec.persistentVolumeReclaimPolicy === "Recycle") {
      report([...at, "persistentVolumeReclaimPolicy"], "may not be Recycle for a hostPath of /");
    }
  }
  if (local !== undefined) {
    checkHostPath(local.path ?? "", [...at, "local", "path"], report);
    if (spec.nodeAffinity === undefined) {
      report([...at, "nodeAffinity"], "required: a local volume must say on which node it is");
    }
    if (local.fsType !== undefined) {
      const why = "fsType has no effect: a local volume is a directory, or a device with volumeMode Block";
      report([...at, "local", "fsType"], why, "warning");
    }
  }
  if (spec.mountOptions !== undefined && csi === undefined) {
    report([...at, "mountOptions"], "mountOptions have an effect on csi volumes only", "warning");
  }
}

const secretRefs = [
  "controllerPublishSecretRef",
  "nodeStageSecretRef",
  "nodePublishSecretRef",
  "controllerExpandSecretRef",
  "nodeExpandSecretRef",
] as const;

function validateCsi(csi: CSIPersistentVolumeSource, at: FieldPath, report: Report): void {
  checkPresent(csi.driver, [...at, "driver"], "the name of a CSI driver", report);
  if (csi.driver) checkName(csi.driver, driverName, [...at, "driver"], report);
  checkPresent(csi.volumeHandle, [...at, "volumeHandle"], "the driver's name for the volume", report);
  for (const field of secretRefs) {
    const secret = csi[field];
    if (secret === undefined) continue;
    checkPresent(secret.name, [...at, field, "name"], "the name of a Secret", report);
    checkPresent(secret.namespace, [...at, field, "namespace"], "the namespace of a Secret", report);
  }
}

export function validatePersistentVolumeClaim(claim: PersistentVolumeClaim, report: Report): void {
  validateMetadata(claim.metadata, report);
  if (claim.spec === undefined) return report(["spec"], "required: expected accessModes and resources");
  validateClaimSpec(claim.spec, ["spec"], report);
}

function validateClaimSpec(spec: PersistentVolumeClaimSpec, at: FieldPath, report: Report): void {
  checkAccessModes(spec.accessModes, at, report);
  checkStorage(spec.resources?.requests, [...at, "resources", "requests"], report);
  const { storage: limit } = spec.resources?.limits ?? {};
  const request = parseQuantity(spec.resources?.requests?.["storage"] ?? "");
  if (limit !== undefined && request !== undefined && (parseQuantity(limit) ?? 0) < request) {
    report([...at, "resources", "limits", "storage"], `expected at least the request, got ${shown(limit)}`);
  }
  checkOneOf(spec.volumeMode, volumeModes, [...at, "volumeMode"], report);
  if (spec.storageClassName) {
    checkName(spec.storageClassName, dnsSubdomain, [...at, "storageClassName"], report);
  }
  if (spec.volumeName) checkName(spec.volumeName, dnsSubdomain, [...at, "volumeName"], report);
  if (spec.selector !== undefined) validateSelector(spec.selector, [...at, "selector"], report);
  for (const field of ["dataSource", "dataSourceRef"] as const) {
    if (spec[field] !== undefined) {
      report([...at, field], `${field} is not supported yet: the volume would be empty`);
    }
  }
  if (spec.volumeAttributesClassName) {
    report([...at, "volumeAttributesClassName"], "volumeAttributesClassName is not supported yet", "warning");
  }
}

function checkAccessModes(modes: readonly string[] | undefined, at: FieldPath, report: Report): void {
  const here = [...at, "accessModes"];
  if ((modes ?? []).length === 0) {
    report(here, `required: expected at least one of ${accessModes.join(", ")}`);
  }
  for (const [i, mode] of elements(modes)) checkOneOf(mode, accessModes, [...here, i], report);
  if ((modes ?? []).length > 1 && modes!.includes("ReadWriteOncePod")) {
    report(here, "ReadWriteOncePod may not stand with other modes");
  }
}

function checkStorage(amounts: Record<string, string> | undefined, at: FieldPath, report: Report): void {
  const here = [...at, "storage"];
  if (amounts?.["storage"] === undefined) return report(here, "required: expected a size such as 1Gi");
  if ((parseQuantity(amounts["storage"]) ?? 1) <= 0) {
    report(here, `expected more than nothing, got ${shown(amounts["storage"])}`);
  }
}

function validateSelector(selector: LabelSelector, at: FieldPath, report: Report): void {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    checkName(key, qualifiedName, [...at, "matchLabels", key], report);
    checkName(value, labelValue, [...at, "matchLabels", key], report);
  }
  for (const [i, { key, operator, values }] of elements(selector.matchExpressions)) {
    const here = [...at, "matchExpressions", i];
    checkName(key, qualifiedName, [...here, "key"], report);
    checkOneOf(operator, ["In", "NotIn", "Exists", "DoesNotExist"], [...here, "operator"], report);
    const takesValues = operator === "In" || operator === "NotIn";
    if (takesValues && (values ?? []).length === 0) {
      report([...here, "values"], `required with operator ${operator}: expected at least one value`);
    }
    if (!takesValues && (values ?? []).length > 0) {
      report([...here, "values"], `may not stand with operator ${operator}`);
    }
  }
}

/** The `persistentVolumeClaim` and `ephemeral` volumes of a pod. */
export function validateClaimVolumes({ metadata, spec }: Pod, report: Report): void {
  for (const [i, volume] of elements(spec?.volumes)) {
    const at: FieldPath = ["spec", "volumes", i];
    if (volume.persistentVolumeClaim !== undefined) {
      const { claimName } = volume.persistentVolumeClaim;
      const here = [...at, "persistentVolumeClaim", "claimName"];
      checkPresent(claimName, here, "the name of a PersistentVolumeClaim", report);
      if (claimName) checkName(claimName, dnsSubdomain, here, report);
    }
    if (volume.ephemeral === undefined) continue;
    validateTemplate(volume.ephemeral, [...at, "ephemeral", "volumeClaimTemplate"], report);
    const name = `${metadata?.name}-${volume.name}`;
    if (dnsSubdomain(name) !== undefined) {
      report(
        [...at, "name"],
        `the claim of this volume would be named ${name}, which is longer than 253 characters`,
      );
    }
  }
}

function validateTemplate(
  { volumeClaimTemplate: template }: EphemeralVolumeSource,
  at: FieldPath,
  report: Report,
) {
  if (template === undefined) return report(at, "required: expected the spec of a PersistentVolumeClaim");
  for (const key of Object.keys(template.metadata ?? {})) {
    if (key === "labels" || key === "annotations") continue;
    report([...at, "metadata", key], "may not stand here: expected labels and annotations alone");
  }
  if (template.spec !== undefined) validateClaimSpec(template.spec, [...at, "spec"], report);
}
