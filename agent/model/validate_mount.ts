/** Rules for volumeMounts. Source: kubernetes pkg/apis/core/validation. Not for: the volumes (validate_volume.ts). */
import type { Container, Volume, VolumeMount } from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { relativePath } from "./names.ts";
import { checkName, checkOneOf, checkUnique, elements } from "./rules.ts";
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

function checkRecursive(mount: VolumeMount, at: FieldPath, report: Report): void {
  const mode = mount.recursiveReadOnly;
  checkOneOf(mode, ["Disabled", "IfPossible", "Enabled"], at, report);
  if (mode !== "IfPossible" && mode !== "Enabled") return;
  if (mount.readOnly !== true) report(at, `${mode} is for mounts with readOnly: true only`);
  if ((mount.mountPropagation ?? "None") !== "None") {
    report(at, `${mode} is for mounts with mountPropagation None only, got ${mount.mountPropagation}`);
  }
}
