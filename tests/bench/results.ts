/**
 * What was measured, as rows of numbers with the targets beside them. Pure: samples in, rows out. Not for: printing.
 */
import type { BinaryFacts } from "./measures/binary.ts";
import type { Burst, Crowd } from "./measures/crowd.ts";
import { costOfOne, type ProbeCosts } from "./measures/probes.ts";
import type { Life } from "./measures/lives.ts";
import { summarize, type Summary } from "./stats.ts";

export interface PeerResults {
  name: string;
  lives: readonly Life[];
  crowd: Crowd | undefined;
  /** The crowd once more, with three probes in each pod. */
  probed: Burst | undefined;
  probes: ProbeCosts | undefined;
  /** ms that commands in a container took. */
  execs: readonly number[] | undefined;
}

export interface Row {
  what: string;
  unit: string;
  /** By name of the peer. */
  values: Record<string, Summary | number>;
  /** What the agent's value (p50 of a summary) may not exceed. */
  atMost?: number;
}

const AGENT = "agent";
const FLOOR = "floor";

export const valueOf = (value: Summary | number | undefined): number =>
  value === undefined ? NaN : typeof value === "number" ? value : value.p50;

/** `undefined` when the row has no target or the agent no number. */
export function isReached({ values, atMost }: Row): boolean | undefined {
  const value = valueOf(values[AGENT]);
  return atMost === undefined || Number.isNaN(value) ? undefined : value <= atMost;
}

type Pick = (peer: PeerResults) => Summary | number | undefined;

function row(peers: readonly PeerResults[], what: string, unit: string, pick: Pick, atMost?: number): Row {
  const values = Object.fromEntries(peers.flatMap((peer) => {
    const value = pick(peer);
    return value === undefined || Number.isNaN(valueOf(value)) ? [] : [[peer.name, value]];
  }));
  return atMost === undefined || Number.isNaN(atMost)
    ? { what, unit, values }
    : { what, unit, values, atMost };
}

const summaryOf = (key: keyof Life): Pick => ({ lives }) =>
  summarize(lives.flatMap((life) => life[key] === undefined ? [] : [life[key]]));

/** How much slower than the bare calls a start may be, at the median. */
const ABOVE_FLOOR_MS = 50;

function lifeRows(peers: readonly PeerResults[]): Row[] {
  const floor = peers.find((peer) => peer.name === FLOOR);
  const atMost = (key: keyof Life): number => valueOf(floor && summaryOf(key)(floor)) + ABOVE_FLOOR_MS;
  return [
    row(peers, "manifest written → container runs", "ms", summaryOf("started"), atMost("started")),
    row(peers, "manifest written → status Running", "ms", summaryOf("shown"), atMost("shown")),
    row(peers, "container ended → next one created", "ms", summaryOf("reissued"), 100),
    row(peers, "container ended → runs again", "ms", summaryOf("restarted")),
    row(peers, "manifest removed → all is gone", "ms", summaryOf("gone")),
  ];
}

function crowdRows(peers: readonly PeerResults[]): Row[] {
  const count = peers.find((peer) => peer.crowd !== undefined)?.crowd?.pods ?? 0;
  const one = (
    what: string,
    unit: string,
    pick: (crowd: Crowd) => number | undefined,
    atMost?: number,
  ): Row => row(peers, what, unit, ({ crowd }) => crowd && pick(crowd), atMost);
  return [
    one(`${count} pods at once → half of the containers run`, "ms", (c) => c.halfStarted),
    one(`${count} pods at once → last container runs`, "ms", (c) => c.started),
    one(`${count} pods at once → all Running`, "ms", (c) => c.shown),
    one(`${count} pods removed → all gone`, "ms", (c) => c.gone),
    one(`start under ${count} pods → status true`, "ms", (c) => c.truthful, 2000),
    one("containers restarted by that", "", (c) => c.restarted, 0),
    ...[[0, 60], [10, undefined], [count, 80]].flatMap(([pods, atMost]) => [
      one(`memory with ${pods} pods: resident`, "MiB", (c) => c.memory.get(pods!)?.rss, atMost),
      one(`memory with ${pods} pods: anonymous`, "MiB", (c) => c.memory.get(pods!)?.anonymous),
      one(`memory with ${pods} pods: Pss`, "MiB", (c) => c.memory.get(pods!)?.pss),
    ]),
    one(`idle with ${count} pods: CPU of a core`, "%", (c) => c.idle?.cpu, 0.3),
    one(`idle with ${count} pods: written`, "bytes", (c) => c.idle?.writtenBytes, 0),
    one(
      `idle with ${count} pods: requests of the API server`,
      "a minute",
      ({ idle }) => idle?.requests && Object.values(idle.requests).reduce((sum, n) => sum + n, 0),
    ),
  ];
}

function probedRows(peers: readonly PeerResults[]): Row[] {
  const count = peers.find((peer) => peer.probed !== undefined)?.probed?.pods ?? 0;
  const what = `${count} pods with three probes each`;
  const one = (text: string, unit: string, pick: (burst: Burst) => number | undefined, atMost?: number) =>
    row(peers, text, unit, ({ probed }) => probed && pick(probed), atMost);
  return [
    one(`${what} at once → all ready`, "ms", (b) => b.shown),
    one(`start under ${what} → status true`, "ms", (b) => b.truthful, 2000),
    one("containers restarted by that", "", (b) => b.restarted, 0),
    one(`idle with ${what}: CPU of a core`, "%", (b) => b.idle?.cpu, 1),
    one(`idle with ${what}: written`, "bytes", (b) => b.idle?.writtenBytes, 0),
    one(`idle with ${what}: resident`, "MiB", (b) => b.rss, 80),
  ];
}

/** Per cent of a core that 200 probes a second may cost. */
const FEW_PER_CENT = 5;

function probeRows(peers: readonly PeerResults[]): Row[] {
  const scaled = (kind: "http" | "tcp") => ({ probes }: PeerResults) =>
    probes && costOfOne(probes[kind]) * 200 / 10;
  return [
    row(peers, "200 http probes a second: CPU of a core", "%", scaled("http"), FEW_PER_CENT),
    row(peers, "200 tcp probes a second: CPU of a core", "%", scaled("tcp"), FEW_PER_CENT),
    row(
      peers,
      "an exec probe: CPU, without the runtime's",
      "ms",
      ({ probes }) => probes && costOfOne(probes.exec),
    ),
    row(peers, "a command in a container: request → end", "ms", ({ execs }) => execs && summarize(execs)),
  ];
}

export function createRows(peers: readonly PeerResults[], binary: BinaryFacts): Row[] {
  return [
    ...lifeRows(peers),
    ...(peers.some((peer) => peer.crowd !== undefined) ? crowdRows(peers) : []),
    ...(peers.some((peer) => peer.probed !== undefined) ? probedRows(peers) : []),
    ...probeRows(peers).filter((row) => Object.keys(row.values).length > 0),
    { what: "size of the binary", unit: "MiB", values: { [AGENT]: binary.size } },
    { what: "agent version, the first time", unit: "ms", values: { [AGENT]: binary.firstStart } },
    { what: "agent version", unit: "ms", values: { [AGENT]: summarize(binary.laterStarts) } },
  ];
}
