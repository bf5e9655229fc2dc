/**
 * The pause before a watch is opened again, which ends soon when the API server, having been silent, answers something else:
 * after hours without it nobody waits out the longest pause. Not for: how long it is (retry.ts), nor noticing (offline/heard.ts).
 */
import type { Listeners } from "../../lib/listeners.ts";
import { backSpread } from "./retry.ts";

export interface RestOptions {
  /** Tells that the API server answers after a silence. */
  back: Listeners<void> | undefined;
  /** Called then, whether something rests or not. */
  returned(): void;
  wait(ms: number, signal: AbortSignal): Promise<void>;
  random(): number;
}

/** Until the signal. @returns what rests until `ms` have passed, or until a while after the API server is back */
export function createRest(
  { back, returned, wait, random }: RestOptions,
  signal: AbortSignal,
): (ms: number) => Promise<void> {
  let leave = () => {};
  back?.subscribe(() => {
    returned();
    leave();
  }, signal);
  signal.addEventListener("abort", () => leave(), { once: true });

  return async (ms) => {
    if (signal.aborted) return;
    const leaving = new AbortController();
    leave = () => leaving.abort();
    const until = performance.now() + ms;
    await wait(ms, leaving.signal);
    leave = () => {};
    const left = until - performance.now();
    if (leaving.signal.aborted && left > 0) await wait(Math.min(left, backSpread * random()), signal);
  };
}
