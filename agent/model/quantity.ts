/**
 * Quantities as the API writes them (`250m`, `64Mi`, `1e3`): reading and comparing. Not for: what they mean to a cgroup.
 *
 * Source: k8s.io/apimachinery/pkg/api/resource, quantity.go (grammar in the type's comment).
 */

const factors: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

const grammar = /^([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,3})|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)$/;

/**
 * The quantity in base units (cores, bytes, counts); fractions stay (`250m` is 0.25). `undefined` when it is none. Exact
 * for what fits a double; larger quantities lose their last digits.
 */
export function parseQuantity(text: string): number | undefined {
  const match = grammar.exec(text);
  if (match === null) return undefined;
  const [, sign, digits, exponent, suffix] = match;
  // One decimal parse (`250e-3`) is exact where multiplying by 0.001 is not.
  const decimal = { n: "-9", u: "-6", m: "-3" }[suffix ?? ""] ?? exponent;
  const value = decimal === undefined
    ? Number(digits) * (factors[suffix ?? ""] ?? 1)
    : Number(`${digits}e${decimal}`);
  if (!Number.isFinite(value)) return undefined;
  return sign === "-" && value !== 0 ? -value : value;
}

/** An amount of a resource in base units as the API writes it: CPU in thousandths (`250m`), all else in `Ki`, `Mi`, …. */
export function formatQuantity(resource: string, amount: number): string {
  if (resource === "cpu") {
    const milli = Math.ceil(Math.round(amount * 1e6) / 1e3);
    return milli % 1000 === 0 ? `${milli / 1000}` : `${milli}m`;
  }
  return shortened(Math.ceil(amount), ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki"]);
}

/** A count as the API writes it: `1k`, `250`. */
export const formatCount = (count: number): string =>
  shortened(Math.ceil(count), ["E", "P", "T", "G", "M", "k"]);

/** With the first suffix that leaves a whole number. */
function shortened(whole: number, suffixes: readonly string[]): string {
  const suffix = suffixes.find((s) => whole !== 0 && whole % factors[s]! === 0);
  return suffix === undefined ? `${whole}` : `${whole / factors[suffix]!}${suffix}`;
}
