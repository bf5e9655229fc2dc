/**
 * `make bench`: the agent beside its peers on this machine, in one run. Prints a table and writes dist/bench.json. It
 * judges nothing: a missed target is said and the exit status stays 0, unless something could not be measured.
 * What is measured of whom is told by the environment (options.ts); `make bench MEASURES=rest PEERS=joined` is one row.
 */
import { errorText } from "../../agent/model/errors.ts";
import { type BinaryFacts, measureBinary } from "./measures/binary.ts";
import { measureBursts } from "./measures/bursts.ts";
import { measureContents } from "./measures/contents.ts";
import { measureExec } from "./measures/exec.ts";
import { measureLives } from "./measures/lives.ts";
import { measureLogs } from "./measures/logs.ts";
import { measureProbes } from "./measures/probes.ts";
import { measureRest } from "./measures/rest.ts";
import { measureStarts } from "./measures/starts.ts";
import { type Options, readOptions } from "./options.ts";
import { createAgentPeer } from "./peers/agent.ts";
import { createFloor } from "./peers/floor.ts";
import { createJoinedKubelet, createJoinedPeer } from "./peers/joined.ts";
import { createKubelet } from "./peers/kubelet.ts";
import { NotRunnable, type Peer } from "./peers/peer.ts";
import { createPodmanPeer } from "./peers/podman.ts";
import { createRows, type PeerResults, type Row } from "./results.ts";
import { renderTable } from "./table.ts";

const output = new URL("../../dist/bench.json", import.meta.url);
const say = (text: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
const tell = (text: string): void => {
  const seconds = (performance.now() / 1000).toFixed(0);
  Deno.stderr.writeSync(new TextEncoder().encode(`${seconds.padStart(5)} s  ${text}\n`));
};

const withKubelet = (create: (binary: string) => Promise<Peer>) => () => {
  const binary = Deno.env.get("KUBELET");
  if (binary === undefined) throw new NotRunnable("KUBELET names no binary");
  return create(binary);
};

const creators: Record<string, () => Promise<Peer>> = {
  agent: createAgentPeer,
  kubelet: withKubelet(createKubelet),
  joined: createJoinedPeer,
  "joined-kubelet": withKubelet(createJoinedKubelet),
  floor: createFloor,
  podman: createPodmanPeer,
};

type Results = Map<Peer, unknown>;
type Part = Exclude<keyof PeerResults, "name">;

/** In this order. */
const measures: Record<
  Part,
  (peers: readonly Peer[], options: Options, directory: string) => Promise<Results>
> = {
  lives: (peers, { rounds }) => measureLives(peers, rounds, tell),
  bursts: (peers, { burst }) => measureBursts(peers, { ...burst, tell }),
  starts: (peers, { starts }) => measureStarts(peers, starts, tell),
  contents: (peers) => measureContents(peers, tell),
  exec: (peers, { rounds }) => oneByOne(peers, (peer) => measureExec(peer, rounds, tell)),
  logs: (peers) => measureLogs(peers, tell),
  rest: (peers, { rest }) => measureRest(peers, { ...rest, tell }),
  probes: (peers, { rest: { seconds } }, directory) =>
    oneByOne(peers, (peer) => measureProbes(peer, { seconds, directory, tell })),
};

async function oneByOne(peers: readonly Peer[], measure: (peer: Peer) => Promise<unknown>): Promise<Results> {
  const results: Results = new Map();
  for (const peer of peers) results.set(peer, await measure(peer));
  return results;
}

interface Lineup {
  peers: Peer[];
  absent: Record<string, string>;
}

async function startPeers(names: readonly string[], stack: AsyncDisposableStack): Promise<Lineup> {
  const lineup: Lineup = { peers: [], absent: {} };
  for (const name of names) {
    try {
      tell(`starting ${name}`);
      lineup.peers.push(stack.use(await creators[name]!()));
    } catch (error) {
      if (!(error instanceof NotRunnable)) throw error;
      lineup.absent[name] = error.message;
    }
  }
  return lineup;
}

async function measure(peers: readonly Peer[], options: Options, directory: string): Promise<PeerResults[]> {
  const results = new Map<Peer, PeerResults>(peers.map((peer) => [peer, { name: peer.name }]));
  for (const [part, run] of Object.entries(measures)) {
    if (!options.measures.includes(part)) continue;
    for (const [peer, found] of await run(peers, options, directory)) {
      Object.assign(results.get(peer)!, { [part]: found });
    }
  }
  return [...results.values()];
}

function machine() {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  return { cpus: navigator.hardwareConcurrency, cpu, kernel: Deno.osRelease() };
}

const load = (): number => Number(Deno.readTextFileSync("/proc/loadavg").split(" ")[0]);

function report(rows: Row[], peers: readonly PeerResults[], lineup: Lineup, loads: [number, number]): void {
  const host = machine();
  say(`${host.cpus} × ${host.cpu}, Linux ${host.kernel}, load before ${loads[0]}, after ${loads[1]}`);
  say("two numbers are p50 / p90\n");
  say(renderTable(rows, peers.map((peer) => peer.name)));
  for (const [name, why] of Object.entries(lineup.absent)) say(`\n${name}: not runnable here: ${why}`);
}

/** Ctrl-C leaves nothing behind either. */
function disposeWhenInterrupted(stack: AsyncDisposableStack): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => interrupted ??= stack.disposeAsync().finally(() => Deno.exit(130)));
  }
}

let interrupted: Promise<void> | undefined;

async function main(): Promise<void> {
  const options = readOptions(Deno.env.toObject(), {
    peers: Object.keys(creators),
    measures: Object.keys(measures),
  });
  const before = load();
  await using stack = new AsyncDisposableStack();
  disposeWhenInterrupted(stack);
  const directory = await Deno.makeTempDir({ prefix: "agent-bench-", dir: "/run" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const binary: BinaryFacts | undefined = options.measures.includes("binary")
    ? await measureBinary()
    : undefined;
  const lineup = await startPeers(options.peers, stack);
  const peers = await measure(lineup.peers, options, directory);
  const rows = createRows(peers, binary);
  const loads: [number, number] = [before, load()];
  report(rows, peers, lineup, loads);
  const asJson = (_: string, value: unknown) => value instanceof Map ? Object.fromEntries(value) : value;
  const record = {
    machine: machine(),
    loads,
    options,
    absent: lineup.absent,
    rows,
    samples: { peers, binary },
  };
  await Deno.writeTextFile(output, JSON.stringify(record, asJson, 1) + "\n");
  tell("clearing up");
}

try {
  await main();
  Deno.exit(0);
} catch (error) {
  // What is being measured fails when its peers are taken away.
  await interrupted;
  const [first, later] = error instanceof SuppressedError ? [error.suppressed, error.error] : [error];
  tell(`could not measure: ${errorText(first)}`);
  if (later !== undefined) tell(`and then could not clear up: ${errorText(later)}`);
  Deno.exit(1);
}
