/**
 * One value of the configuration against its key's type, from a document or from a flag's text. What is returned has the
 * form that documents write. Not for: rules between keys.
 */
import { shown } from "../model/finding.ts";
import { parseQuantity } from "../model/quantity.ts";
import { formatDuration, parseDuration } from "../model/duration.ts";
import type { KeySpec, ValueType } from "./keys.ts";

export type Reading = { value: unknown } | { wrong: string };

type Scalar = (value: unknown) => unknown;

/** A value of a document; `null` is the caller's business. */
export function readValue(spec: KeySpec, raw: unknown): Reading {
  const value = readers[spec.type](raw);
  if (value === undefined) {
    return { wrong: `${culprit(spec, raw)} is not valid: expected ${expectation(spec)}` };
  }
  return checkLimits(spec, value, raw);
}

/** The part of a list or mapping that is at fault, when one is. */
function culprit(spec: KeySpec, raw: unknown): string {
  const read = readers[spec.type];
  if (Array.isArray(raw)) {
    const index = raw.findIndex((item) => read([item]) === undefined);
    if (index >= 0) return shown(raw[index]);
  } else if (isMapping(raw)) {
    const entry = Object.entries(raw).find(([k, v]) => read({ [k]: v }) === undefined);
    if (entry !== undefined) return `${shown(entry[1])} for ${entry[0]}`;
  }
  return shown(raw);
}

function checkLimits(spec: KeySpec, value: unknown, raw: unknown): Reading {
  const allowed = spec.oneOf === undefined || (typeof value === "string" && spec.oneOf.includes(value));
  const inRange = typeof value !== "number" ||
    (value >= (spec.min ?? -Infinity) && value <= (spec.max ?? Infinity));
  if (allowed && inRange) return { value };
  return { wrong: `${shown(raw)} is not valid: expected ${expectation(spec)}` };
}

/** What would have been right, for messages and help. */
export function expectation(spec: KeySpec): string {
  if (spec.oneOf !== undefined) return "one of " + spec.oneOf.map((o) => o === "" ? '""' : o).join(", ");
  const range = spec.min === undefined
    ? spec.max === undefined ? "" : ` up to ${spec.max}`
    : spec.max === undefined
    ? `, ${spec.min} or more`
    : ` from ${spec.min} to ${spec.max}`;
  const managed = spec.key === "containerRuntimeEndpoint" ? ", or managed" : "";
  return expectations[spec.type] + range + managed;
}

const expectations: Record<ValueType, string> = {
  text: "text (quoted, if it looks like a number)",
  path: "an absolute path",
  endpoint: "a unix socket (unix:///run/x.sock)",
  bool: "true or false",
  int: "a whole number",
  float: "a number",
  duration: "a duration such as 10s or 2m30s",
  quantity: "a quantity such as 10Mi",
  ip: "an IP address",
  port: "a port from 0 to 65535",
  texts: "a list of texts",
  paths: "a list of absolute paths",
  ips: "a list of IP addresses",
  cidrs: "an address range such as 10.88.0.0/16 (two with a comma: one IPv4, one IPv6)",
  ints: "a list of whole numbers",
  textMap: "a mapping of names to texts",
  boolMap: "a mapping of names to true or false",
  quantityMap: "a mapping of names to quantities",
  mapping: "a mapping",
  mappings: "a list of mappings",
};

const text: Scalar = (v) => typeof v === "string" && !/\p{Cc}/u.test(v) ? v : undefined;
const int: Scalar = (v) => Number.isSafeInteger(v) ? v : undefined;
const ip: Scalar = (v) => typeof v === "string" && ipVersion(v) !== undefined ? v : undefined;

function bool(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string") return undefined;
  if (/^(y|yes|on|true)$/i.test(value)) return true;
  return /^(n|no|off|false)$/i.test(value) ? false : undefined;
}

function path(value: unknown): string | undefined {
  const plain = text(value);
  if (plain === "") return plain;
  if (typeof plain !== "string" || !plain.startsWith("/")) return undefined;
  const parts = plain.split("/").filter((p) => p !== "" && p !== ".");
  return parts.includes("..") ? undefined : "/" + parts.join("/");
}

function endpoint(value: unknown): string | undefined {
  if (value === "" || value === "managed") return value;
  const socket = path(typeof value === "string" ? value.replace(/^unix:(\/\/)?(?=\/)/, "") : value);
  return socket === undefined || socket === "" ? undefined : `unix://${socket}`;
}

