/**
 * Which events are worth an object of their own at the API server: many that differ only in their messages become one, and
 * an object that never stops complaining is heard now and then. Source: client-go's tools/record, events_cache.go. Not
 * for: sending them (events.ts).
 */
import { putNewest } from "../../lib/bounded_map.ts";
import type { AgentEvent } from "../../model/status_types.ts";

export interface Correlated {
  /** The same for what becomes one object. */
  key: string;
  event: AgentEvent;
}

export interface Correlator {
  /** What is to be sent for it; `undefined`: nothing, this time. */
  correlate(event: AgentEvent, now: number): Correlated | undefined;
}

/** So many messages of one kind in `similarMs`, then they are combined. */
const mostSimilar = 10;
const similarMs = 10 * 60_000;
/** Of one object: so many events at once, and one more each `refillMs`. */
const burst = 25;
const refillMs = 300_000;
/** Objects and kinds of events that are remembered. */
const mostKnown = 4096;

interface Similar {
  messages: Set<string>;
  count: number;
  first: number;
  last: number;
}

export function createCorrelator(): Correlator {
  const similar = new Map<string, Similar>();
  const budgets = new Map<string, { tokens: number; at: number }>();

  function combined(event: AgentEvent, now: number): Correlated {
    const kind = [event.object, event.type, event.reason];
    const known = similar.get(JSON.stringify(kind));
    const group = known === undefined || now - known.last > similarMs
      ? { messages: new Set<string>(), count: 0, first: now, last: now }
      : known;
    group.last = now;
    putNewest(similar, JSON.stringify(kind), group, mostKnown);
    if (group.messages.has(event.message) || group.messages.size < mostSimilar - 1) {
      group.messages.add(event.message);
      return { key: JSON.stringify([...kind, event.fieldPath, event.message]), event };
    }
    group.count++;
    const message = `(combined from similar events): ${event.message}`;
    const times = { count: group.count, firstTimestamp: group.first, lastTimestamp: now };
    return { key: JSON.stringify([...kind, group.first]), event: { ...event, ...times, message } };
  }

  function affords(event: AgentEvent, now: number): boolean {
    const key = JSON.stringify(event.object);
    const { tokens, at } = budgets.get(key) ?? { tokens: burst, at: now };
    const left = Math.min(burst, tokens + Math.max(0, now - at) / refillMs);
    putNewest(budgets, key, { tokens: left >= 1 ? left - 1 : left, at: now }, mostKnown);
    return left >= 1;
  }

  return {
    correlate(event, now) {
      const sent = combined(event, now);
      return affords(event, now) ? sent : undefined;
    },
  };
}
