/** Rules for volumes. Source: kubernetes pkg/apis/core/validation. Not for: volumes that are not supported (coverage.ts). */
import type {
  CSIVolumeSource,
  DownwardAPIVolumeFile,
  DownwardAPIVolumeSource,
  KeyToPath,
  NFSVolumeSource,
  ProjectedVolumeSource,
  Volume,
} from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { hugePageSize } from "./huge_pages.ts";
import { validateFieldRef, validateResourceFieldRef } from "./validate_env.ts";
import { dnsLabel, dnsSubdomain, driverName, fileInVolume, objectKey } from "./names.ts";
import {
  checkExactlyOne,
  checkImage,
  checkName,
  checkOneOf,
  checkPresent,
  checkRange,
  checkUnique,
  elements,
  pullPolicies,
} from "./rules.ts";
import { parseQuantity } from "./quantity.ts";

export const hostPathTypes = [
  "",
  "DirectoryOrCreate",
  "Directory",
  "FileOrCreate",
  "File",
  "Socket",
  "CharDevice",
  "BlockDevice",
];
const modes = [0, 0o777] as const;

export function validateVolumes(volumes: readonly Volume[] | undefined, report: Report): void {
  const names = new Map<string, FieldPath>();
  for (const [i, volume] of elements(volumes)) {
    const at: FieldPath = ["spec", "volumes", i];
    checkName(volume.name, dnsLabel, [...at, "name"], report);
    checkUnique(volume.name, names, [...at, "name"], "the volume name", report);
    const sources = Object.keys(volume).filter((key) => key !== "name");
    if (sources.length > 1) report(at, `expected exactly one kind of volume; got ${sources.join(" and ")}`);
    validateSource(volume, at, report);
  }
}

function validateSource(volume: Volume, at: FieldPath, report: Report): void {
  const { emptyDir, hostPath, configMap, secret, downwardAPI, projected, image, nfs, csi } = volume;
  if (emptyDir !== undefined) {
    const sized = emptyDir.medium !== undefined && hugePageSize(emptyDir.medium) !== undefined;
    const medium = sized ? "HugePages" : emptyDir.medium;
    checkOneOf(medium, ["", "Memory", "HugePages", "HugePages-2Mi"], [...at, "emptyDir", "medium"], report);
    if ((parseQuantity(emptyDir.sizeLimit ?? "0") ?? 0) < 0) {
      report([...at, "emptyDir", "sizeLimit"], `expected a size, got ${emptyDir.sizeLimit}`);
    }
  }
  if (hostPath !== undefined) {
    checkOneOf(hostPath.type, hostPathTypes, [...at, "hostPath", "type"], report);
    checkHostPath(hostPath.path, [...at, "hostPath", "path"], report);
  }
  if (configMap !== undefined) {
    checkPresent(configMap.name, [...at, "configMap", "name"], "the name of a ConfigMap", report);
    if (configMap.name) checkName(configMap.name, dnsSubdomain, [...at, "configMap", "name"], report);
    validateItems(configMap, [...at, "configMap"], report);
  }
  if (secret !== undefined) {
    checkPresent(secret.secretName, [...at, "secret", "secretName"], "the name of a Secret", report);
    if (secret.secretName) {
      checkName(secret.secretName, dnsSubdomain, [...at, "secret", "secretName"], report);
    }
    validateItems(secret, [...at, "secret"], report);
  }
  if (downwardAPI !== undefined) validateDownward(downwardAPI, [...at, "downwardAPI"], report);
  if (projected !== undefined) validateProjected(projected, [...at, "projected"], report);
  if (nfs !== undefined) validateNfs(nfs, [...at, "nfs"], report);
  if (csi !== undefined) validateCsi(csi, [...at, "csi"], report);
  if (image !== undefined) {
    checkImage(image.reference, [...at, "image", "reference"], report);
    checkOneOf(image.pullPolicy, pullPolicies, [...at, "image", "pullPolicy"], report);
  }
}

