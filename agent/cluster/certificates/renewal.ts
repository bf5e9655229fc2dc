/**
 * When a certificate is to be renewed: at a random point between 70 and 90 percent of its life, as the kubelet does it, so
 * that a thousand nodes do not ask at once. Pure. Source: client-go's util/certificate. Not for: asking.
 */

export interface Life {
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
}

export type Renewal =
  | { state: "wait"; ms: number }
  | { state: "due" }
  /** The API server knows it no more: another credential is needed. */
  | { state: "expired" }
  /** The clock is before its beginning: this clock is wrong, or the signer's; it may right itself. */
  | { state: "early"; ms: number };

const longestWait = 24 * 3_600_000;
/** Signers date certificates back by some minutes, for clocks differ. */
const clockLeeway = 60_000;

/** @param random in [0, 1), drawn once for each certificate. */
export function renewalOf({ notBefore, notAfter }: Life, now: number, random: number): Renewal {
  if (now >= notAfter) return { state: "expired" };
  if (now < notBefore - clockLeeway) return { state: "early", ms: Math.min(notBefore - now, longestWait) };
  const at = notBefore + (notAfter - notBefore) * (0.7 + 0.2 * random);
  // A clock may be set meanwhile: it is looked at once a day at least.
  return now >= at ? { state: "due" } : { state: "wait", ms: Math.min(Math.ceil(at - now), longestWait) };
}
