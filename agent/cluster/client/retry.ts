/**
 * Whether and when to ask an API server again; spread out, so that a thousand nodes that lost it together do not return
 * together. Pure. Not for: waiting.
 */
import { ApiError } from "./api_error.ts";

export interface BackOff {
  /** In ms. */
  first: number;
  most: number;
}

export const requestBackOff: BackOff = { first: 200, most: 5_000 };
export const watchBackOff: BackOff = { first: 800, most: 30_000 };
/** Within so long all watches are opened again when the API server is back after a silence, in ms. */
export const backSpread = 2_000;

/** Between half and all of an exponential pause. `random` is in [0, 1). */
export const pauseBefore = (attempt: number, { first, most }: BackOff, random: number): number =>
  Math.min(most, first * 2 ** Math.min(attempt, 20)) * (0.5 + 0.5 * random);

/** A server that asks for a pause gets it, and up to a fifth more, for others were told the same. */
const asTold = (ms: number, random: number) => ms * (1 + 0.2 * random);

const triesWhenTold = 10;
const triesWhenUnreachable = 3;

/**
 * In ms, or `undefined`: the error is the answer. What may have happened is not asked for twice: only a request that reads
 * is repeated when there was no answer.
 */
export function retryPause(
  error: unknown,
  asked: { reads: boolean; attempt: number },
  random: number,
): number | undefined {
  if (!(error instanceof ApiError)) return undefined;
  const { reads, attempt } = asked;
  if (error.retryAfter !== undefined && (error.code === 429 || error.code >= 500)) {
    return attempt < triesWhenTold ? asTold(error.retryAfter, random) : undefined;
  }
  if (error.code === 429) {
    return attempt < triesWhenTold ? pauseBefore(attempt, requestBackOff, random) : undefined;
  }
  const again = error.reason === "Unreachable" || error.reason === "Malformed" || error.code >= 500;
  return again && reads && attempt < triesWhenUnreachable
    ? pauseBefore(attempt, requestBackOff, random)
    : undefined;
}

/** Before a watch is opened again. */
export function watchPause(error: unknown, attempt: number, random: number): number {
  const own = pauseBefore(attempt, watchBackOff, random);
  return error instanceof ApiError && error.retryAfter !== undefined
    ? Math.max(own, asTold(error.retryAfter, random))
    : own;
}
