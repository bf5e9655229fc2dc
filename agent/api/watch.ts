/**
 * Watching a list as JSON lines, `{ type, object }` as the API server's watch. Level, not edge: a change only wakes the
 * watcher, which compares the list with what it sent last; so a slow reader gets fewer lines and costs no memory.
 * Not for: what the lists hold.
 */

export type WatchType = "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";

export interface WatchLine {
  type: WatchType;
  object: unknown;
}

/** A list that can be watched. `object` is asked for only when an item is new or changed. */
export interface Watched<T> {
  items(): readonly T[];
  key(item: T): string;
  object(item: T): unknown;
}

/** The lines that lead from what was sent to what is there now; `sent` is brought up to date. */
export function diffWatched<T>(watched: Watched<T>, sent: Map<string, T>): WatchLine[] {
  const lines: WatchLine[] = [];
  const present = new Set<string>();
  for (const item of watched.items()) {
    const key = watched.key(item);
    present.add(key);
    const known = sent.get(key);
    if (known === item) continue;
    if (known === undefined) lines.push({ type: "ADDED", object: watched.object(item) });
    else if (JSON.stringify(known) !== JSON.stringify(item)) {
      lines.push({ type: "MODIFIED", object: watched.object(item) });
    }
    sent.set(key, item);
  }
  for (const [key, item] of [...sent]) {
    if (present.has(key)) continue;
    sent.delete(key);
    lines.push({ type: "DELETED", object: watched.object(item) });
  }
  return lines;
}

/** What the watcher needs of the status store. */
export type Subscribe = (listener: () => void, signal: AbortSignal) => void;

/** What marks the end of the first items where it is asked for (sendInitialEvents), as the API server's watch-list does. */
const initialEnd: WatchLine = {
  type: "BOOKMARK",
  object: { metadata: { annotations: { "k8s.io/initial-events-end": "true" } } },
};

/** First every item as ADDED, then each change. Ends when the reader goes away or `signal` aborts. */
export function watchStream<T>(
  watched: Watched<T>,
  subscribe: Subscribe,
  signal: AbortSignal,
  options: { markInitialEnd?: boolean } = {},
): ReadableStream<Uint8Array> {
  const marks = options.markInitialEnd === true ? [initialEnd] : [];
  const sent = new Map<string, T>();
  const encoder = new TextEncoder();
  const gone = new AbortController();
  const ended = AbortSignal.any([signal, gone.signal]);
  let dirty = true;
  let wake = () => {};
  subscribe(() => {
    dirty = true;
    wake();
  }, ended);
  ended.addEventListener("abort", () => wake(), { once: true });
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      for (;;) {
        if (gone.signal.aborted) return;
        if (ended.aborted) return controller.close();
        if (dirty) {
          dirty = false;
          const lines = [...diffWatched(watched, sent), ...marks.splice(0)].map((line) =>
            JSON.stringify(line) + "\n"
          );
          if (lines.length > 0) return controller.enqueue(encoder.encode(lines.join("")));
          continue;
        }
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    cancel: () => gone.abort(),
  }, { highWaterMark: 0 });
}