/** kubeadm writes `logging.flushFrequency: 0`. */
function duration(value: unknown): string | undefined {
  const ms = typeof value === "string" ? parseDuration(value) : value === 0 ? 0 : undefined;
  return ms === undefined || ms < 0 ? undefined : formatDuration(ms);
}

function quantity(value: unknown): string | undefined {
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  const parsed = parseQuantity(String(value));
  return parsed === undefined || parsed < 0 ? undefined : String(value);
}

/** A scalar of a mapping may be written without quotes. */
const looseText: Scalar = (v) => text(typeof v === "number" || typeof v === "boolean" ? String(v) : v);

const listOf = (item: Scalar) => (value: unknown): unknown[] | undefined => {
  if (!Array.isArray(value)) return undefined;
  const items = value.map(item);
  return items.includes(undefined) ? undefined : items;
};

const mapOf = (item: Scalar) => (value: unknown): Record<string, unknown> | undefined => {
  if (!isMapping(value)) return undefined;
  const entries = Object.entries(value).map(([k, v]) => [k, item(v)] as const);
  return entries.some(([, v]) => v === undefined) ? undefined : Object.fromEntries(entries);
};

function cidrs(value: unknown): string[] | undefined {
  const items = typeof value === "string" ? value.split(",").filter((t) => t !== "") : value;
  const ranges = listOf((v) => typeof v === "string" && isCIDR(v) ? v : undefined)(items) as
    | string[]
    | undefined;
  const versions = new Set(ranges?.map((r) => ipVersion(r.split("/")[0]!)));
  return ranges !== undefined && versions.size === ranges.length ? ranges : undefined;
}

const readers: Record<ValueType, (value: unknown) => unknown> = {
  text,
  path,
  endpoint,
  bool,
  int,
  float: (v) => typeof v === "number" && Number.isFinite(v) ? v : undefined,
  duration,
  quantity,
  ip,
  port: (v) => Number.isInteger(v) && (v as number) >= 0 && (v as number) <= 65535 ? v : undefined,
  texts: listOf(text),
  paths: listOf((v) => path(v) || undefined),
  ips: listOf(ip),
  cidrs,
  ints: listOf(int),
  textMap: mapOf(looseText),
  boolMap: mapOf(bool),
  quantityMap: mapOf(quantity),
  mapping: (v) => isMapping(v) ? v : undefined,
  mappings: listOf((v) => isMapping(v) ? v : undefined),
};

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** 4, 6, or `undefined` when the text is no address. */
export function ipVersion(address: string): 4 | 6 | undefined {
  if (/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(address)) return 4;
  return /^[\da-fA-F:.]+$/.test(address) && address.includes(":") && URL.canParse(`http://[${address}]`)
    ? 6
    : undefined;
}

function isCIDR(range: string): boolean {
  const [address, bits, ...rest] = range.split("/");
  const version = ipVersion(address ?? "");
  return version !== undefined && rest.length === 0 && /^\d{1,3}$/.test(bits ?? "") &&
    Number(bits) <= (version === 4 ? 32 : 128);
}

/** What a flag's text means for a key of this type; several are those of a flag that was given several times. */
export function readFlagTexts(spec: KeySpec, texts: readonly (string | boolean)[]): Reading {
  const last = String(texts.at(-1) ?? "");
  const items = texts.flatMap((t) => String(t).split(",")).filter((t) => t !== "");
  switch (spec.type) {
    case "bool":
      return readValue(spec, goBool(last) ?? last);
    case "int":
    case "port":
    case "float":
      return readValue(spec, /^[+-]?\d+(\.\d+)?$/.test(last) ? Number(last) : last);
    case "ints":
      return readValue(spec, items.map(Number));
    case "texts":
    case "paths":
    case "ips":
    case "cidrs":
      return readValue(spec, items);
    case "textMap":
    case "boolMap":
    case "quantityMap":
      return readMapItems(spec, items);
    case "mapping":
    case "mappings":
      return { value: items };
    default:
      return readValue(spec, last);
  }
}

/** `name=value`, and `name<value` as --eviction-hard has it. */
function readMapItems(spec: KeySpec, items: readonly string[]): Reading {
  const pairs = items.map((i) => /^([^=<]+)[=<](.*)$/.exec(i));
  const broken = pairs.indexOf(null);
  if (broken >= 0) {
    return { wrong: `${shown(items[broken])} is not valid: expected NAME=VALUE, separated by commas` };
  }
  return readValue(spec, Object.fromEntries(pairs.map((p) => [p![1]!, p![2]!])));
}

/** As Go's strconv.ParseBool. */
function goBool(value: string): boolean | undefined {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
  return ["0", "f", "F", "false", "FALSE", "False"].includes(value) ? false : undefined;
}
