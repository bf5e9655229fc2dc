/**
 * A box for one value with one reader: the newest value replaces an unread one, so a slow reader never works off old
 * wishes. Not for: queues.
 */

export type Wake = "mail" | "nudge" | "time" | "abort";

export interface Mailbox<T> {
  /** Replaces what was not taken yet. */
  put(value: T): void;
  /** Wakes the reader without a value. */
  nudge(): void;
  /** The unread value, which then is read; `undefined` when there is none. */
  take(): T | undefined;
  /**
   * Resolves at once when there is an unread value or an unseen nudge; else when one comes, when the clock passes
   * `until` (milliseconds of `monotonic`), or when the signal aborts. The value stays until it is taken.
   */
  wait(signal: AbortSignal, until?: number): Promise<Wake>;
}

export function createMailbox<T>(monotonic: () => number = () => performance.now()): Mailbox<T> {
  let mail: { value: T } | undefined;
  let nudged = false;
  let wake: (() => void) | undefined;

  const waiting = (signal: AbortSignal): Wake | undefined => {
    if (signal.aborted) return "abort";
    if (mail !== undefined) return "mail";
    if (!nudged) return undefined;
    nudged = false;
    return "nudge";
  };

  return {
    put(value) {
      mail = { value };
      wake?.();
    },
    nudge() {
      nudged = true;
      wake?.();
    },
    take() {
      const taken = mail?.value;
      mail = undefined;
      return taken;
    },
    async wait(signal, until) {
      for (;;) {
        const reason = waiting(signal);
        if (reason !== undefined) return reason;
        const left = until === undefined ? undefined : until - monotonic();
        if (left !== undefined && left <= 0) return "time";
        await pauseUntil((resolve) => wake = resolve, left, signal);
        wake = undefined;
      }
    },
  };
}

/** Until `arm`'s argument is called, the time is over (timers know at most 2^31 - 1 ms), or the signal aborts. */
async function pauseUntil(
  arm: (resolve: () => void) => void,
  ms: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  arm(end);
  const timer = ms === undefined ? undefined : setTimeout(end, Math.min(Math.ceil(ms), 2 ** 31 - 1));
  signal.addEventListener("abort", end, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", end);
}
