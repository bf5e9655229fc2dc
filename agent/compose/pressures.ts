/** What the node is short of now, for all who go by it. Not for: finding out (node/eviction.ts). */
import { createListeners, type Listeners } from "../lib/listeners.ts";
import type { Pressure } from "../model/eviction_thresholds.ts";

export interface Pressures {
  get(): ReadonlySet<Pressure>;
  set(pressures: ReadonlySet<Pressure>): void;
  /** Told when others are there than before. */
  changes: Pick<Listeners<void>, "subscribe">;
}

export function createPressures(): Pressures {
  const changes = createListeners<void>();
  let now: ReadonlySet<Pressure> = new Set();
  return {
    get: () => now,
    set(pressures) {
      if (pressures.symmetricDifference(now).size === 0) return;
      now = pressures;
      changes.tell();
    },
    changes,
  };
}
