/** Taking pods away, timed. */
import type { Peer } from "../peers/peer.ts";
import type { BenchPod } from "../pods.ts";
import { whenTrue } from "../wait.ts";

/** @returns ms until the peer knows none of them and nothing of them runs. */
export async function removeAll(peer: Peer, pods: readonly BenchPod[]): Promise<number> {
  const begin = Date.now();
  await peer.remove(pods);
  const gone = `${peer.name}: ${pods.length} pods are gone`;
  return await whenTrue(gone, async () => !await peer.knows(pods), 20) - begin;
}
