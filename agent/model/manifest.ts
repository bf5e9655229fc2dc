/**
 * A manifest file's text becomes objects with defaults, or problems. Every document is judged on its own: a broken one
 * leaves its siblings alone. Not for: reading files, positions in the text (sources/locate.ts), what is true of several
 * files together (sources/merge.ts).
 */
import type { ObjectMeta } from "./gen/v1.ts";
import { errorText } from "./errors.ts";
import { type Budget, decode, newBudget } from "./decode.ts";
import { type FieldPath, fieldText, type Finding, type PlacedProblem, shown } from "./finding.ts";
import { type AnyObject, rulesOf } from "./kind_rules.ts";
import {
  type Kind,
  kindNames,
  kinds,
  type ManifestObjects,
  noManifestObjects,
  objectKey,
} from "./objects.ts";
import { didYouMean } from "./suggest.ts";
import { parseDocument } from "./parse_yaml.ts";
import { type DocumentText, isEmptyDocument, splitDocuments } from "./yaml.ts";

/** An object that could not be used; what is not known about it is absent. */
export interface BrokenObject {
  kind?: Kind;
  /** Its objectKey. */
  key?: string;
}

export interface ParsedManifest extends ManifestObjects {
  /** Positions are filled in only for syntax errors; `locateProblems` finds the others. */
  problems: PlacedProblem[];
  /** Objects that have errors. Documents of kinds that are not ours are not among them. */
  broken: BrokenObject[];
}

/** Largest manifest file, in bytes. */
export const manifestSizeLimit = 10 * 1024 * 1024;
const problemLimit = 100;

/** Never throws. */
export function parseManifest(file: string, text: string): ParsedManifest {
  const parsed: ParsedManifest = { ...noManifestObjects(), problems: [], broken: [] };
  if (text.length > manifestSizeLimit) {
    breakFile(parsed, file, `larger than ${manifestSizeLimit / 1024 / 1024} MiB: expected a manifest`);
    return parsed;
  }
  try {
    const budget = newBudget();
    const documents = splitDocuments(text.replace(/^\ufeff/, ""));
    for (const [index, document] of documents.entries()) {
      if (!isEmptyDocument(document.text)) readDocument({ parsed, file, document: index, budget }, document);
    }
  } catch (error) {
    breakFile(parsed, file, `could not be read: ${errorText(error)}`);
  }
  return limitProblems(parsed, file);
}

function breakFile(parsed: ParsedManifest, file: string, message: string): void {
  parsed.problems.push({ severity: "error", file, message });
  parsed.broken.push({});
}

function limitProblems(parsed: ParsedManifest, file: string): ParsedManifest {
  const more = parsed.problems.length - problemLimit;
  if (more <= 0) return parsed;
  const errors = parsed.problems.filter((p) => p.severity === "error");
  const warnings = parsed.problems.filter((p) => p.severity === "warning");
  const problems = [...errors, ...warnings].slice(0, problemLimit);
  const severity = errors.length > problemLimit ? "error" : "warning";
  problems.push({ severity, file, message: `${more} more problems are not shown` });
  return { ...parsed, problems };
}

/** Where we are: the file's result so far, and the document. */
interface Reading {
  parsed: ParsedManifest;
  file: string;
  document: number;
  budget: Budget;
}

