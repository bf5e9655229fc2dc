/**
 * The strict decoder: a parsed YAML or JSON value against a table of types, the generated one of the v1 API or another.
 * What it returns is a fresh tree that has the declared types and holds nothing else; whatever does not fit is reported
 * with its path.
 *
 * Scalars are read by the type of their field, as Kubernetes' YAML reads them: a boolean field takes YAML 1.1's words,
 * an integer field its octals; `null` is an absent field; a number where text is wanted is an error. Not for: rules
 * about values (validate.ts).
 */
import { schema } from "./gen/schema.ts";
import { type FieldPath, type Finding, shown } from "./finding.ts";
import { parseQuantity } from "./quantity.ts";
import { didYouMean } from "./suggest.ts";

/** How many values a file may still expand to: anchors and aliases can multiply a small text without bound. */
export interface Budget {
  left: number;
}

const valueBudget = 1_000_000;
const depthLimit = 100;
const findingLimit = 100;

export const newBudget = (): Budget => ({ left: valueBudget });

/** The fields of each type and their types, in the words of gen/schema.ts. */
export type TypeTable = Readonly<Record<string, Readonly<Record<string, string>>>>;

interface Decoder {
  report(finding: Finding): void;
  budget: Budget;
  table: TypeTable;
}

/** Thrown inside this file to give up; `decode` reports it. */
class GivingUp extends Error {}

const tooMuch = () =>
  new GivingUp(
    `expands to more than ${valueBudget} values or nests deeper than ${depthLimit}: ` +
      "expected a manifest without multiplying aliases",
  );

/** `value` is usable only when no finding is an error. `type` is a name in the table. */
export function decode(
  type: string,
  value: unknown,
  budget: Budget,
  table: TypeTable = schema,
): { value: unknown; findings: Finding[] } {
  const findings: Finding[] = [];
  const report = (finding: Finding) => {
    if (findings.length >= findingLimit) throw new GivingUp(`more than ${findingLimit} errors: gave up here`);
    findings.push(finding);
  };
  try {
    return { value: decodeValue({ budget, report, table }, type, value, []), findings };
  } catch (error) {
    if (!(error instanceof GivingUp)) throw error;
    return {
      value: undefined,
      findings: [...findings, { severity: "error", path: [], message: error.message }],
    };
  }
}

function spend(d: Decoder, depth: number): void {
  if (--d.budget.left < 0 || depth > depthLimit) throw tooMuch();
}

function decodeValue(d: Decoder, type: string, value: unknown, path: FieldPath): unknown {
  spend(d, path.length);
  if (value === null || value === undefined) return undefined;
  if (type.endsWith("[]")) return decodeList(d, type.slice(0, -2), value, path);
  if (type.endsWith("{}")) return decodeMap(d, type.slice(0, -2), value, path);
  const scalar = Object.hasOwn(scalars, type) ? scalars[type] : undefined;
  if (scalar !== undefined) return decodeScalar(d, scalar, value, path);
  return type === "any" ? copyAny(d, value, path) : decodeObject(d, type, value, path);
}

