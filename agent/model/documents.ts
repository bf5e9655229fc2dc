/**
 * Files that hold documents of one kind, other than manifests: strictly decoded by a table of types, checked, or problems
 * that know their place. Not for: reading files, positions in the text.
 */
import { decode, newBudget, type TypeTable } from "./decode.ts";
import { fieldText, type Finding, type PlacedProblem, type Report, shown } from "./finding.ts";
import { parseDocument } from "./parse_yaml.ts";
import { isEmptyDocument, splitDocuments } from "./yaml.ts";

export interface DocumentKind<T> {
  kind: string;
  /** Those that are read; the first is the one to write. */
  apiVersions: readonly string[];
  /** Holds the kind as a type of its own, with `apiVersion` and `kind`. */
  table: TypeTable;
  /** What the types do not say. */
  check(value: T, report: Report): void;
}

export interface ParsedDocuments<T> {
  /** Those without an error, in their order. */
  values: T[];
  problems: PlacedProblem[];
}

const sizeLimit = 1024 * 1024;

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Never throws. */
export function parseDocuments<T>(file: string, text: string, of: DocumentKind<T>): ParsedDocuments<T> {
  const parsed: ParsedDocuments<T> = { values: [], problems: [] };
  if (text.length > sizeLimit) {
    parsed.problems.push({ severity: "error", file, message: `larger than 1 MiB: expected a ${of.kind}` });
    return parsed;
  }
  const budget = newBudget();
  for (const [index, document] of splitDocuments(text.replace(/^\ufeff/, "")).entries()) {
    if (isEmptyDocument(document.text)) continue;
    const read = parseDocument(document);
    if ("message" in read) {
      parsed.problems.push({ severity: "error", file, ...read });
      continue;
    }
    if (read.value === null) continue;
    const findings: Finding[] = wrongHead(read.value, of);
    if (findings.length === 0) {
      const decoded = decode(of.kind, read.value, budget, of.table);
      const wrong = new Set(decoded.findings.map((f) => fieldText(f.path)));
      findings.push(...decoded.findings);
      if (isMapping(decoded.value)) {
        of.check(decoded.value as T, (path, message, severity = "error") => {
          if (!wrong.has(fieldText(path))) findings.push({ severity, path, message });
        });
      }
      if (findings.every((f) => f.severity !== "error")) parsed.values.push(decoded.value as T);
    }
    for (const { severity, path, message, atKey = false } of findings) {
      const field = fieldText(path);
      const place = { document: index, path, atKey };
      parsed.problems.push({ severity, file, ...(field !== "" && { field }), message, place });
    }
  }
  return parsed;
}

function wrongHead(value: unknown, { kind, apiVersions }: DocumentKind<never>): Finding[] {
  const error = (path: string[], message: string): Finding[] => [{ severity: "error", path, message }];
  if (!isMapping(value)) return error([], `expected a ${kind}, got ${shown(value)}`);
  if (value.kind !== kind) return error(["kind"], `expected ${kind}, got ${shown(value.kind)}`);
  if (apiVersions.some((v) => v === value.apiVersion)) return [];
  return error(["apiVersion"], `expected ${apiVersions.join(" or ")}, got ${shown(value.apiVersion)}`);
}
