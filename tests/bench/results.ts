/**
 * What was measured, as rows of numbers with the targets beside them. Pure: samples in, rows out. Not for: printing.
 */
import type { BinaryFacts } from "./measures/binary.ts";
import type { Burst } from "./measures/bursts.ts";
import type { Life } from "./measures/lives.ts";
import { LOG_MIB } from "./measures/logs.ts";
import { costOfOne, type ProbeCosts } from "./measures/probes.ts";
import type { Crowd, Rest, RestResult } from "./measures/rest.ts";
import type { Start } from "./measures/starts.ts";
import { summarize, type Summary } from "./stats.ts";

/** Of one peer; absent is what was not asked for, or what it cannot. */
export interface PeerResults {
  name: string;
  lives?: readonly Life[] | undefined;
  bursts?: readonly Burst[] | undefined;
  starts?: readonly Start[] | undefined;
  /** ms until an edit was seen in a volume. */
  contents?: number | undefined;
  /** ms that commands in a container took. */
  exec?: readonly number[] | undefined;
  /** ms that reading a log took. */
  logs?: readonly number[] | undefined;
  rest?: RestResult | undefined;
  probes?: ProbeCosts | undefined;
}

export interface Row {
  what: string;
  unit: string;
  /** By name of the peer. Less is better. */
  values: Record<string, Summary | number>;
  /** What the agent's value (p50 of a summary) may not exceed. */
  atMost?: number;
}

const AGENT = "agent";
const FLOOR = "floor";
const KUBELETS = { agent: "kubelet", joined: "joined kubelet" };

export const valueOf = (value: Summary | number | undefined): number =>
  value === undefined ? NaN : typeof value === "number" ? value : value.p50;

/** `undefined` when the row has no target or the agent no number. */
export function isReached({ values, atMost }: Row): boolean | undefined {
  const value = valueOf(values[AGENT]);
  return atMost === undefined || Number.isNaN(value) ? undefined : value <= atMost;
}

/** Who is worse than the kubelet in the same place, by more than one measures alike. */
export const aboveKubelet = ({ values }: Row): string[] =>
  Object.entries(KUBELETS).filter(([ours, theirs]) => valueOf(values[ours]) > 1.05 * valueOf(values[theirs]))
    .map(([ours]) => ours);

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

/** Of what not every sample has. */
const summaryOf = <T>(samples: readonly T[] | undefined, pick: (sample: T) => number | undefined) =>
  summarize((samples ?? []).map(pick).filter((n) => n !== undefined));

/** How much slower than the bare calls a start may be, at the median. */
const ABOVE_FLOOR_MS = 50;

function lifeRows(peers: readonly PeerResults[]): Row[] {
  const of = (key: keyof Life): Pick => ({ lives }) => summaryOf(lives, (life) => life[key]);
  const floor = peers.find((peer) => peer.name === FLOOR);
  const atMost = (key: keyof Life): number => valueOf(floor && of(key)(floor)) + ABOVE_FLOOR_MS;
  return [
    row(peers, "pod written → container runs", "ms", of("started"), atMost("started")),
    row(peers, "pod written → status Running", "ms", of("shown"), atMost("shown")),
    row(peers, "container ended → next one created", "ms", of("reissued"), 100),
    row(peers, "container ended → runs again", "ms", of("restarted")),
    row(peers, "pod removed → stopped and forgotten", "ms", of("gone")),
  ];
}

function burstRows(peers: readonly PeerResults[]): Row[] {
  const count = peers.find((peer) => peer.bursts !== undefined)?.bursts?.[0]?.pods ?? 0;
  const of = (key: keyof Burst): Pick => ({ bursts }) => summaryOf(bursts, (burst) => burst[key]);
  return [
    row(peers, `${count} pods at once → half of the containers run`, "ms", of("halfStarted")),
    row(peers, `${count} pods at once → last container runs`, "ms", of("started")),
    row(peers, `${count} pods at once → all Running`, "ms", of("shown")),
    row(peers, `${count} pods removed → stopped and forgotten`, "ms", of("gone")),
  ];
}

