/** How long a command in a container takes, from the request to its end as the one who asked sees it. */
import type { Peer } from "../peers/peer.ts";
import { createPods } from "../pods.ts";
import { removeAll } from "./removal.ts";

/** The first runs warm caches up and do not count. */
const WARM_UP = 3;

/** @returns ms of each round; nothing for a peer that cannot. */
export async function measureExec(
  peer: Peer,
  rounds: number,
  tell: (text: string) => void,
): Promise<number[] | undefined> {
  if (peer.exec === undefined) return undefined;
  tell(`${peer.name}: commands`);
  const pods = createPods("exec", 1);
  const [pod] = pods;
  await peer.add(pods);
  await peer.whenRunning(pod!);
  const samples: number[] = [];
  for (let round = 0; round < rounds + WARM_UP; round++) {
    const begin = performance.now();
    await peer.exec(pod!, ["true"]);
    if (round >= WARM_UP) samples.push(performance.now() - begin);
  }
  await removeAll(peer, pods);
  return samples;
}