function readDocument(reading: Reading, document: DocumentText): void {
  const { parsed, file } = reading;
  const read = parseDocument(document);
  if ("message" in read) {
    parsed.problems.push({ severity: "error", file, ...read });
    parsed.broken.push({});
  } else if (read.value !== null) readObject(reading, read.value, [], undefined);
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const readable: readonly string[] = ["List", ...kindNames.flatMap((kind) => [kind, `${kind}List`])];
const supported = `expected ${[...kindNames].reverse().join(", ")} or List`;
const ourVersions: ReadonlySet<unknown> = new Set(kindNames.map((kind) => kinds[kind].apiVersion));
const isKind = (name: string): name is Kind => Object.hasOwn(kinds, name);
/** Of a kind, or of a list of that kind. */
function versionOf(name: string): string {
  const kind = name.replace(/List$/, "");
  return isKind(kind) ? kinds[kind].apiVersion : "v1";
}

/** `kind` is known beforehand for the items of a PodList and its like. */
function readObject(reading: Reading, value: unknown, at: FieldPath, kind: Kind | undefined): void {
  const complain = (field: string | undefined, message: string, broken?: BrokenObject) => {
    report(reading, at, undefined, { severity: "error", path: field === undefined ? [] : [field], message });
    if (broken !== undefined) reading.parsed.broken.push(broken);
  };
  if (!isMapping(value)) return complain(undefined, `${supported}, got ${shown(value)}`, {});
  const named = value.kind ?? kind;
  const apiVersion = value.apiVersion ?? (kind === undefined ? undefined : versionOf(kind));
  if (typeof named !== "string") return complain("kind", `required: ${supported}`, {});
  if (kind !== undefined && named !== kind) {
    return complain("kind", `expected ${kind}, got ${shown(named)}`, {});
  }
  if (!readable.includes(named)) {
    const likely = didYouMean(named, readable);
    const foreign = likely === "" || (apiVersion !== undefined && !ourVersions.has(apiVersion));
    return complain(
      "kind",
      `${shown(named)} is not supported: ${supported}${likely}`,
      foreign ? undefined : {},
    );
  }
  if (apiVersion !== versionOf(named)) {
    const got = apiVersion === undefined ? "required: " : "";
    const tail = apiVersion === undefined ? "" : `, got ${shown(apiVersion)}`;
    return complain("apiVersion", `${got}expected ${versionOf(named)} for kind ${named}${tail}`, {});
  }
  if (named.endsWith("List")) return readList(reading, value, at, named);
  return readOne(reading, value, at, named as Kind);
}

function readList(reading: Reading, list: Record<string, unknown>, at: FieldPath, kind: string): void {
  const fields = ["apiVersion", "kind", "metadata", "items"];
  const complain = (path: FieldPath, message: string, atKey = false) => {
    report(reading, at, undefined, { severity: "error", path, message, atKey });
    reading.parsed.broken.push({});
  };
  for (const key of Object.keys(list)) {
    if (!fields.includes(key)) complain([key], `unknown field "${key}"${didYouMean(key, fields)}`, true);
  }
  if (at.length > 20) return complain([], "lists nest too deep");
  if (list.items === null || list.items === undefined) return;
  if (!Array.isArray(list.items)) return complain(["items"], `expected a list, got ${shown(list.items)}`);
  const kindOfItems = kind === "List" ? undefined : kind.slice(0, -"List".length) as Kind;
  for (const [i, item] of list.items.entries()) {
    if (--reading.budget.left < 0) return complain(["items"], "too many items");
    readObject(reading, item, [...at, "items", i], kindOfItems);
  }
}

function readOne(reading: Reading, value: Record<string, unknown>, at: FieldPath, kind: Kind): void {
  const decoded = decode(kind, withoutStatus(value), reading.budget);
  const findings = [...decoded.findings];
  const metadata = (isMapping(decoded.value) ? decoded.value.metadata : undefined) as ObjectMeta | undefined;
  const name = typeof metadata?.name === "string" && metadata.name !== "" ? metadata.name : undefined;
  const key = name === undefined ? undefined : objectKey(kind, metadata);
  // What could not be decoded is not missing, too.
  const wrong = new Set(decoded.findings.map((f) => fieldText(f.path)));
  const add = isMapping(decoded.value)
    ? accept(reading.parsed, kind, decoded.value, key, (path, message, severity = "error") => {
      if (!wrong.has(fieldText(path))) findings.push({ severity, path, message });
    })
    : undefined;
  for (const finding of findings) {
    report(
      reading,
      at,
      `${kind} ${key ?? "(no name)"}`,
      kind === "Secret" ? withoutSecret(finding) : finding,
    );
  }
  if (findings.some((f) => f.severity === "error")) {
    reading.parsed.broken.push({ kind, ...(key === undefined ? {} : { key }) });
  } else add?.();
}

/** What runs here decides the status; one that came along with an exported pod means nothing. */
function withoutStatus(value: Record<string, unknown>): Record<string, unknown> {
  const { status: _ignored, ...rest } = value;
  return rest;
}

type Complain = (path: FieldPath, message: string, severity?: Finding["severity"]) => void;

/** Checks a decoded object; the returned function adds it to the result. */
function accept(
  parsed: ParsedManifest,
  kind: Kind,
  value: unknown,
  key: string | undefined,
  complain: Complain,
): () => void {
  const list: AnyObject[] = parsed[kinds[kind].field];
  if (key !== undefined && list.some((other) => objectKey(kind, other.metadata) === key)) {
    complain(["metadata", "name"], `${kind} ${key} stands twice in this file; the first one is used`);
  }
  const rules = rulesOf(kind);
  rules.validate(value as AnyObject, complain);
  return () => list.push(rules.complete(value as AnyObject));
}

/** No value of a Secret may reach a log or a screen. */
function withoutSecret(finding: Finding): Finding {
  if (finding.path[0] === "data" && finding.path.length > 1) {
    return { ...finding, message: finding.message.replace(/, got .*/s, "") };
  }
  if (finding.path[0] !== "stringData" || finding.path.length < 2) return finding;
  return {
    ...finding,
    message: finding.message.replace(/, got .*/s, ": write numbers and words like yes in quotes"),
  };
}

function report(reading: Reading, at: FieldPath, object: string | undefined, finding: Finding): void {
  const field = fieldText(finding.path);
  reading.parsed.problems.push({
    severity: finding.severity,
    file: reading.file,
    ...(object === undefined ? {} : { object }),
    ...(field === "" ? {} : { field }),
    message: finding.message,
    place: { document: reading.document, path: [...at, ...finding.path], atKey: finding.atKey ?? false },
  });
}
