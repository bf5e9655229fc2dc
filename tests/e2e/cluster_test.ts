/** A node of a cluster on a real runtime: pods that controllers make, and what is told of them. */
import { assertEquals } from "@std/assert";
import { isReady } from "./agent.ts";
import { type ClusterOfOne, startClusterOfOne } from "./cluster.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const names = (prefix: string, n: number) => Array.from({ length: n }, (_, i) => `${prefix}-${i}`);

/** Pods as a ReplicaSet makes them. */
async function checkReplicas({ user, node: { agent, run } }: ClusterOfOne): Promise<void> {
  const replicas = names("web", 3);
  await Promise.all(replicas.map((name) => run(podOf(name, [shell("main", stay)], withoutToken))));
  for (const name of replicas) await agent.untilReady(name);
  await user.remove("Pod", "web-0", 0);
  await agent.untilGone("web-0");
}

/** Until a control plane signs tokens for pods, none is mounted. */
const withoutToken = { automountServiceAccountToken: false };

async function checkNewAgent({ node }: ClusterOfOne): Promise<void> {
  const before = identityOf(await node.agent.untilReady("web-1"));
  await node.agent.kill();
  await node.start();
  assertEquals(identityOf(await node.agent.untilPod("web-1", "ready again", isReady)), before);
}

Deno.test("a node runs what the API server binds to it", async (t) => {
  await using one = await startClusterOfOne();
  await t.step("pods of a ReplicaSet run, and are stopped when deleted", () => checkReplicas(one));
  await t.step("an agent that is killed and started again lets them run", () => checkNewAgent(one));
});
