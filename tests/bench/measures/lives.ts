/**
 * One pod's life, many times: told → its process runs → its status says so → its process is killed → it runs again →
 * taken away → gone. The peers take turns, so that what else the machine does hits them alike.
 */
import { type BenchPod, createPods } from "../pods.ts";
import type { Peer } from "../peers/peer.ts";
import { whenTrue } from "../wait.ts";

/** Milliseconds. */
export interface Life {
  /** Manifest written → the runtime says that the container's process has started. */
  started: number;
  /** … → the peer's own status says Running. */
  shown: number;
  /** Container ended → the next one created, where one is. */
  reissued: number | undefined;
  /** … → started; absent for peers that do not restart. */
  restarted: number | undefined;
  /** Manifest removed → the peer knows the pod no more, and nothing of it runs. */
  gone: number;
}

async function liveOnce(peer: Peer): Promise<Life> {
  const [pod] = createPods("life", 1) as [BenchPod];
  const begin = Date.now();
  await peer.add([pod]);
  const shownAt = await whenTrue(
    `${peer.name}: the pod runs`,
    async () => (await peer.running()).has(pod.name),
  );
  const [first] = await peer.containers(pod);
  const restart = peer.restarts ? await restartOnce(peer, pod, first!.startedAt) : noRestart;
  const removal = Date.now();
  await peer.remove([pod]);
  const goneAt = await whenTrue(`${peer.name}: the pod is gone`, async () => !await peer.knows([pod]));
  return { started: first!.startedAt - begin, shown: shownAt - begin, ...restart, gone: goneAt - removal };
}

const noRestart = { reissued: undefined, restarted: undefined };

async function restartOnce(
  peer: Peer,
  pod: BenchPod,
  before: number,
): Promise<Pick<Life, "reissued" | "restarted">> {
  Deno.kill(await peer.processOf(pod), "SIGKILL");
  let times = await peer.containers(pod);
  await whenTrue(`${peer.name}: the container runs again`, async () => {
    times = await peer.containers(pod);
    return times.length > 1 && times[0]!.startedAt > before;
  });
  const [next, ended] = [times[0]!, times[1]!.finishedAt!];
  const reissued = Number.isNaN(next.createdAt) ? undefined : next.createdAt - ended;
  return { reissued, restarted: next.startedAt - ended };
}

/** Rounds × peers; the first life of each peer is a rehearsal and does not count. */
export async function measureLives(
  peers: readonly Peer[],
  rounds: number,
  tell: (text: string) => void,
): Promise<Map<Peer, Life[]>> {
  const lives = new Map<Peer, Life[]>(peers.map((peer) => [peer, []]));
  for (const peer of peers) await liveOnce(peer);
  for (let round = 0; round < rounds; round++) {
    const turn = round % peers.length;
    for (const peer of [...peers.slice(turn), ...peers.slice(0, turn)]) {
      lives.get(peer)!.push(await liveOnce(peer));
    }
    tell(`round ${round + 1} of ${rounds}`);
  }
  return lives;
}
