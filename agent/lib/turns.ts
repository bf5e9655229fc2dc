/**
 * Work that takes turns: what bears the same key never overlaps and goes in the order that it was asked for; all else at
 * once. Not for: how much runs at once (a gate).
 */

export interface Turns {
  /** Runs the work when all earlier of the key has ended. Rejects with the signal's reason when it aborts before that. */
  take<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Whether anybody has or waits for a turn of the key. */
  busy(key: string): boolean;
}

export function createTurns(): Turns {
  const last = new Map<string, Promise<void>>();

  async function inTurn<T>(before: Promise<void>, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal.reason);
    if (signal.aborted) throw signal.reason;
    signal.addEventListener("abort", leave, { once: true });
    try {
      await Promise.race([before, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
    return await work();
  }

  return {
    take(key, signal, work) {
      const before = last.get(key) ?? Promise.resolve();
      const result = inTurn(before, signal, work);
      // Who leaves early does not let the next one in before those ahead of it are through.
      const ended = Promise.allSettled([before, result]).then(() => {
        if (last.get(key) === ended) last.delete(key);
      });
      last.set(key, ended);
      return result;
    },
    busy: (key) => last.has(key),
  };
}
