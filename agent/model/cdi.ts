/**
 * A CDI spec file's text becomes a spec, or problems that name the field. Source: the Container Device Interface's
 * SPEC.md. Not for: reading files, which spec wins (cdi_registry.ts), what becomes of the edits (cdi_edits.ts).
 */
import { type CdiEdits, cdiSchema, type CdiSpec } from "./cdi_schema.ts";
import { checkVersion } from "./cdi_version.ts";
import { decode, newBudget } from "./decode.ts";
import { type FieldPath, fieldText, type Finding, type PlacedProblem, type Report } from "./finding.ts";
import { qualifiedName } from "./names.ts";
import { parseDocument } from "./parse_yaml.ts";
import { isEmptyDocument, splitDocuments } from "./yaml.ts";

export interface ParsedCdiSpec {
  /** Absent where a problem is an error. */
  spec?: CdiSpec;
  problems: PlacedProblem[];
  /** Which document of the file it is. */
  document: number;
}

/** Largest spec file, in bytes. */
export const cdiSizeLimit = 4 * 1024 * 1024;

/** A fully qualified device name in its parts; `undefined` where it is none. */
export function parseCdiName(text: string): { kind: string; name: string } | undefined {
  const [, kind = "", name = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  return kindProblem(kind) === undefined && deviceName.test(name) ? { kind, name } : undefined;
}

const kindPart = "[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?";
const kindName = new RegExp(`^${kindPart}/${kindPart}$`);
const deviceName = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$/;

const kindProblem = (kind: string): string | undefined =>
  kindName.test(kind)
    ? undefined
    : "expected VENDOR/CLASS such as vendor.com/device, each beginning with a letter, " +
      "then letters, digits, '_', '-' and '.', a letter or digit at the end";

/** Never throws. */
export function parseCdiSpec(file: string, text: string): ParsedCdiSpec {
  const problem = (message: string, at = {}): ParsedCdiSpec => ({
    problems: [{ severity: "error", file, message, ...at }],
    document: 0,
  });
  const documents = splitDocuments(text.replace(/^\ufeff/, ""));
  const full = [...documents.entries()].filter(([, d]) => !isEmptyDocument(d.text));
  const [only, another] = full;
  if (only === undefined) return problem("empty: expected a CDI spec");
  if (another !== undefined) {
    return problem("expected one CDI spec, found several documents", { line: another[1].startLine + 1 });
  }
  const [index, document] = only;
  const read = parseDocument(document);
  if ("message" in read) return problem(read.message, read);
  const { spec, findings } = readSpec(read.value);
  const problems = findings.map((finding) => placed(file, index, finding));
  return findings.some((f) => f.severity === "error")
    ? { problems, document: index }
    : { spec: spec!, problems, document: index };
}

/** A finding as a problem of the file. */
export function placed(
  file: string,
  document: number,
  { severity, path, message, atKey }: Finding,
): PlacedProblem {
  const field = fieldText(path);
  return {
    severity,
    file,
    ...(field !== "" && { field }),
    message,
    place: { document, path, atKey: atKey ?? false },
  };
}

function readSpec(value: unknown): { spec: CdiSpec | undefined; findings: Finding[] } {
  const { value: decoded, findings } = decode("Spec", value ?? {}, newBudget(), cdiSchema);
  // Of a spec with holes nothing more can be said.
  if (findings.length > 0) return { spec: undefined, findings };
  const spec = decoded as CdiSpec;
  checkSpec(spec, (path, message, severity = "error") => findings.push({ severity, path, message }));
  return { spec, findings };
}

function checkSpec(spec: CdiSpec, report: Report): void {
  const kind = kindProblem(spec.kind);
  if (kind !== undefined) report(["kind"], kind);
  checkVersion(spec, report);
  checkAnnotations(spec.annotations, ["annotations"], report);
  checkEdits(spec.containerEdits ?? {}, ["containerEdits"], report);
  if (spec.devices.length === 0) report(["devices"], "expected at least one device");
  const names = new Set<string>();
  for (const [i, device] of spec.devices.entries()) {
    const at = ["devices", i];
    if (!deviceName.test(device.name)) {
      const expected = "expected letters, digits, '_', '-', '.' and ':', a letter or digit at both ends";
      report([...at, "name"], expected);
    } else if (names.has(device.name)) report([...at, "name"], `stands twice: ${device.name}`);
    names.add(device.name);
    checkAnnotations(device.annotations, [...at, "annotations"], report);
    if (Object.values(device.containerEdits).every(isEmpty)) {
      report([...at, "containerEdits"], "empty: expected what the device changes in a container");
    }
    checkEdits(device.containerEdits, [...at, "containerEdits"], report);
  }
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

function checkAnnotations(
  annotations: Record<string, string> | undefined,
  at: FieldPath,
  report: Report,
): void {
  for (const key of Object.keys(annotations ?? {})) {
    const expected = qualifiedName(key);
    if (expected !== undefined) report([...at, key], `expected ${expected}`);
  }
}

const hookNames = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

function checkEdits(edits: CdiEdits, at: FieldPath, report: Report): void {
  checkEnv(edits.env, [...at, "env"], report);
  checkNodes(edits, [...at, "deviceNodes"], report);
  for (const [i, mount] of (edits.mounts ?? []).entries()) {
    for (const key of ["hostPath", "containerPath"] as const) {
      checkPath(mount[key], [...at, "mounts", i, key], report);
    }
  }
  for (const [i, hook] of (edits.hooks ?? []).entries()) {
    const where = [...at, "hooks", i];
    if (!hookNames.includes(hook.hookName)) {
      report([...where, "hookName"], `expected one of ${hookNames.join(", ")}`);
    }
    checkPath(hook.path, [...where, "path"], report);
    checkEnv(hook.env, [...where, "env"], report);
    if ((hook.timeout ?? 1) <= 0) report([...where, "timeout"], "expected a number of seconds above 0");
  }
  for (const [i, gid] of (edits.additionalGids ?? []).entries()) {
    checkId(gid, [...at, "additionalGids", i], report);
  }
  const closID = edits.intelRdt?.["closID"] ?? "";
  if (closID !== "/" && /[/\n]|^\.\.?$|^.{4096}/.test(String(closID))) {
    report([...at, "intelRdt", "closID"], 'expected a file name, or "/"');
  }
  checkNetDevices(edits, [...at, "netDevices"], report);
}

function checkEnv(env: readonly string[] | undefined, at: FieldPath, report: Report): void {
  for (const [i, variable] of (env ?? []).entries()) {
    if (variable.indexOf("=") <= 0 || variable.includes("\0")) report([...at, i], "expected NAME=VALUE");
  }
}

function checkNodes(edits: CdiEdits, at: FieldPath, report: Report): void {
  for (const [i, node] of (edits.deviceNodes ?? []).entries()) {
    const where = [...at, i];
    checkPath(node.path, [...where, "path"], report);
    if ((node.hostPath ?? "") !== "") checkPath(node.hostPath!, [...where, "hostPath"], report);
    if (!["", "b", "c", "u", "p"].includes(node.type ?? "")) {
      report([...where, "type"], "expected b (block), c or u (character) or p (pipe)");
    }
    const permissions = node.permissions ?? "";
    if (permissions !== "none" && !/^[rwm]*$/.test(permissions)) {
      report([...where, "permissions"], "expected letters of rwm, or none");
    }
    for (const key of ["major", "minor", "fileMode", "uid", "gid"] as const) {
      checkId(node[key] ?? 0, [...where, key], report);
    }
  }
}

function checkPath(path: string, at: FieldPath, report: Report): void {
  const fine = path.startsWith("/") && !path.includes("\0") && !path.split("/").includes("..");
  if (!fine) report(at, "expected an absolute path without '..'");
}

function checkId(id: number, at: FieldPath, report: Report): void {
  if (id < 0 || id > 0xffff_ffff) report(at, "expected an integer from 0 to 4294967295");
}

function checkNetDevices(edits: CdiEdits, at: FieldPath, report: Report): void {
  for (const key of ["hostInterfaceName", "name"] as const) {
    const seen = new Set<string>();
    for (const [i, device] of (edits.netDevices ?? []).entries()) {
      if (device[key] === "") report([...at, i, key], "expected the name of an interface");
      else if (seen.has(device[key])) report([...at, i, key], `stands twice: ${device[key]}`);
      seen.add(device[key]);
    }
  }
}
