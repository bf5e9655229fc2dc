/**
 * Waiting for "look again" hints of a directory, for ever: a watch that ends or breaks is set up anew. Not for: what is
 * looked at.
 */

/** The part of the Host that is needed. */
export interface HintHost {
  watch(directory: string, signal: AbortSignal): AsyncIterable<void>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export interface Hints {
  /** Resolves when a hint has come since the last call, or the time is over, or a signal aborts: the own one, or `leave`. */
  within(ms: number, leave?: AbortSignal): Promise<void>;
  /** After the signal. */
  ended: Promise<void>;
}

const mendMs = 1_000;

/** `directory` is asked for each time a watch is set up. Between two hints nothing is left behind: a quiet directory is watched for years. */
export function listenForHints(
  host: HintHost,
  directory: () => string | Promise<string>,
  signal: AbortSignal,
): Hints {
  let hinted = false;
  let wake = () => {};
  const listen = async () => {
    for await (const _ of watchForEver(host, directory, signal)) {
      hinted = true;
      wake();
    }
  };
  return {
    ended: listen(),
    async within(ms, leave) {
      const woken = new AbortController();
      wake = () => woken.abort();
      const ends = [signal, woken.signal, ...(leave === undefined ? [] : [leave])];
      if (!hinted) await host.sleep(Math.max(ms, 0), AbortSignal.any(ends)).catch(() => {});
      hinted = false;
    },
  };
}

/** Hints for ever; the directory is asked for each time a watch is set up. */
export async function* watchForEver(
  host: HintHost,
  directory: () => string | Promise<string>,
  signal: AbortSignal,
): AsyncGenerator<void> {
  while (!signal.aborted) {
    try {
      yield* host.watch(await directory(), signal);
    } catch {
      // The next look says what is wrong with the directory; looks go on without hints.
    }
    await host.sleep(mendMs, signal).catch(() => {});
    yield;
  }
}
