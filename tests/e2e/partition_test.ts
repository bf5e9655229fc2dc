/** Two nodes of one cluster in networks of their own, of which one is cut off. */
import { assertEquals } from "@std/assert";
import { startCluster } from "../fakes/cluster/cluster.ts";
import { kinds } from "../fakes/cluster/world.ts";
import { isReady } from "./agent.ts";
import { type ClusterUser, createNode, type NodeUnderTest, userOf } from "./cluster.ts";
import { until } from "./containerd.ts";
import { createNodeNetwork, type NodeNetwork } from "./network.ts";
import { identityOf, podOf, shell, statusOf, stay } from "./pods.ts";

interface TwoNodes {
  network: NodeNetwork;
  user: ClusterUser;
  left: NodeUnderTest;
  right: NodeUnderTest;
  /** As a control plane that has given up on the pod's node. */
  forceAway(name: string): void;
}

const pod = (name: string) => podOf(name, [shell("main", stay)]);

/** What a node that is cut off does by itself. */
async function checkCutOff({ network, user, left, right, forceAway }: TwoNodes): Promise<void> {
  await left.run(pod("stays"));
  await left.run(pod("moves"));
  for (const name of ["stays", "moves"]) await user.untilPod(name, "ready on the left", isReady);
  await network.cut("left");
  const running = statusOf(await left.agent.untilReady("stays"), "main").containerID!;
  await left.agent.ctr("tasks", "kill", "--signal", "SIGKILL", running.replace("containerd://", ""));
  await left.agent.untilPod(
    "stays",
    "restarted",
    (p) => isReady(p) && statusOf(p, "main").restartCount === 1,
  );
  forceAway("moves");
  await right.run(pod("moves"));
  await user.untilPod("moves", "ready on the right", isReady);
  await left.agent.untilReady("moves");
  await left.run(pod("late"));
}

/** What becomes of it when it is back. */
async function checkBack({ network, user, left, right }: TwoNodes): Promise<void> {
  const stays = identityOf(await left.agent.untilReady("stays"));
  const moved = identityOf(await right.agent.untilReady("moves"));
  await network.mend("left");
  await until("the moved pod is stopped", async () => await left.agent.pod("moves") === undefined, 60_000);
  await user.untilPod("late", "ready on the left", isReady);
  const isTold = (p: { status?: object }) => statusOf(p, "main").restartCount === 1;
  await user.untilPod("stays", "known to have been restarted", isTold);
  assertEquals(identityOf(await left.agent.untilReady("stays")), stays);
  assertEquals(identityOf(await right.agent.untilReady("moves")), moved);
  assertEquals(identityOf(await user.untilPod("moves", "ready", isReady)), moved);
}

Deno.test("a node that is cut off goes on; back again it gives up what was moved", async (t) => {
  await using network = await createNodeNetwork(["left", "right"]);
  await using cluster = await startCluster({ hostname: network.address });
  using user = await userOf(cluster);
  const nodeAt = (name: string) =>
    createNode(cluster, user, { name, networkNamespace: network.namespaceOf(name) });
  await using left = await nodeAt("left");
  await using right = await nodeAt("right");
  await Promise.all([left.start(), right.start()]);
  const forceAway = (name: string) => void cluster.world.store.remove(kinds.pod, user.get("Pod", name)!);
  const two: TwoNodes = { network, user, left, right, forceAway };
  await t.step("cut off it restarts what ends, and knows of no moves", () => checkCutOff(two));
  await t.step("back again it restarts nothing", () => checkBack(two));
});
