/** Answers that hold for a time, bounded in number: one question at a time for all who ask the same. Not for: what is asked. */

import { putNewest } from "./bounded_map.ts";

export interface Held<T> {
  value: T;
  /** How long it holds, in ms. */
  ms: number;
}

export interface Remembered<T> {
  /** What holds, or what `ask` answers; a failure is not kept. */
  get(key: string, ask: () => Promise<Held<T>>): Promise<T>;
}

/** @param most answers that are kept; the oldest go first. */
export function createRemembered<T>(most: number, monotonic: () => number): Remembered<T> {
  const held = new Map<string, { value: T; until: number }>();
  const asking = new Map<string, Promise<T>>();

  async function fresh(key: string, ask: () => Promise<Held<T>>): Promise<T> {
    const { value, ms } = await ask();
    putNewest(held, key, { value, until: monotonic() + ms }, most);
    return value;
  }

  return {
    async get(key, ask) {
      const known = held.get(key);
      if (known !== undefined && monotonic() < known.until) return known.value;
      const under = asking.get(key);
      if (under !== undefined) return await under;
      const asked = fresh(key, ask).finally(() => asking.delete(key));
      asking.set(key, asked);
      return await asked;
    },
  };
}
