/**
 * `make bench`: the agent beside its peers on this machine, in one run. Prints a table and writes dist/bench.json. It
 * judges nothing: a missed target is said and the exit status stays 0, unless something could not be measured.
 * From the environment: ROUNDS (30), PODS (50), IDLE_SECONDS (60), PROBE_SECONDS (20;
 * 0 leaves probes out), PEERS (agent,joined,floor,podman,kubelet), KUBELET (a binary).
 */
import { errorText } from "../../agent/model/errors.ts";
import { measureBinary } from "./measures/binary.ts";
import { measureCrowd, measureProbedCrowd } from "./measures/crowd.ts";
import { measureExec } from "./measures/exec.ts";
import { type Life, measureLives } from "./measures/lives.ts";
import { measureProbes } from "./measures/probes.ts";
import { createAgentPeer } from "./peers/agent.ts";
import { createFloor } from "./peers/floor.ts";
import { createJoinedPeer } from "./peers/joined.ts";
import { createKubelet } from "./peers/kubelet.ts";
import { NotRunnable, type Peer } from "./peers/peer.ts";
import { createPodmanPeer } from "./peers/podman.ts";
import { createRows, type PeerResults, type Row } from "./results.ts";
import { renderTable } from "./table.ts";

const number = (name: string, otherwise: number): number => Number(Deno.env.get(name) ?? otherwise);
const rounds = number("ROUNDS", 30);
const count = number("PODS", 50);
const idleSeconds = number("IDLE_SECONDS", 60);
const probeSeconds = number("PROBE_SECONDS", 20);
const wanted = (Deno.env.get("PEERS") ?? "agent,joined,floor,podman,kubelet").split(",");
const output = new URL("../../dist/bench.json", import.meta.url);

const say = (text: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
const tell = (text: string): void => void Deno.stderr.writeSync(new TextEncoder().encode(`  ${text}\n`));

const creators: Record<string, () => Promise<Peer>> = {
  agent: createAgentPeer,
  joined: createJoinedPeer,
  floor: createFloor,
  podman: createPodmanPeer,
  kubelet() {
    const binary = Deno.env.get("KUBELET");
    if (binary === undefined) throw new NotRunnable("KUBELET names no binary");
    return createKubelet(binary);
  },
};

interface Lineup {
  peers: Peer[];
  absent: Record<string, string>;
}

async function startPeers(stack: AsyncDisposableStack): Promise<Lineup> {
  const lineup: Lineup = { peers: [], absent: {} };
  for (const name of wanted) {
    const create = creators[name];
    if (create === undefined) {
      throw new Error(`no peer ${name}; there are ${Object.keys(creators).join(", ")}`);
    }
    try {
      tell(`starting ${name}`);
      lineup.peers.push(stack.use(await create()));
    } catch (error) {
      if (!(error instanceof NotRunnable)) throw error;
      lineup.absent[name] = error.message;
    }
  }
  return lineup;
}

async function measureOne(peer: Peer, lives: readonly Life[], directory: string): Promise<PeerResults> {
  const many = { count, idleSeconds, tell };
  const few = { seconds: probeSeconds, directory, tell };
  return {
    name: peer.name,
    lives,
    execs: rounds > 0 ? await measureExec(peer, rounds, tell) : undefined,
    crowd: count > 0 ? await measureCrowd(peer, many) : undefined,
    probed: count > 0 && probeSeconds > 0 ? await measureProbedCrowd(peer, many) : undefined,
    probes: probeSeconds > 0 ? await measureProbes(peer, few) : undefined,
  };
}

async function measure({ peers }: Lineup, directory: string): Promise<PeerResults[]> {
  const lives = await measureLives(peers, rounds, tell);
  const results: PeerResults[] = [];
  for (const peer of peers) results.push(await measureOne(peer, lives.get(peer)!, directory));
  return results;
}

function machine() {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  const [load] = Deno.readTextFileSync("/proc/loadavg").split(" ");
  return { cpus: navigator.hardwareConcurrency, cpu, kernel: Deno.osRelease(), loadBefore: Number(load) };
}

function report(
  rows: Row[],
  peers: readonly PeerResults[],
  lineup: Lineup,
  host: ReturnType<typeof machine>,
) {
  say(`${host.cpus} × ${host.cpu}, Linux ${host.kernel}, load before ${host.loadBefore}`);
  say(`${rounds} rounds; three numbers are p50 / p95 / p99\n`);
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
  const host = machine();
  await using stack = new AsyncDisposableStack();
  disposeWhenInterrupted(stack);
  const binary = await measureBinary();
  const directory = await Deno.makeTempDir({ prefix: "agent-bench-", dir: "/run" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const lineup = await startPeers(stack);
  const peers = await measure(lineup, directory);
  const rows = createRows(peers, binary);
  report(rows, peers, lineup, host);
  const asJson = (_: string, value: unknown) => value instanceof Map ? Object.fromEntries(value) : value;
  const record = { machine: host, rounds, absent: lineup.absent, rows, samples: { peers, binary } };
  await Deno.writeTextFile(output, JSON.stringify(record, asJson, 1) + "\n");
  tell("clearing up");
}

try {
  await main();
  Deno.exit(0);
} catch (error) {
  // What is being measured fails when its peers are taken away.
  await interrupted;
  tell(`could not measure: ${errorText(error)}`);
  if (error instanceof SuppressedError) tell(errorText(error.suppressed));
  Deno.exit(1);
}