function serviceRows(peers: readonly PeerResults[]): Row[] {
  const ms = (samples: readonly number[] | undefined) => samples && summarize(samples);
  return [
    row(
      peers,
      "program started → waiting pod runs",
      "ms",
      ({ starts }) => summaryOf(starts, (s) => s.firstPod),
    ),
    row(peers, "program started → Node Ready", "ms", ({ starts }) => summaryOf(starts, (s) => s.nodeReady)),
    row(peers, "ConfigMap edited → seen in a volume", "ms", ({ contents }) => contents),
    row(peers, "a command in a container: asked → ended", "ms", ({ exec }) => ms(exec)),
    row(peers, `${LOG_MIB} MiB of logs read`, "ms", ({ logs }) => ms(logs)),
  ];
}

/** Without pods, and with more than these. */
const RESIDENT = { without: 60, with: 80 };
const IDLE_CPU = 0.3;

function restRows(peers: readonly PeerResults[]): Row[] {
  const counts = [...new Set(peers.flatMap(({ rest }) => [...rest?.rests.keys() ?? []]))];
  return counts.flatMap((pods) => {
    const one = (
      what: string,
      unit: string,
      pick: (rest: Rest) => number | undefined,
      atMost?: number,
    ): Row =>
      row(peers, `at rest with ${pods} pods: ${what}`, unit, ({ rest }) => {
        const found = rest?.rests.get(pods);
        return found && pick(found);
      }, atMost);
    return [
      one("resident", "MiB", (r) => r.memory.rss, pods === 0 ? RESIDENT.without : RESIDENT.with),
      one("anonymous", "MiB", (r) => r.memory.anonymous),
      one("CPU of a core", "%", (r) => r.cpu, IDLE_CPU),
      one("written", "bytes a minute", (r) => r.writtenBytes, 0),
      one(
        "requests of the API server",
        "a minute",
        ({ requests }) => requests && Object.values(requests).reduce((sum, n) => sum + n, 0),
      ),
    ];
  });
}

function crowdRows(peers: readonly PeerResults[]): Row[] {
  const crowd = peers.find(({ rest }) => rest?.crowd !== undefined)?.rest?.crowd;
  if (crowd === undefined) return [];
  const total = Math.max(...peers.flatMap(({ rest }) => [...rest?.rests.keys() ?? []]));
  const one = (what: string, unit: string, key: keyof Crowd, atMost?: number): Row =>
    row(peers, what, unit, ({ rest }) => rest?.crowd?.[key], atMost);
  return [
    one(`${crowd.pods} pods more at once → last container runs`, "ms", "started"),
    one(`${crowd.pods} pods more at once → all Running`, "ms", "shown"),
    one(`start under ${total} pods → status true`, "ms", "truthful", 2000),
    one("containers restarted by that", "", "restarted", 0),
    one(`${total} pods removed → stopped and forgotten`, "ms", "gone"),
  ];
}

/** Per cent of a core that 200 probes a second may cost. */
const FEW_PER_CENT = 5;

function probeRows(peers: readonly PeerResults[]): Row[] {
  const scaled = (kind: "http" | "tcp"): Pick => ({ probes }) => probes && costOfOne(probes[kind]) * 200 / 10;
  const exec: Pick = ({ probes }) => probes && costOfOne(probes.exec);
  return [
    row(peers, "200 http probes a second: CPU of a core", "%", scaled("http"), FEW_PER_CENT),
    row(peers, "200 tcp probes a second: CPU of a core", "%", scaled("tcp"), FEW_PER_CENT),
    row(peers, "an exec probe: CPU, without the runtime's", "ms", exec),
  ];
}

const binaryRows = (binary: BinaryFacts): Row[] => [
  { what: "size of the binary", unit: "MiB", values: { [AGENT]: binary.size } },
  { what: "agent version, the first time", unit: "ms", values: { [AGENT]: binary.firstStart } },
  { what: "agent version", unit: "ms", values: { [AGENT]: summarize(binary.laterStarts) } },
];

/** Rows in which somebody has a number. */
export function createRows(peers: readonly PeerResults[], binary?: BinaryFacts): Row[] {
  const rows = [lifeRows, burstRows, serviceRows, restRows, crowdRows, probeRows].flatMap((of) => of(peers));
  return [...rows, ...binary === undefined ? [] : binaryRows(binary)]
    .filter(({ values }) => Object.keys(values).length > 0);
}
