/** What the probes of one container were answered last, for people. Pure. Not for: what follows from it (probe.ts). */
import { type ProbeKind, probeKinds, type ProbeResult, type Watch } from "./probe.ts";

export type ProbeCounts = Readonly<Partial<Record<ProbeResult["outcome"], number>>>;

export interface ProbeReport {
  container: string;
  kind: ProbeKind;
  /** So many answers of each outcome since the container, or the agent, began; absent: none. */
  counts?: ProbeCounts;
  /** Absent: it has not been asked yet. */
  last?: ProbeResult & {
    secondsAgo: number;
    /** So many answers in a row were good, or were not; those that said nothing count for neither. */
    inARow: number;
  };
}

/** @param steady monotonic ms */
export const reportProbes = (
  container: string,
  w: Watch,
  steady: number,
  counted: ReadonlyMap<ProbeKind, ProbeCounts> = new Map(),
): ProbeReport[] =>
  probeKinds.flatMap((kind): ProbeReport[] => {
    const track = w.tracks[kind];
    if (track === undefined) return [];
    const { said, run } = track;
    const counts = counted.get(kind);
    const counting = counts === undefined ? {} : { counts };
    if (said === undefined) return [{ container, kind, ...counting }];
    const { outcome, message, at } = said;
    const secondsAgo = Math.max(0, Math.round((steady - at) / 1000));
    return [{ container, kind, ...counting, last: { outcome, message, secondsAgo, inARow: run } }];
  });