function wrong(d: Decoder, path: FieldPath, message: string): undefined {
  d.report({ severity: "error", path, message });
  return undefined;
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The entries of a mapping with YAML's merge keys applied: explicit keys win, then earlier merged mappings. A `<<` that
 * holds anything else stays an ordinary key.
 */
function entriesOf(d: Decoder, value: Record<string, unknown>, depth = 0): [string, unknown][] {
  const merged = Object.hasOwn(value, "<<") ? value["<<"] : undefined;
  const sources = Array.isArray(merged) ? merged : [merged];
  if (merged === undefined || !sources.every(isMapping)) return Object.entries(value);
  const entries = new Map(Object.entries(value));
  entries.delete("<<");
  for (const source of sources) {
    for (const [key, inherited] of entriesOf(d, source, depth + 1)) {
      spend(d, depth);
      if (!entries.has(key)) entries.set(key, inherited);
    }
  }
  return [...entries];
}

function decodeObject(d: Decoder, type: string, value: unknown, path: FieldPath): unknown {
  const fields = Object.hasOwn(d.table, type) ? d.table[type]! : {};
  if (!isMapping(value)) {
    return wrong(d, path, `expected a mapping with fields such as ${someNames(fields)}, got ${shown(value)}`);
  }
  const result: Record<string, unknown> = {};
  for (const [key, field] of entriesOf(d, value)) {
    const declared = Object.hasOwn(fields, key) ? fields[key]! : undefined;
    if (declared === undefined) {
      const message = `unknown field "${key}"${didYouMean(key, Object.keys(fields))}`;
      d.report({ severity: "error", path: [...path, key], message, atKey: true });
      continue;
    }
    const decoded = decodeValue(d, declared.replace("!", ""), field, [...path, key]);
    if (decoded !== undefined) result[key] = decoded;
    // What was there but wrong is reported once, not as missing, too.
    else if (field !== null) result[key] = undefined;
  }
  for (const [key, declared] of Object.entries(fields)) {
    if (declared.endsWith("!") && !Object.hasOwn(result, key)) {
      wrong(d, [...path, key], `required: expected ${describe(declared.slice(0, -1))}`);
    }
  }
  return result;
}

function someNames(fields: Readonly<Record<string, string>>): string {
  const required = Object.keys(fields).filter((key) => fields[key]!.endsWith("!"));
  return (required.length > 0 ? required : Object.keys(fields).slice(0, 3)).join(", ");
}

function decodeList(d: Decoder, type: string, value: unknown, path: FieldPath): unknown {
  if (!Array.isArray(value)) {
    return wrong(d, path, `expected a list of ${describe(type, true)}, got ${shown(value)}`);
  }
  return value.map((item, i) =>
    item === null ? absentElement(d, type, [...path, i]) : decodeValue(d, type, item, [...path, i])
  );
}

function decodeMap(d: Decoder, type: string, value: unknown, path: FieldPath): unknown {
  if (!isMapping(value)) {
    return wrong(d, path, `expected a mapping of names to ${describe(type, true)}, got ${shown(value)}`);
  }
  return Object.fromEntries(
    entriesOf(d, value).map(([key, item]) => [
      key,
      item === null ? absentElement(d, type, [...path, key]) : decodeValue(d, type, item, [...path, key]),
    ]),
  );
}

/** A null element: Kubernetes reads it as the type's zero value, which makes sense for text alone. */
function absentElement(d: Decoder, type: string, path: FieldPath): unknown {
  spend(d, path.length);
  return type === "string" || type === "bytes"
    ? ""
    : wrong(d, path, `expected ${describe(type)}, got nothing`);
}

function copyAny(d: Decoder, value: unknown, path: FieldPath): unknown {
  if (Array.isArray(value)) return value.map((item, i) => decodeValue(d, "any", item, [...path, i]) ?? null);
  if (isMapping(value)) {
    return Object.fromEntries(
      entriesOf(d, value).map(([key, item]) => [key, decodeValue(d, "any", item, [...path, key]) ?? null]),
    );
  }
  if (typeof value === "number" && !Number.isFinite(value)) {
    return wrong(d, path, "expected a finite number");
  }
  return value;
}

/** What reading a scalar gives: the value, or what was expected. */
type Read = { value: unknown } | { expected: string };
type Scalar = (value: unknown) => Read;

function decodeScalar(d: Decoder, read: Scalar, value: unknown, path: FieldPath): unknown {
  const result = read(value);
  if ("value" in result) return result.value;
  return wrong(d, path, `expected ${result.expected}`);
}

const yes = new Set(["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"]);
const no = new Set(["n", "N", "no", "No", "NO", "off", "Off", "OFF"]);

const scalars: Readonly<Record<string, Scalar>> = {
  string: (v) => typeof v === "string" ? { value: v } : { expected: `text, got ${withQuotes(v)}` },
  boolean: (v) => {
    if (typeof v === "boolean") return { value: v };
    if (typeof v === "string" && (yes.has(v) || no.has(v))) return { value: yes.has(v) };
    return { expected: `true or false, got ${v === "true" || v === "false" ? withoutQuotes(v) : shown(v)}` };
  },
  int32: (v) => readInteger(v, -(2 ** 31), 2 ** 31 - 1),
  int64: (v) => readInteger(v, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  number: (v) =>
    typeof v === "number" && Number.isFinite(v) ? { value: v } : { expected: `a number, got ${shown(v)}` },
  quantity: readQuantity,
  bytes: (v) =>
    typeof v === "string" && isBase64(v) ? { value: v.replace(/[\r\n]/g, "") } : {
      expected: `base64 text (plain text belongs in stringData or data of a ConfigMap), got ${kindOf(v)}`,
    },
  time: (v) =>
    typeof v === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(v)
      ? { value: v }
      : { expected: `a time like 2006-01-02T15:04:05Z, got ${shown(v)}` },
  intOrString: (v) =>
    typeof v === "string" ? { value: v } : readInteger(v, -(2 ** 31), 2 ** 31 - 1, " or a name"),
};

function readInteger(v: unknown, least: number, most: number, or = ""): Read {
  const octal = typeof v === "string" ? /^([-+]?)0o([0-7]{1,20})$/.exec(v) : null;
  const number = octal !== null ? Number.parseInt(octal[1]! + octal[2]!, 8) : v;
  if (typeof number !== "number") {
    const numeral = typeof v === "string" && /^[-+]?\d+$/.test(v);
    return { expected: `an integer${or}, got ${numeral ? withoutQuotes(v as string) : shown(v)}` };
  }
  if (!Number.isInteger(number)) return { expected: `an integer${or}, got ${shown(v)}` };
  if (number < least || number > most) {
    return { expected: `an integer from ${least} to ${most}, got ${shown(v)}` };
  }
  return { value: number };
}

function readQuantity(v: unknown): Read {
  const text = typeof v === "number" ? String(v) : v;
  if (typeof text === "string" && parseQuantity(text) !== undefined) return { value: text };
  return { expected: `a quantity like 250m, 1.5, 64Mi or 2G, got ${shown(v)}` };
}

/** Base64 as Go reads it: padded, line breaks ignored. */
function isBase64(text: string): boolean {
  const packed = text.replace(/[\r\n]/g, "");
  return packed.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(packed);
}

const kindOf = (v: unknown) => typeof v === "string" ? "other text" : `a ${typeof v}`;

const withQuotes = (v: unknown) =>
  typeof v === "number" || typeof v === "boolean"
    ? `the ${typeof v} ${v} (write it in quotes: "${v}")`
    : shown(v);

const withoutQuotes = (v: string) => `the text "${v}" (write it without quotes)`;

const singular: Readonly<Record<string, string>> = {
  string: "text",
  boolean: "true or false",
  int32: "an integer",
  int64: "an integer",
  number: "a number",
  quantity: "a quantity like 250m or 64Mi",
  bytes: "base64 text",
  time: "a time",
  intOrString: "an integer or a name",
  any: "any value",
};

const plural: Readonly<Record<string, string>> = {
  string: "texts",
  int32: "integers",
  int64: "integers",
  quantity: "quantities",
  bytes: "base64 texts",
};

/** A type in words. */
function describe(type: string, many = false): string {
  if (type.endsWith("[]")) return many ? "lists" : `a list of ${describe(type.slice(0, -2), true)}`;
  if (type.endsWith("{}")) {
    return many ? "mappings" : `a mapping of names to ${describe(type.slice(0, -2), true)}`;
  }
  if (many) return plural[type] ?? singular[type] ?? "mappings";
  return singular[type] ?? "a mapping";
}
