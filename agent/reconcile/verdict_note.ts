/**
 * Keeps what probes have said beside the pod, so that a new run of the agent takes none in or out of service: written
 * before it is shown, and only when it changed. Not for: what is said (model/probe.ts).
 */
import { formatSaid, parseSaid, type Said } from "../model/probe_note.ts";

export interface VerdictNote {
  readonly exists: boolean;
  /** What the run of the agent before this one kept; `undefined` when there was nothing. */
  recall(text: string | undefined): ReadonlyMap<string, Said> | undefined;
  /** Resolves when it is kept, or cannot be. */
  keep(said: ReadonlyMap<string, Said>): Promise<void>;
  /** From here on nothing is written: the pod goes. */
  end(): void;
}

/** @param write never rejects */
export function createVerdictNote(write: (text: string) => Promise<void>): VerdictNote {
  let kept: string | undefined;
  let last = Promise.resolve();
  let ended = false;
  return {
    get exists() {
      return kept !== undefined;
    },
    recall(text) {
      const said = parseSaid(text);
      kept = said === undefined ? undefined : text;
      return said;
    },
    keep(said) {
      const text = formatSaid(said);
      if (ended || text === kept) return last;
      kept = text;
      return last = last.then(() => text === kept && !ended ? write(text) : undefined);
    },
    end: () => void (ended = true),
  };
}
