/**
 * Which version of the CDI specification a spec needs, against the one it says. Source: specs-go/version.go. Not for:
 * anything else about a spec.
 */
import type { CdiEdits, CdiSpec } from "./cdi_schema.ts";
import type { FieldPath, Report } from "./finding.ts";

const oldest = "0.3.0";
const newest = "1.1.0";
const known = ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

/** A newer one is read as the newest that is known: what is unknown in it is an error anyway. */
export function checkVersion(spec: CdiSpec, report: Report): void {
  const version = spec.cdiVersion.replace(/^v/, "");
  if (/^\d{1,4}\.\d{1,4}\.\d{1,4}$/.test(version) && isBefore(newest, version)) {
    report(["cdiVersion"], `is newer than ${newest}: the spec is read as if it said that`, "warning");
  } else if (!known.includes(version)) {
    report(["cdiVersion"], `expected a version of CDI from ${oldest} to ${newest}`);
    return;
  }
  for (const [needed, path] of needs(spec)) {
    if (isBefore(version, needed)) {
      report(path, `needs cdiVersion ${needed} or later, the spec says ${version}`);
    }
  }
  for (const [path, edits] of editsOf(spec)) {
    for (const key of ["enableCMT", "enableMBM"]) {
      if (!isBefore(version, "1.1.0") && edits.intelRdt?.[key] !== undefined) {
        report([...path, "intelRdt", key], "was dropped in CDI 1.1.0: expected enableMonitoring");
      }
    }
  }
}

function isBefore(a: string, b: string): boolean {
  const [x, y] = [a, b].map((v) => v.split(".").map(Number));
  const i = x!.findIndex((part, i) => part !== y![i]);
  return i >= 0 && x![i]! < y![i]!;
}

function* editsOf(spec: CdiSpec): Generator<[FieldPath, CdiEdits]> {
  yield [["containerEdits"], spec.containerEdits ?? {}];
  for (const [i, device] of spec.devices.entries()) {
    yield [["devices", i, "containerEdits"], device.containerEdits];
  }
}

/** What came with which version. */
function* needs(spec: CdiSpec): Generator<[string, FieldPath]> {
  if (spec.kind.split("/")[1]?.includes(".")) yield ["0.6.0", ["kind"]];
  if (Object.keys(spec.annotations ?? {}).length > 0) yield ["0.6.0", ["annotations"]];
  for (const [i, device] of spec.devices.entries()) {
    if (/^\d/.test(device.name)) yield ["0.5.0", ["devices", i, "name"]];
    if (Object.keys(device.annotations ?? {}).length > 0) yield ["0.6.0", ["devices", i, "annotations"]];
  }
  for (const [at, edits] of editsOf(spec)) {
    for (const [i, mount] of (edits.mounts ?? []).entries()) {
      if ((mount.type ?? "") !== "") yield ["0.4.0", [...at, "mounts", i, "type"]];
    }
    for (const [i, node] of (edits.deviceNodes ?? []).entries()) {
      if ((node.hostPath ?? "") !== "") yield ["0.5.0", [...at, "deviceNodes", i, "hostPath"]];
    }
    if ((edits.additionalGids ?? []).length > 0) yield ["0.7.0", [...at, "additionalGids"]];
    if (edits.intelRdt !== undefined) yield ["0.7.0", [...at, "intelRdt"]];
    for (const key of ["schemata", "enableMonitoring"]) {
      if (edits.intelRdt?.[key]) yield ["1.1.0", [...at, "intelRdt", key]];
    }
    if ((edits.netDevices ?? []).length > 0) yield ["1.1.0", [...at, "netDevices"]];
  }
}
