/**
 * The one supervisor of long-lived loops: an error is logged and followed by a pause, and an abort is a normal
 * return. Not for: work that ends by itself.
 */
import type { Log } from "./log.ts";
import { pause } from "./pause.ts";

export interface BackOff {
  /** First pause, in milliseconds; doubles with each failure. */
  initialMs: number;
  /** Longest pause; a run that lasted longer than this starts anew with the first. */
  maxMs: number;
}

export interface ForeverOptions {
  signal: AbortSignal;
  log: Log;
  backOff?: BackOff;
  /** In [0, 1); spreads the pauses, so that loops that failed together do not return together. */
  random?: () => number;
  monotonic?: () => number;
  /** Ends early, normally, when the signal aborts. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const defaultBackOff: BackOff = { initialMs: 250, maxMs: 30_000 };

/**
 * Runs `run` again and again until the signal aborts. It never rejects. `run` should last; when it returns or throws
 * without an abort, that is logged under its name and it is started anew after a pause.
 */
export async function runForever(
  name: string,
  run: (signal: AbortSignal) => Promise<void>,
  options: ForeverOptions,
): Promise<void> {
  const { signal, log, backOff = defaultBackOff, random = Math.random } = options;
  const { monotonic = () => performance.now(), pause: wait = pause } = options;
  let failures = 0;
  while (!signal.aborted) {
    const startedAt = monotonic();
    const problem = await attempt(run, signal);
    if (signal.aborted) return;
    if (monotonic() - startedAt > backOff.maxMs) failures = 0;
    const ms = jittered(Math.min(backOff.maxMs, backOff.initialMs * 2 ** Math.min(failures++, 30)), random());
    log[problem === undefined ? "info" : "warn"]("task ended and is started anew", {
      task: name,
      error: problem,
      pauseMs: Math.round(ms),
    });
    await wait(ms, signal);
  }
}

async function attempt(run: (signal: AbortSignal) => Promise<void>, signal: AbortSignal) {
  try {
    await run(signal);
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}

/** Between 80 and 100 percent. */
const jittered = (ms: number, random: number) => ms * (0.8 + 0.2 * random);

const textOf = (error: unknown) => error instanceof Error ? error.message || error.name : String(error);
