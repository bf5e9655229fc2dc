/**
 * A start of the program itself, its runtime being there: until the pod that waited for it runs, and until the API server
 * calls the node Ready. The peers take turns. Not for: the first start of the file (binary.ts).
 */
import { createPods } from "../pods.ts";
import type { Peer } from "../peers/peer.ts";
import { removeAll } from "./removal.ts";

/** ms from the start of the program. */
export interface Start {
  /** The pod's container has started. */
  firstPod: number;
  /** The Node is Ready; absent without an API server. */
  nodeReady?: number;
}

async function startOnce(peer: Peer): Promise<Start> {
  const resident = peer.resident!;
  const pods = createPods("first", 1);
  await resident.stop();
  await peer.node?.loseSight();
  await peer.add(pods);
  const begin = Date.now();
  const ready = peer.node?.whenReady().then(() => Date.now() - begin);
  await Promise.all([resident.start(), ready]);
  await peer.whenRunning(pods[0]!);
  const [container] = await peer.containers(pods[0]!);
  await removeAll(peer, pods);
  const nodeReady = await ready;
  return { firstPod: container!.startedAt - begin, ...(nodeReady !== undefined && { nodeReady }) };
}

export async function measureStarts(
  peers: readonly Peer[],
  rounds: number,
  tell: (text: string) => void,
): Promise<Map<Peer, Start[]>> {
  const starts = new Map<Peer, Start[]>();
  for (let round = 0; round < rounds; round++) {
    for (const peer of peers.filter((p) => p.resident !== undefined)) {
      tell(`${peer.name}: start ${round + 1} of ${rounds}`);
      starts.set(peer, [...starts.get(peer) ?? [], await startOnce(peer)]);
    }
  }
  return starts;
}
