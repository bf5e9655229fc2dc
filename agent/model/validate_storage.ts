/**
 * Rules for StorageClasses and CSIDrivers. Source: kubernetes pkg/apis/storage/validation; for the reserved parameters
 * kubernetes-csi external-provisioner. Not for: volumes and claims (validate_persistent.ts).
 */
import { reservedPrefix, secretParameters } from "./storage_class.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import type { CSIDriver, StorageClass, TopologySelectorTerm } from "./gen/v1.ts";
import { driverName, labelValue, qualifiedName } from "./names.ts";
import { checkName, checkOneOf, checkPresent, checkRange, checkUnique, elements } from "./rules.ts";
import { validateClusterMetadata } from "./validate_objects.ts";

const parametersLimit = 256 * 1024;
const parameterCountLimit = 512;

export function validateStorageClass(storageClass: StorageClass, report: Report): void {
  const { metadata, provisioner, reclaimPolicy, volumeBindingMode, allowedTopologies } = storageClass;
  validateClusterMetadata("StorageClass", metadata, report);
  checkPresent(provisioner, ["provisioner"], "the name of a provisioner, such as a CSI driver's", report);
  if (provisioner) checkName(provisioner.toLowerCase(), qualifiedName, ["provisioner"], report);
  checkOneOf(reclaimPolicy, ["Delete", "Retain"], ["reclaimPolicy"], report);
  checkOneOf(volumeBindingMode, ["Immediate", "WaitForFirstConsumer"], ["volumeBindingMode"], report);
  validateParameters(storageClass, report);
  for (const [i, term] of elements(allowedTopologies)) {
    validateTopology(term, ["allowedTopologies", i], report);
  }
}

function validateParameters({ parameters = {} }: StorageClass, report: Report): void {
  const entries = Object.entries(parameters);
  if (entries.length > parameterCountLimit) {
    report(["parameters"], `expected at most ${parameterCountLimit}, got ${entries.length}`);
  }
  const size = entries.reduce((sum, [key, value]) => sum + key.length + (value ?? "").length, 0);
  if (size > parametersLimit) report(["parameters"], "expected at most 256 KiB in all");
  const names: readonly string[] = [...secretParameters.flatMap((p) => [p.name, p.namespace]), "fstype"];
  for (const key of Object.keys(parameters)) {
    if (key === "") report(["parameters"], "expected keys that are not empty");
    if (key.startsWith(reservedPrefix)) {
      checkOneOf(key, names.map((name) => reservedPrefix + name), ["parameters", key], report);
    }
  }
  for (const { name, namespace } of secretParameters) {
    for (const [one, other] of [[name, namespace], [namespace, name]] as const) {
      const at = ["parameters", reservedPrefix + one];
      if (parameters[reservedPrefix + one] === undefined) continue;
      if (parameters[reservedPrefix + other] === undefined) {
        report(at, `needs ${reservedPrefix}${other} beside it`);
      }
    }
  }
}

function validateTopology(term: TopologySelectorTerm, at: FieldPath, report: Report): void {
  const keys = new Map<string, FieldPath>();
  for (const [i, { key, values }] of elements(term.matchLabelExpressions)) {
    const here = [...at, "matchLabelExpressions", i];
    checkName(key, qualifiedName, [...here, "key"], report);
    checkUnique(key, keys, [...here, "key"], "the key", report);
    if ((values ?? []).length === 0) report([...here, "values"], "required: expected at least one value");
    for (const [j, value] of elements(values)) checkName(value, labelValue, [...here, "values", j], report);
  }
}

const fsGroupPolicies = ["ReadWriteOnceWithFSType", "File", "None"];
const needsScheduler = "has no effect: it concerns a scheduler";

export function validateCSIDriver(driver: CSIDriver, report: Report): void {
  validateClusterMetadata("CSIDriver", driver.metadata, report);
  if (driver.metadata?.name) checkName(driver.metadata.name, driverName, ["metadata", "name"], report);
  const { spec } = driver;
  if (spec === undefined) return;
  checkOneOf(spec.fsGroupPolicy, fsGroupPolicies, ["spec", "fsGroupPolicy"], report);
  for (const [i, mode] of elements(spec.volumeLifecycleModes)) {
    checkOneOf(mode, ["Persistent", "Ephemeral"], ["spec", "volumeLifecycleModes", i], report);
  }
  const audiences = new Map<string, FieldPath>();
  for (const [i, { audience, expirationSeconds }] of elements(spec.tokenRequests)) {
    const at = ["spec", "tokenRequests", i];
    checkUnique(audience ?? "", audiences, [...at, "audience"], "the audience", report);
    checkRange(expirationSeconds, [600, 2 ** 32], [...at, "expirationSeconds"], report);
  }
  if (spec.serviceAccountTokenInSecrets !== undefined && (spec.tokenRequests ?? []).length === 0) {
    report(["spec", "serviceAccountTokenInSecrets"], "needs tokenRequests beside it");
  }
  checkRange(
    spec.nodeAllocatableUpdatePeriodSeconds,
    [10, Infinity],
    ["spec", "nodeAllocatableUpdatePeriodSeconds"],
    report,
  );
  for (
    const field of [
      "storageCapacity",
      "preventPodSchedulingIfMissing",
      "nodeAllocatableUpdatePeriodSeconds",
    ] as const
  ) {
    if (spec[field]) {
      report(["spec", field], `${field} ${needsScheduler}, got ${shown(spec[field])}`, "warning");
    }
  }
}
