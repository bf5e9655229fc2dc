/** At most N pieces of work at once, in the order of asking. Not for: deciding what may run. */

export interface Gate {
  /** Waits for a place, works, gives the place back. Rejects with the signal's reason when aborted while waiting. */
  run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createGate(places: number): Gate {
  let free = places;
  const waiting: (() => void)[] = [];
  const leave = () => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };
  const enter = (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    if (free > 0) {
      free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const give = () => {
        signal.removeEventListener("abort", quit);
        resolve();
      };
      const quit = () => {
        waiting.splice(waiting.indexOf(give), 1);
        reject(signal.reason);
      };
      waiting.push(give);
      signal.addEventListener("abort", quit, { once: true });
    });
  };
  return {
    async run(work, signal) {
      await enter(signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
