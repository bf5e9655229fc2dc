/** What the environment asks of the bench. Pure. */

export interface Options {
  peers: string[];
  /** `binary` beside those that are measured of peers. */
  measures: string[];
  /** Lives of one pod, and commands, of each peer. */
  rounds: number;
  burst: { count: number; rounds: number };
  /** Starts of the program. */
  starts: number;
  rest: { count: number; seconds: number; probed: boolean };
}

/** What takes minutes and is asked for by name. */
const LONG = ["probes"];

/**
 * PEERS and MEASURES: names, with commas between them. ROUNDS (8), BURST (20) pods in BURST_ROUNDS (2), STARTS (2), PODS (110)
 * at rest for SECONDS (30), PROBED (1: each with three probes).
 * @throws naming the variable, and what there is
 */
export function readOptions(
  env: Readonly<Record<string, string | undefined>>,
  all: { peers: readonly string[]; measures: readonly string[] },
): Options {
  const names = (name: string, known: readonly string[], otherwise: readonly string[]): string[] => {
    const wanted = env[name]?.split(",") ?? [...otherwise];
    const unknown = wanted.find((one) => !known.includes(one));
    if (unknown !== undefined) {
      throw new Error(`${name}: there is no ${unknown}; there are ${known.join(", ")}`);
    }
    return wanted;
  };
  const number = (name: string, otherwise: number): number => {
    const value = Number(env[name] ?? otherwise);
    if (!Number.isInteger(value) || value < 0) throw new Error(`${name}: "${env[name]}" is not a count`);
    return value;
  };
  const measures = [...all.measures, "binary"];
  return {
    peers: names("PEERS", all.peers, all.peers),
    measures: names("MEASURES", measures, measures.filter((one) => !LONG.includes(one))),
    rounds: number("ROUNDS", 8),
    burst: { count: number("BURST", 20), rounds: number("BURST_ROUNDS", 2) },
    starts: number("STARTS", 2),
    rest: { count: number("PODS", 110), seconds: number("SECONDS", 30), probed: env.PROBED === "1" },
  };
}
