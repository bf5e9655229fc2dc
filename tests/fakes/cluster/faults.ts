/** What goes wrong on purpose: slow, hung, refused, failing or damaged answers, and watches that are cut. */
import type { Seen } from "./audit.ts";

export interface Fault {
  /** Which requests; absent is all. */
  when?(seen: Seen): boolean;
  /** How often; absent is until it is taken away. */
  times?: number;
  /** Before anything else, in ms. */
  delay?: number;
  /** Absent: the request is answered as ever, after the delay. */
  answer?:
    /** The connection ends without an answer. */
    | "drop"
    /** Never answered. */
    | "hang"
    /** 200 with something that is no JSON. */
    | "garbage"
    | { status: number; retryAfter?: number; text?: string };
}

export interface Faults {
  /** Returns what takes it away. */
  add(fault: Fault): () => void;
  /** The first that is meant for the request, counted. */
  take(seen: Seen): Fault | undefined;
}

export function createFaults(): Faults {
  const faults = new Map<Fault, number>();
  return {
    add(fault) {
      faults.set(fault, fault.times ?? Infinity);
      return () => faults.delete(fault);
    },
    take(seen) {
      for (const [fault, left] of faults) {
        if (!(fault.when?.(seen) ?? true)) continue;
        if (left <= 1) faults.delete(fault);
        else faults.set(fault, left - 1);
        return fault;
      }
      return undefined;
    },
  };
}
