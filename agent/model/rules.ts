/** Small rules that the checks of pods, containers and volumes share. Not for: anything that knows a kind. */
import { type FieldPath, type Report, shown } from "./finding.ts";
import type { Check } from "./names.ts";
import { didYouMean } from "./suggest.ts";

/** Elements that were decoded; a wrong one was reported there. */
export function* elements<T>(list: readonly T[] | undefined): Generator<[number, T]> {
  for (const [i, item] of (list ?? []).entries()) if (item !== undefined) yield [i, item];
}

export function checkName(value: string | undefined, check: Check, path: FieldPath, report: Report): void {
  if (value === undefined) return;
  const expected = check(value);
  if (expected !== undefined) report(path, `expected ${expected}, got ${shown(value)}`);
}

/** A field that the schema calls optional because it has a zero value, but that must say something. */
export function checkPresent(value: string | undefined, path: FieldPath, what: string, report: Report): void {
  if (value === undefined || value === "") report(path, `required: expected ${what}`);
}

export function checkOneOf(
  value: string | undefined,
  allowed: readonly string[],
  path: FieldPath,
  report: Report,
): void {
  if (value === undefined || allowed.includes(value)) return;
  const listed = allowed.filter((a) => a !== "").join(", ");
  report(path, `expected one of ${listed}, got ${shown(value)}${didYouMean(value, allowed)}`);
}

export function checkRange(
  value: number | undefined,
  [least, most]: readonly [number, number],
  path: FieldPath,
  report: Report,
): void {
  if (value === undefined || (value >= least && value <= most)) return;
  const expected = most === Infinity ? `at least ${least}` : `a number from ${least} to ${most}`;
  report(path, `expected ${expected}, got ${value}`);
}

/** Exactly one of the fields is set; `none` tells that it may also be none. */
export function checkExactlyOne(
  value: object,
  fields: readonly string[],
  path: FieldPath,
  report: Report,
): void {
  const set = fields.filter((f) => Object.hasOwn(value, f));
  if (set.length === 1) return;
  const got = set.length === 0 ? "none" : set.join(" and ");
  report(path, `expected exactly one of ${fields.join(", ")}; got ${got}`);
}

/** Reports a value that stood before; `seen` is where to remember it. */
export function checkUnique(
  value: string | undefined,
  seen: Map<string, FieldPath>,
  path: FieldPath,
  what: string,
  report: Report,
): void {
  if (value === undefined) return;
  if (seen.has(value)) report(path, `${what} ${shown(value)} stands twice; expected unique ones`);
  else seen.set(value, path);
}

export const pullPolicies = ["Always", "IfNotPresent", "Never"] as const;

export function checkImage(image: string | undefined, at: FieldPath, report: Report): void {
  checkPresent(image, at, "the name of an image", report);
  if (image && /\s/.test(image)) report(at, `expected a name without spaces, got ${shown(image)}`);
}
