/**
 * DER, the encoding of X.509: a writer and a reader of the few types that certificates and requests consist of. Pure.
 * Source: X.690. Not for: what the values mean (certificate.ts, issue.ts), nor for BER.
 */
import { concatBytes } from "../../lib/bytes.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

/** Identifier octets. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `[n]`, of a primitive or a constructed value. */
export const contextTag = (n: number, constructed: boolean): number => (constructed ? 0xa0 : 0x80) | n;

// ---- writing -------------------------------------------------------------------------------------------------------

export function write(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return concatBytes([Uint8Array.from([tag, ...lengthOctets(length)]), ...parts]) as Bytes;
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 | octets.length, ...octets];
}

export const sequence = (...parts: readonly Uint8Array[]): Bytes => write(tags.sequence, ...parts);
export const set = (...parts: readonly Uint8Array[]): Bytes => write(tags.set, ...parts);
export const octetString = (content: Uint8Array): Bytes => write(tags.octetString, content);
export const bitString = (content: Uint8Array): Bytes => write(tags.bitString, Uint8Array.of(0), content);
export const boolean = (value: boolean): Bytes => write(tags.boolean, Uint8Array.of(value ? 0xff : 0));
export const utf8String = (text: string): Bytes => write(tags.utf8String, new TextEncoder().encode(text));

/** A number of any size that is not negative, from its octets. */
export function unsignedInteger(octets: Uint8Array): Bytes {
  const first = octets.findIndex((o) => o !== 0);
  const digits = first < 0 ? Uint8Array.of(0) : octets.subarray(first);
  return digits[0]! & 0x80 ? write(tags.integer, Uint8Array.of(0), digits) : write(tags.integer, digits);
}

/** `2.5.4.3` */
export function objectId(dotted: string): Bytes {
  const [a = 0, b = 0, ...rest] = dotted.split(".").map(Number);
  const octets = [40 * a + b, ...rest].flatMap((arc) => {
    const digits = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      digits.unshift(left % 128 | 0x80);
    }
    return digits;
  });
  return write(tags.oid, Uint8Array.from(octets));
}

/** UTCTime until 2049, as RFC 5280 wants it; to the second. */
export function time(ms: number): Bytes {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  const utc = Number(text.slice(0, 4)) < 2050;
  return write(
    utc ? tags.utcTime : tags.generalizedTime,
    new TextEncoder().encode(utc ? text.slice(2) : text),
  );
}

// ---- reading -------------------------------------------------------------------------------------------------------

export interface Der {
  tag: number;
  content: Bytes;
  /** With tag and length. */
  whole: Bytes;
}

/** Octets that are not what they should be. */
export class BadDer extends Error {
  override readonly name = "BadDer";
}

/** Exactly one value. @throws {BadDer} */
export function readDer(bytes: Bytes): Der {
  const [only, ...more] = readAll(bytes);
  if (only === undefined || more.length > 0) throw new BadDer("expected one value and nothing after it");
  return only;
}

/** The values that a constructed one holds. @throws {BadDer} */
export const children = (der: Der): Der[] => readAll(der.content);

function readAll(bytes: Bytes): Der[] {
  const found: Der[] = [];
  for (let at = 0; at < bytes.length;) {
    const { tag, start, end } = readHead(bytes, at);
    found.push({ tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return found;
}

function readHead(bytes: Bytes, at: number): { tag: number; start: number; end: number } {
  const [tag, first] = [bytes[at]!, bytes[at + 1]];
  if (first === undefined || (tag & 0x1f) === 0x1f) throw new BadDer("a value's head is cut off or too long");
  const count = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || count > 4 || at + 2 + count > bytes.length) throw new BadDer("a length is not DER");
  const octets = bytes.subarray(at + 2, at + 2 + count);
  const length = first < 0x80 ? first : octets.reduce((sum, octet) => sum * 256 + octet, 0);
  const start = at + 2 + count;
  if (start + length > bytes.length) throw new BadDer("a value is cut off");
  return { tag, start, end: start + length };
}

/** @throws {BadDer} when the value is another type. */
export function expectTag(der: Der | undefined, tag: number, what: string): Der {
  if (der?.tag !== tag) throw new BadDer(`expected ${what}`);
  return der;
}

export function readObjectId(der: Der | undefined): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const octet of expectTag(der, tags.oid, "an object identifier").content) {
    arc = arc * 128 + (octet & 0x7f);
    if (octet & 0x80) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [first = 0, ...rest] = arcs;
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - 40 * top, ...rest].join(".");
}

/** Any of the string types that names use; those of one octet a character are read as Latin-1 or UTF-8 alike. */
export const readText = (der: Der | undefined): string =>
  new TextDecoder().decode(der?.content ?? new Uint8Array());

/** Milliseconds since the epoch. */
export function readTime(der: Der | undefined): number {
  const text = readText(der);
  const short = der?.tag === tags.utcTime;
  const match = /^(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null || match[1]!.length !== (short ? 2 : 4)) throw new BadDer("expected a time");
  const year = Number(match[1]) + (short ? (Number(match[1]) < 50 ? 2000 : 1900) : 0);
  const [month, day, hour, minute, second] = match.slice(2).map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
