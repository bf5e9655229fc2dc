/** Static pods of a node in the eyes of its cluster: mirrors and events, which never hold up the pods themselves. */
import { assertEquals } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { isReady } from "./agent.ts";
import { until } from "../fakes/until.ts";
import { type ClusterOfOne, startClusterOfOne } from "./cluster.ts";
import { configMap, identityOf, podOf, shell, stay } from "./pods.ts";

const hash = (pod: Pod) => pod.metadata?.annotations?.["kubernetes.io/config.hash"];

const restarts = (pod: Pod) => pod.status?.containerStatuses?.[0]?.restartCount;

/** It uses what only the node has. */
const web = (word: string) => [
  configMap("local", { word: "local" }),
  podOf("web", [
    shell("main", stay, {
      env: [{ name: "WORD", value: word }],
      envFrom: [{ configMapRef: { name: "local" } }],
    }),
  ]),
];

async function checkMirror({ user, node: { agent }, kubectl }: ClusterOfOne): Promise<void> {
  await agent.write("web.yaml", ...web("a"));
  const mirror = await user.untilPod("web-box", "ready", isReady);
  assertEquals(identityOf(mirror), identityOf(await agent.untilReady("web")));
  assertEquals(mirror.metadata?.annotations?.["agent/mirror-leaves-out"], "spec.containers[0].envFrom");
  const described = () => kubectl(["describe", "pod", "web-box"]);
  await until("its events are shown", async () => /Started +\S+ +kubelet +.*main/.test(await described()));
}

async function checkEdit({ user, node: { agent } }: ClusterOfOne): Promise<void> {
  const before = user.pod("web-box")!;
  await agent.write("web.yaml", ...web("b"));
  const after = await user.untilPod(
    "web-box",
    "new",
    (pod) => hash(pod) !== hash(before) && restarts(pod) === 1 && isReady(pod),
  );
  assertEquals(after.spec?.containers[0]?.env, [{ name: "WORD", value: "b" }]);
}

/** Whoever deletes a mirror gets another; the pod does not notice. */
async function checkDeletion({ user, node: { agent }, kubectl }: ClusterOfOne): Promise<void> {
  const before = identityOf(await agent.untilReady("web"));
  const { uid } = user.pod("web-box")!.metadata!;
  await kubectl(["delete", "pod", "web-box", "--wait=false"]);
  await user.untilPod("web-box", "another", (pod) => pod.metadata?.uid !== uid && isReady(pod));
  assertEquals(identityOf(await agent.untilReady("web")), before);
}

async function checkAbsence({ cluster, user, node: { agent } }: ClusterOfOne): Promise<void> {
  await cluster.pause();
  await agent.write("late.yaml", podOf("late", [shell("main", stay)]));
  await agent.untilReady("late");
  await agent.remove("web.yaml");
  await agent.untilGone("web");
  await cluster.resume();
  await user.untilPod("late-box", "ready", isReady, 40_000);
  await user.untilGone("Pod", "web-box", 40_000);
}

Deno.test("static pods have mirrors in the cluster, which never hold them up", async (t) => {
  await using one = await startClusterOfOne();
  await t.step(
    "a mirror shows the status and the events of its pod, without what only the node has",
    () => checkMirror(one),
  );
  await t.step("an edit replaces the mirror", () => checkEdit(one));
  await t.step("a mirror that is deleted comes back, and its pod runs on", () => checkDeletion(one));
  await t.step(
    "while the API server is away static pods come and go, and mirrors follow later",
    () => checkAbsence(one),
  );
});
