/**
 * How long containers have run, and been ended, on a clock that never jumps: the runtime's times are of one that may be
 * set. Pure. Not for: what users are shown, which are the runtime's times.
 */
import type { ObservedPod } from "./observed.ts";

/** In monotonic ms. Times before the agent's own are taken from the runtime, as of the first look. */
export interface Span {
  began: number;
  ended?: number;
}

export type Spans = ReadonlyMap<string, Span>;

export interface Clocks {
  /** Milliseconds since the epoch. */
  now: number;
  /** Monotonic milliseconds. */
  steady: number;
}

/** @returns by container id, for those that are there; what was known of them stays. */
export function noteSpans(known: Spans, o: ObservedPod, { now, steady }: Clocks): Spans {
  const since = (time: number | undefined) => steady - Math.max(0, now - (time ?? now));
  return new Map(o.containers.map((c) => {
    const before = known.get(c.id);
    if (c.state !== "exited") return [c.id, before ?? { began: since(c.startedAt) }];
    if (before?.ended !== undefined) return [c.id, before];
    const ended = since(c.finishedAt ?? c.createdAt);
    const ran = Math.max(0, (c.finishedAt ?? 0) - (c.startedAt ?? c.finishedAt ?? 0));
    return [c.id, { began: before?.began ?? ended - ran, ended }];
  }));
}

/** In ms; both at least 0. */
export interface Ended {
  ran: number;
  ago: number;
}

export function endedOf(span: Span | undefined, steady: number): Ended | undefined {
  if (span?.ended === undefined) return undefined;
  return { ran: Math.max(0, span.ended - span.began), ago: Math.max(0, steady - span.ended) };
}
