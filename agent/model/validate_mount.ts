/** Rules for volumeMounts. Source: kubernetes pkg/apis/core/validation. Not for: the volumes (validate_volume.ts). */
import type { Container, Volume, VolumeMount } from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { relativePath } from "./names.ts";
import { checkName, checkOneOf, checkPresent, checkUnique, elements } from "./rules.ts";
import { didYouMean } from "./suggest.ts";

export function validateMounts(
  container: Container,
  at: FieldPath,
  volumes: readonly Volume[],
  report: Report,
): void {
  const names = volumes.map((v) => v?.name).filter((name) => name !== undefined);
  const paths = new Map<string, FieldPath>();
  for (const [i, mount] of elements(container.volumeMounts)) {
    const here = [...at, "volumeMounts", i];
    if (mount.name !== undefined && !names.includes(mount.name)) {
      const known = names.length === 0 ? "spec.volumes is empty" : `expected one of ${names.join(", ")}`;
      report(
        [...here, "name"],
        `there is no volume ${shown(mount.name)}: ${known}${didYouMean(mount.name, names)}`,
      );
    }
    if (mount.mountPath === "") report([...here, "mountPath"], "required: expected an absolute path");
    checkUnique(
      mount.mountPath?.replace(/(.)\/+$/, "$1"),
      paths,
      [...here, "mountPath"],
      "the mount path",
      report,
    );
    if (mount.subPath) checkName(mount.subPath, relativePath, [...here, "subPath"], report);
    if (mount.subPathExpr) checkName(mount.subPathExpr, relativePath, [...here, "subPathExpr"], report);
    if (mount.subPath && mount.subPathExpr) {
      report([...here, "subPathExpr"], "stands beside subPath; expected one of them");
    }
    const propagations = ["None", "HostToContainer", "Bidirectional"];
    checkOneOf(mount.mountPropagation, propagations, [...here, "mountPropagation"], report);
    if (mount.mountPropagation === "Bidirectional" && container.securityContext?.privileged !== true) {
      report([...here, "mountPropagation"], "Bidirectional is for privileged containers only");
    }
    checkRecursive(mount, [...here, "recursiveReadOnly"], report);
  }
}

/** Block devices of claims. Must not meet the mounts by name or path. */
export function validateDevices(
  { volumeDevices, volumeMounts }: Container,
  at: FieldPath,
  volumes: readonly Volume[],
  report: Report,
): void {
  const mounted = new Set(elements(volumeMounts).map(([, m]) => m.name));
  const names = new Map<string, FieldPath>();
  const paths = new Map<string, FieldPath>();
  for (const [i, { name, devicePath }] of elements(volumeDevices)) {
    const here = [...at, "volumeDevices", i];
    const volume = volumes.find((v) => v?.name === name);
    checkPresent(name, [...here, "name"], "the name of a volume", report);
    if (name && volume === undefined) report([...here, "name"], `there is no volume ${shown(name)}`);
    if (
      volume !== undefined && volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined
    ) {
      report(
        [...here, "name"],
        "expected a volume of kind persistentVolumeClaim or ephemeral: others are no devices",
      );
    }
    if (mounted.has(name)) report([...here, "name"], `${shown(name)} is among the volumeMounts, too`);
    checkUnique(name, names, [...here, "name"], "the volume", report);
    checkPresent(devicePath, [...here, "devicePath"], "an absolute path", report);
    if (devicePath?.split("/").includes("..")) {
      report([...here, "devicePath"], "expected a path without '..'");
    }
    if (elements(volumeMounts).some(([, m]) => m.mountPath === devicePath)) {
      report([...here, "devicePath"], `${shown(devicePath)} is among the paths of the volumeMounts, too`);
    }
    checkUnique(devicePath, paths, [...here, "devicePath"], "the device path", report);
  }
}

function checkRecursive(mount: VolumeMount, at: FieldPath, report: Report): void {
  const mode = mount.recursiveReadOnly;
  checkOneOf(mode, ["Disabled", "IfPossible", "Enabled"], at, report);
  if (mode !== "IfPossible" && mode !== "Enabled") return;
  if (mount.readOnly !== true) report(at, `${mode} is for mounts with readOnly: true only`);
  if ((mount.mountPropagation ?? "None") !== "None") {
    report(at, `${mode} is for mounts with mountPropagation None only, got ${mount.mountPropagation}`);
  }
}
