/**
 * Findings: what the decoder and the checks say about one field, before it is known which file it stands in. Not for:
 * what users see (errors.ts, Problem).
 */
import type { Problem } from "./errors.ts";

/** Keys and indexes from the document's root to a value. */
export type FieldPath = readonly (string | number)[];

export interface Finding {
  severity: Problem["severity"];
  path: FieldPath;
  message: string;
  /** The name of the field is at fault, not its value: the position is the key's. */
  atKey?: boolean;
}

/** Where an object's findings go; paths are relative to the object. */
export type Report = (path: FieldPath, message: string, severity?: Problem["severity"]) => void;

/** A Problem that still knows its place in the text, until a position was found for it. */
export interface PlacedProblem extends Problem {
  place?: { document: number; path: FieldPath; atKey: boolean };
}

/** `spec.containers[0].image`, `metadata.labels["app.kubernetes.io/name"]`. */
export function fieldText(path: FieldPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** A value as a message shows it: short, and on one line. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  if (typeof value === "string") {
    return JSON.stringify(value.length > 60 ? value.slice(0, 57) + "..." : value);
  }
  return String(value);
}
