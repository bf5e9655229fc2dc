/**
 * From an async generator to a response body that ends when the reader leaves, when the server stops, or when the
 * generator does. Not for: what is streamed.
 */

/** The generator gets a signal that aborts when the reader has left or the server stops; it may throw then. */
export function streamOf(
  produce: (signal: AbortSignal) => AsyncGenerator<Uint8Array>,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const ended = AbortSignal.any([signal, gone.signal]);
  const chunks = produce(ended);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await chunks.next();
        if (gone.signal.aborted) return;
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      } catch (error) {
        if (gone.signal.aborted) return;
        if (ended.aborted) controller.close();
        else controller.error(error);
      }
    },
    async cancel() {
      gone.abort();
      // Between two chunks the generator waits for nobody but us; it may hold a file.
      await chunks.return(undefined).catch(() => {});
    },
  }, { highWaterMark: 0 });
}

const encoder = new TextEncoder();

export const jsonLine = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value) + "\n");
