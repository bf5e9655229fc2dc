/** Many who want to be told of one thing, each until its signal aborts. Not for: values that are kept (status_store.ts). */

export interface Listeners<T> {
  tell(value: T): void;
  subscribe(listener: (value: T) => void, signal: AbortSignal): void;
}

export function createListeners<T>(): Listeners<T> {
  const all = new Set<(value: T) => void>();
  return {
    tell(value) {
      for (const listener of [...all]) listener(value);
    },
    subscribe(listener, signal) {
      if (signal.aborted) return;
      all.add(listener);
      signal.addEventListener("abort", () => all.delete(listener), { once: true });
    },
  };
}
