/** Some pods at once, until they run and until they are gone. The peers take turns. Not for: what they cost (rest.ts). */
import { type BenchPod, createPods } from "../pods.ts";
import type { Peer } from "../peers/peer.ts";
import { percentile } from "../stats.ts";
import { whenTrue } from "../wait.ts";
import { removeAll } from "./removal.ts";

/** Milliseconds. */
export interface Coming {
  pods: number;
  /** From the first manifest until half of the containers, and the last of them, have started. */
  halfStarted: number;
  started: number;
  /** … until the last status is Running, with the container ready. */
  shown: number;
}

export interface Burst extends Coming {
  /** From the first removal until nothing of any pod runs or is known. */
  gone: number;
}

export async function untilRunning(peer: Peer, pods: readonly BenchPod[]): Promise<number> {
  return await whenTrue(`${peer.name}: ${pods.length} pods run`, async () => {
    const running = await peer.running();
    return pods.every((pod) => running.has(pod.name));
  });
}

export async function bringAll(peer: Peer, pods: readonly BenchPod[]): Promise<Coming> {
  const begin = Date.now();
  await peer.add(pods);
  const shown = await untilRunning(peer, pods) - begin;
  const times = await Promise.all(pods.map((pod) => peer.containers(pod)));
  const starts = times.map(([newest]) => newest!.startedAt - begin);
  return { pods: pods.length, halfStarted: percentile(starts, 50), started: Math.max(...starts), shown };
}

export async function measureBursts(
  peers: readonly Peer[],
  { count, rounds, tell }: { count: number; rounds: number; tell(text: string): void },
): Promise<Map<Peer, Burst[]>> {
  const bursts = new Map<Peer, Burst[]>(peers.map((peer) => [peer, []]));
  for (let round = 0; round < rounds; round++) {
    for (const peer of round % 2 === 0 ? peers : peers.toReversed()) {
      tell(`${peer.name}: ${count} pods at once, round ${round + 1} of ${rounds}`);
      const pods = createPods("burst", count);
      const coming = await bringAll(peer, pods);
      bursts.get(peer)!.push({ ...coming, gone: await removeAll(peer, pods) });
    }
  }
  return bursts;
}
