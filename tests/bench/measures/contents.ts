/**
 * How long an edit of a ConfigMap takes to be seen in a volume. All peers at once: some take a minute, in which nothing
 * happens. Not for: environment variables, which do not change.
 */
import type { Pod } from "../../../agent/model/gen/v1.ts";
import { type BenchPod, createPods } from "../pods.ts";
import type { Peer } from "../peers/peer.ts";
import { whenTrue } from "../wait.ts";
import { removeAll } from "./removal.ts";

const mountPath = "/contents";

function podWith(configMap: string): BenchPod {
  const [pod] = createPods("contents", 1, { volumeMounts: [{ name: "contents", mountPath }] });
  const spec: Pod = {
    ...pod!.spec,
    spec: { ...pod!.spec.spec!, volumes: [{ name: "contents", configMap: { name: configMap } }] },
  };
  return { ...pod!, spec };
}

async function editOnce(peer: Peer): Promise<number> {
  const name = `text-${crypto.randomUUID().slice(0, 8)}`;
  await peer.putConfigMap!(name, "before");
  const pod = podWith(name);
  await peer.add([pod]);
  await peer.whenRunning(pod);
  const path = `/proc/${await peer.processOf(pod)}/root${mountPath}/text`;
  const begin = Date.now();
  await peer.putConfigMap!(name, "after");
  const seen = await whenTrue(
    `${peer.name}: an edited ConfigMap is seen`,
    () => Deno.readTextFile(path).then((text) => text === "after"),
    20,
    180_000,
  );
  await removeAll(peer, [pod]);
  return seen - begin;
}

/** @returns ms */
export async function measureContents(
  peers: readonly Peer[],
  tell: (text: string) => void,
): Promise<Map<Peer, number>> {
  tell("all: a ConfigMap is edited");
  const able = peers.filter((peer) => peer.putConfigMap !== undefined);
  return new Map(await Promise.all(able.map(async (peer) => [peer, await editOnce(peer)] as const)));
}