function validateCsi(
  { driver, nodePublishSecretRef }: CSIVolumeSource,
  at: FieldPath,
  report: Report,
): void {
  checkPresent(driver, [...at, "driver"], "the name of a CSI driver", report);
  if (driver) checkName(driver, driverName, [...at, "driver"], report);
  if (nodePublishSecretRef === undefined) return;
  const name = [...at, "nodePublishSecretRef", "name"];
  checkPresent(nodePublishSecretRef.name, name, "the name of a Secret", report);
  if (nodePublishSecretRef.name) checkName(nodePublishSecretRef.name, dnsSubdomain, name, report);
}

export function validateNfs(nfs: NFSVolumeSource, at: FieldPath, report: Report): void {
  checkPresent(nfs.server, [...at, "server"], "the name or address of an NFS server", report);
  if (nfs.server && /[\s,]/.test(nfs.server)) {
    report([...at, "server"], `expected a name or an address, got ${shown(nfs.server)}`);
  }
  if (nfs.path !== undefined && !nfs.path.startsWith("/")) {
    report([...at, "path"], `expected an absolute path, got ${shown(nfs.path)}`);
  }
}

const projections = [
  "secret",
  "configMap",
  "downwardAPI",
  "serviceAccountToken",
  "clusterTrustBundle",
  "podCertificate",
];

function validateProjected(projected: ProjectedVolumeSource, at: FieldPath, report: Report): void {
  checkRange(projected.defaultMode, modes, [...at, "defaultMode"], report);
  for (const [i, source] of elements(projected.sources)) {
    const here = [...at, "sources", i];
    checkExactlyOne(source, projections, here, report);
    for (const kind of ["configMap", "secret"] as const) {
      const object = source[kind];
      if (object === undefined) continue;
      checkPresent(object.name, [...here, kind, "name"], `the name of a ${kind}`, report);
      validateItems(object, [...here, kind], report);
    }
    if (source.downwardAPI !== undefined) {
      validateDownward(source.downwardAPI, [...here, "downwardAPI"], report);
    }
  }
}

function validateDownward(source: DownwardAPIVolumeSource, at: FieldPath, report: Report): void {
  checkRange(source.defaultMode, modes, [...at, "defaultMode"], report);
  for (const [i, file] of elements(source.items)) validateDownwardFile(file, [...at, "items", i], report);
}

export function checkHostPath(path: string | undefined, at: FieldPath, report: Report): void {
  if (path === undefined) return;
  if (path === "" || path.split("/").includes("..")) report(at, "expected an absolute path without '..'");
  else if (!path.startsWith("/")) report(at, `expected an absolute path, got "${path}"`);
}

function validateItems(
  source: { defaultMode?: number; items?: KeyToPath[] },
  at: FieldPath,
  report: Report,
): void {
  checkRange(source.defaultMode, modes, [...at, "defaultMode"], report);
  const paths = new Map<string, FieldPath>();
  for (const [i, item] of elements(source.items)) {
    const here = [...at, "items", i];
    checkName(item.key, objectKey, [...here, "key"], report);
    checkName(item.path, fileInVolume, [...here, "path"], report);
    checkUnique(item.path, paths, [...here, "path"], "the path", report);
    checkRange(item.mode, modes, [...here, "mode"], report);
  }
}

function validateDownwardFile(file: DownwardAPIVolumeFile, at: FieldPath, report: Report): void {
  checkName(file.path, fileInVolume, [...at, "path"], report);
  checkRange(file.mode, modes, [...at, "mode"], report);
  checkExactlyOne(file, ["fieldRef", "resourceFieldRef"], at, report);
  if (file.fieldRef !== undefined) validateFieldRef(file.fieldRef, [...at, "fieldRef"], "volume", report);
  if (file.resourceFieldRef !== undefined) {
    checkPresent(
      file.resourceFieldRef.containerName,
      [...at, "resourceFieldRef", "containerName"],
      "a container",
      report,
    );
    validateResourceFieldRef(file.resourceFieldRef, [...at, "resourceFieldRef"], report);
  }
}
