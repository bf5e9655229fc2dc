/**
 * A text with one YAML or JSON document as a value of a declared type, or problems with their fields. Pure. Not for: rules
 * between fields.
 */
import { decode, newBudget, type TypeTable } from "../../model/decode.ts";
import { type FieldPath, fieldText, type Finding, type PlacedProblem } from "../../model/finding.ts";
import { parseDocument } from "../../model/parse_yaml.ts";
import { type DocumentText, isEmptyDocument, splitDocuments } from "../../model/yaml.ts";

export interface Wanted {
  /** Path, or another name of where the text came from. */
  file: string;
  /** For messages: `a kubeconfig`. */
  what: string;
  table: TypeTable;
  type: string;
}

export interface TypedDocument {
  /** Absent where a problem is an error. */
  value?: unknown;
  problems: PlacedProblem[];
  document: number;
}

/** A problem of one field. */
export type Complaint = (path: FieldPath, message: string) => void;

/** Never throws. */
export function readTypedDocument(text: string, wanted: Wanted): TypedDocument {
  const full = fullDocuments(text);
  const [only, another] = full;
  const problem = (message: string, at = {}): TypedDocument => ({
    problems: [{ severity: "error", file: wanted.file, message, ...at }],
    document: 0,
  });
  if (only === undefined) return problem(`is empty: expected ${wanted.what}`);
  if (another !== undefined) {
    const line = another[1].startLine + 1;
    return problem(`expected ${wanted.what} alone, found several documents`, { line });
  }
  return readOne(only, wanted);
}

/** Those of a text that say something, with their place among all. */
export const fullDocuments = (text: string): [number, DocumentText][] =>
  [...splitDocuments(text.replace(/^\ufeff/, "")).entries()].filter(([, d]) => !isEmptyDocument(d.text));

export function readOne([index, document]: [number, DocumentText], wanted: Wanted): TypedDocument {
  const read = parseDocument(document);
  if ("message" in read) {
    return { problems: [{ severity: "error", file: wanted.file, ...read }], document: index };
  }
  const { value, findings } = decode(wanted.type, read.value ?? {}, newBudget(), wanted.table);
  const problems = findings.map((finding) => placed(wanted.file, index, finding));
  return { ...(findings.some((f) => f.severity === "error") ? {} : { value }), problems, document: index };
}

export function placed(file: string, document: number, finding: Finding): PlacedProblem {
  const { severity, path, message, atKey } = finding;
  const field = fieldText(path);
  return {
    severity,
    file,
    ...(field !== "" && { field }),
    message,
    place: { document, path, atKey: atKey ?? false },
  };
}
