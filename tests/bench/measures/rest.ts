/**
 * What those that stay cost when nothing happens: memory, CPU, disk writes, requests; without pods, with ten and with many.
 * All rest in the same seconds, so that what else the machine does hits them alike; the many come to one after the other.
 */
import { type BenchPod, createPods, PROBED } from "../pods.ts";
import type { Peer, Resident } from "../peers/peer.ts";
import { type Memory, readCpuSeconds, readMemory, readWrittenBytes } from "../procfs.ts";
import { pause, whenTrue } from "../wait.ts";
import { bringAll, type Burst } from "./bursts.ts";
import { removeAll } from "./removal.ts";

export interface Rest {
  memory: Memory;
  /** Per cent of one core. */
  cpu: number;
  /** A minute. */
  writtenBytes: number;
  /** Of an API server, a minute; by verb and resource. */
  requests?: Record<string, number>;
}

/** What happened with the many. */
export interface Crowd extends Burst {
  /** ms from a start of the program until all pods are Running with the containers that the runtime has. */
  truthful: number;
  /** Containers that are not the same after that. */
  restarted: number;
}

export interface RestResult {
  /** By number of pods. */
  rests: Map<number, Rest>;
  crowd?: Crowd;
}

export interface RestOptions {
  /** The many; 0 leaves them out. */
  count: number;
  seconds: number;
  /** Three probes in each pod. */
  probed: boolean;
  tell(text: string): void;
}

type Residential = Peer & { resident: Resident };

const STEADY_MIB = 0.5;
const STEADY_SECONDS = 10;
const SETTLE_LIMIT = 40;
const FEW = 10;

/** Resident memory has settled when it stays within half a MiB; some of them never do. */
async function settle({ resident }: Residential): Promise<void> {
  let [base, steady] = [readMemory(resident.pid()).rss, 0];
  for (let second = 0; second < SETTLE_LIMIT && steady < STEADY_SECONDS; second++) {
    await pause(1000);
    const { rss } = readMemory(resident.pid());
    if (Math.abs(rss - base) <= STEADY_MIB) steady++;
    else [base, steady] = [rss, 0];
  }
}

async function rest({ resident, node }: Residential, seconds: number): Promise<Rest> {
  const pid = resident.pid();
  const asked = node?.requests().length;
  const [cpu, written, begin] = [readCpuSeconds(pid), readWrittenBytes(pid), performance.now()];
  await pause(seconds * 1000);
  const passed = (performance.now() - begin) / 1000;
  return {
    memory: readMemory(pid),
    cpu: 100 * (readCpuSeconds(pid) - cpu) / passed,
    writtenBytes: (readWrittenBytes(pid) - written) * 60 / passed,
    ...(node !== undefined && { requests: perMinute(node.requests().slice(asked), passed) }),
  };
}

function perMinute(requests: readonly string[], seconds: number): Record<string, number> {
  const counts = Map.groupBy(requests, (request) => request);
  return Object.fromEntries([...counts].map(([request, all]) => [request, all.length * 60 / seconds]));
}

const idsOf = async (peer: Peer, pods: readonly BenchPod[]): Promise<string[]> =>
  (await Promise.all(pods.map((pod) => peer.containers(pod)))).map((c) => c[0]?.id ?? "");

async function restartUnder(peer: Residential, pods: readonly BenchPod[]) {
  const { resident } = peer;
  const before = await idsOf(peer, pods);
  await resident.stop();
  const begin = Date.now();
  await resident.start();
  const end = await whenTrue(`${peer.name}: ${pods.length} pods are known again`, async () => {
    const running = await peer.running();
    return pods.every((pod, i) => running.get(pod.name)?.includes(before[i]!));
  }, 5);
  const after = await idsOf(peer, pods);
  return { truthful: end - begin, restarted: before.filter((id, i) => id !== after[i]).length };
}

async function together(
  peers: readonly Residential[],
  results: Map<Peer, RestResult>,
  pods: number,
  { seconds, tell }: RestOptions,
): Promise<void> {
  tell(`all rest with ${pods} pods: memory settles, then ${seconds} s`);
  await Promise.all(peers.map(settle));
  await Promise.all(peers.map(async (peer) => {
    const found = await rest(peer, seconds);
    results.get(peer)!.rests.set(pods, found);
    for (const [request, count] of Object.entries(found.requests ?? {})) {
      tell(`${peer.name}: ${request}: ${count.toFixed(1)} a minute`);
    }
  }));
}

export async function measureRest(
  all: readonly Peer[],
  options: RestOptions,
): Promise<Map<Peer, RestResult>> {
  const { count, tell, probed } = options;
  const peers = all.filter((peer): peer is Residential => peer.resident !== undefined);
  const results = new Map<Peer, RestResult>(peers.map((peer) => [peer, { rests: new Map() }]));
  // What happened before is no part of a program without pods.
  for (const { resident } of peers) await resident.stop().then(resident.start);
  await together(peers, results, 0, options);
  const some = new Map<Peer, BenchPod[]>();
  const bring = async (peer: Peer, more: number) => {
    tell(`${peer.name}: ${more} pods at once`);
    const pods = createPods("rest", more, probed ? PROBED : {});
    const coming = await bringAll(peer, pods);
    some.set(peer, [...some.get(peer) ?? [], ...pods]);
    return coming;
  };
  for (const peer of peers) await bring(peer, FEW);
  await together(peers, results, FEW, options);
  if (count > FEW) {
    const comings = new Map<Peer, Awaited<ReturnType<typeof bring>>>();
    for (const peer of peers) comings.set(peer, await bring(peer, count - FEW));
    await together(peers, results, count, options);
    for (const peer of peers) {
      tell(`${peer.name}: starts again under ${count} pods`);
      const pods = some.get(peer)!;
      const again = await restartUnder(peer, pods);
      const coming = comings.get(peer)!;
      results.get(peer)!.crowd = { ...coming, ...again, gone: await removeAll(peer, pods) };
    }
  } else for (const peer of peers) await removeAll(peer, some.get(peer)!);
  return results;
}
