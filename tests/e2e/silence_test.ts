/** A node whose pods of the cluster may go on only so long without its API server. Not for: those that may for ever. */
import { assert, assertEquals } from "@std/assert";
import { kinds } from "../fakes/cluster/world.ts";
import { until } from "../fakes/until.ts";
import { isReady } from "./agent.ts";
import { type ClusterOfOne, startClusterOfOne, untilKept } from "./cluster.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const longest = 5_000;
const config = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
nodeLeaseDurationSeconds: 10
---
apiVersion: agent/v1alpha1
kind: AgentConfiguration
offline: { maxSilence: ${longest / 1000}s }
`;
const sentence = "pod does not run: the API server has been silent for too long";

const pod = (name: string) => podOf(name, [shell("main", stay)]);

/** How often the agent has said so. */
const withheld = ({ node: { agent } }: ClusterOfOne) => agent.log().split(sentence).length - 1;

async function checkSilence(one: ClusterOfOne): Promise<void> {
  const { cluster, user, node } = one;
  const { agent } = node;
  await agent.write("own.yaml", pod("own"));
  for (const name of ["limited", "moved"]) await node.run(pod(name));
  for (const name of ["limited", "moved"]) await user.untilPod(name, "ready at the API server", isReady);
  await untilKept(one, "limited");
  const own = identityOf(await agent.untilReady("own"));
  const containers = async () => (await agent.ctr("containers", "list", "-q")).trim().split("\n").length;
  await cluster.pause();
  const silentSince = performance.now();
  for (const name of ["limited", "moved"]) await agent.untilGone(name);
  const after = performance.now() - silentSince;
  assert(after < longest + 10_000, `they ended after ${after} ms`);
  assertEquals(withheld(one), 2);
  await until("nothing else is left in the runtime", async () => await containers() === 2);
  assertEquals(identityOf(await agent.untilReady("own")), own);
}

/** What is kept is for those who may run on. */
async function checkNewAgent(one: ClusterOfOne): Promise<void> {
  const { agent } = one.node;
  await agent.kill();
  await one.node.start();
  await until("the next agent holds both back", () => withheld(one) === 4);
  await agent.untilReady("own");
  for (const name of ["limited", "moved"]) assertEquals(await agent.pod(name), undefined, name);
}

async function checkReturn({ cluster, user, node: { agent } }: ClusterOfOne): Promise<void> {
  cluster.world.store.remove(kinds.pod, user.get("Pod", "moved")!);
  const { uid } = user.get("Pod", "limited")!.metadata;
  await cluster.resume();
  const again = await agent.untilPod("limited", "ready again", isReady);
  assertEquals(again.metadata?.uid, uid);
  await user.untilPod("limited", "ready at the API server", isReady);
  assertEquals(await agent.pod("moved"), undefined);
}

Deno.test("pods of the cluster end when its API server is silent for longer than they may go on", async (t) => {
  await using one = await startClusterOfOne({ config });
  await t.step("they end in time, pods of the manifest directory do not", () => checkSilence(one));
  await t.step("an agent that is started meanwhile does not start them", () => checkNewAgent(one));
  await t.step("they run again when it says that they are still this node's", () => checkReturn(one));
});
