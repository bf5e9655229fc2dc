/**
 * Many pods at once, and what they cost when nothing happens: times, memory, idle CPU and disk writes, and a restart
 * of the peer under them.
 */
import { type BenchPod, createPods, PROBED } from "../pods.ts";
import type { Peer, Resident } from "../peers/peer.ts";
import { type Memory, readCpuSeconds, readMemory, readWrittenBytes } from "../procfs.ts";
import { percentile } from "../stats.ts";
import { pause, whenTrue } from "../wait.ts";

export interface Idle {
  seconds: number;
  /** Per cent of one core. */
  cpu: number;
  writtenBytes: number;
  /** Of an API server, a minute; by verb and resource. */
  requests?: Record<string, number>;
}

/** Many pods at once, and with them. */
export interface Burst {
  pods: number;
  /** ms from the first manifest until half of the containers, and the last of them, have started. */
  halfStarted: number;
  started: number;
  /** … until the last status is Running. */
  shown: number;
  /** ms from the first removal until nothing is known of any pod. */
  gone: number;
  idle?: Idle;
  /** Resident MiB after that. */
  rss?: number;
  /** ms from the start of the program until all pods are Running with the containers that the runtime has. */
  truthful?: number;
  /** Containers that are not the same after the restart. */
  restarted?: number;
}

export interface Crowd extends Burst {
  /** By number of pods, after settling. */
  memory: Map<number, Memory>;
}

const STEADY_MIB = 0.5;
const STEADY_SAMPLES = 15;
const SETTLE_LIMIT = 90;

/** Resident memory has settled when it stays within half a MiB for 15 seconds; 90 are waited at most. */
async function settledMemory(resident: Resident): Promise<Memory> {
  let [base, steady] = [readMemory(resident.pid()).rss, 0];
  for (let second = 0; second < SETTLE_LIMIT && steady < STEADY_SAMPLES; second++) {
    await pause(1000);
    const { rss } = readMemory(resident.pid());
    if (Math.abs(rss - base) <= STEADY_MIB) steady++;
    else [base, steady] = [rss, 0];
  }
  return readMemory(resident.pid());
}

async function untilRunning(peer: Peer, pods: readonly BenchPod[]): Promise<number> {
  return await whenTrue(`${peer.name}: ${pods.length} pods run`, async () => {
    const running = await peer.running();
    return pods.every((pod) => running.has(pod.name));
  }, 10);
}

export async function removeAll(peer: Peer, pods: readonly BenchPod[]): Promise<number> {
  const begin = Date.now();
  await peer.remove(pods);
  return await whenTrue(
    `${peer.name}: ${pods.length} pods are gone`,
    async () => !await peer.knows(pods),
    10,
  ) -
    begin;
}

async function measureIdle(peer: Peer, resident: Resident, seconds: number): Promise<Idle> {
  const pid = resident.pid();
  const asked = peer.requests?.().length;
  const [cpu, written, begin] = [readCpuSeconds(pid), readWrittenBytes(pid), performance.now()];
  await pause(seconds * 1000);
  const passed = (performance.now() - begin) / 1000;
  return {
    seconds: passed,
    cpu: 100 * (readCpuSeconds(pid) - cpu) / passed,
    writtenBytes: readWrittenBytes(pid) - written,
    ...(asked !== undefined && { requests: perMinute(peer.requests!().slice(asked), passed) }),
  };
}

function perMinute(requests: readonly string[], seconds: number): Record<string, number> {
  const counts = Map.groupBy(requests, (request) => request);
  return Object.fromEntries([...counts].map(([request, all]) => [request, all.length * 60 / seconds]));
}

const idsOf = async (peer: Peer, pods: readonly BenchPod[]): Promise<string[]> =>
  (await Promise.all(pods.map((pod) => peer.containers(pod)))).map((c) => c[0]?.id ?? "");

async function measureRestart(peer: Peer, resident: Resident, pods: readonly BenchPod[]) {
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

export async function measureCrowd(
  peer: Peer,
  options: { count: number; idleSeconds: number; tell(text: string): void },
): Promise<Crowd> {
  const { resident } = peer;
  const memory = new Map<number, Memory>();
  const remember = async (count: number): Promise<void> => {
    options.tell(`${peer.name}: memory with ${count} pods settles`);
    if (resident !== undefined) memory.set(count, await settledMemory(resident));
  };
  if (resident !== undefined) {
    // What the lives before left behind is no part of an agent without pods.
    await resident.stop();
    await resident.start();
    await remember(0);
    const ten = createPods("ten", 10);
    await peer.add(ten);
    await untilRunning(peer, ten);
    await remember(10);
    await removeAll(peer, ten);
  }
  options.tell(`${peer.name}: ${options.count} pods at once`);
  return {
    ...await measureBurst(peer, createPods("crowd", options.count), { ...options, remember }),
    memory,
  };
}

/** As the crowd, with three probes in each pod; for peers that stay, since others ask nothing. */
export async function measureProbedCrowd(
  peer: Peer,
  options: { count: number; idleSeconds: number; tell(text: string): void },
): Promise<Burst | undefined> {
  const { resident } = peer;
  if (resident === undefined) return undefined;
  await resident.stop();
  await resident.start();
  options.tell(`${peer.name}: ${options.count} pods with three probes each at once`);
  const settle = async () => void await settledMemory(resident);
  return await measureBurst(peer, createPods("asked", options.count, PROBED), {
    ...options,
    remember: settle,
  });
}

interface BurstOptions {
  idleSeconds: number;
  tell(text: string): void;
  /** Called when all run, with how many they are. */
  remember(count: number): Promise<void>;
}

async function measureBurst(peer: Peer, pods: readonly BenchPod[], options: BurstOptions): Promise<Burst> {
  const { resident } = peer;
  const begin = Date.now();
  await peer.add(pods);
  const shown = await untilRunning(peer, pods) - begin;
  const starts = (await Promise.all(pods.map((pod) => peer.containers(pod)))).map((c) =>
    c[0]!.startedAt - begin
  );
  const [halfStarted, started] = [percentile(starts, 50), Math.max(...starts)];
  const common = { pods: pods.length, halfStarted, started, shown };
  if (resident === undefined) return { ...common, gone: await removeAll(peer, pods) };
  await options.remember(pods.length);
  options.tell(`${peer.name}: idle for ${options.idleSeconds} s`);
  const idle = await measureIdle(peer, resident, options.idleSeconds);
  for (const [request, count] of Object.entries(idle.requests ?? {})) {
    options.tell(`${peer.name}: ${request}: ${count.toFixed(1)} a minute`);
  }
  const { rss } = readMemory(resident.pid());
  const restart = await measureRestart(peer, resident, pods);
  return { ...common, idle, rss, ...restart, gone: await removeAll(peer, pods) };
}
