/** A host that had joined the double leaves it: what goes, what stays, what is said. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { JoinStep } from "../../../../../agent/cli/join_steps.ts";
import { resetNode } from "../../../../../agent/compose/join/reset.ts";
import { startCluster } from "../../../../fakes/cluster/cluster.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import type { FakeHost } from "../../../../fakes/host.ts";
import { never } from "../../cluster/connected.ts";
import { asking, configOf, hostOf, join } from "./joining.ts";

async function reset(host: FakeHost, more: { answer?: boolean; endPods?: () => Promise<number> } = {}) {
  const { answer = true, endPods = () => Promise.resolve(2) } = more;
  const { config } = await configOf(host);
  const steps: JoinStep[] = [];
  const questions: string[] = [];
  const confirm = (question: string) => {
    questions.push(question);
    return Promise.resolve(answer);
  };
  const options = { host, config, tell: (step: JoinStep) => void steps.push(step), endPods };
  const outcome = await resetNode(options, { confirm }, never());
  return { outcome, questions, ended: (name: string) => steps.findLast((s) => s.name === name) };
}

const foreign = {
  "/etc/kubernetes/manifests/web.yaml": "mine",
  "/var/lib/kubelet/pki/kubelet.crt": "of the kubelet's API",
  "/var/lib/kubelet/agent/last-good.json": "{}",
};

Deno.test("what the cluster brought goes, and nothing else; then there is nothing to undo", async () => {
  await using cluster = await startCluster();
  const host = hostOf({ files: foreign });
  await join(host, await asking(cluster));
  await host.writeFile("/var/lib/kubelet/agent/offline.sealed", "kept");
  const kept = await reset(host, { answer: false });
  assertEquals([kept.outcome.done, kept.outcome.next], [false, ["Nothing was changed."]]);
  assertStringIncludes(kept.questions[0]!, "kubectl drain box");

  const { outcome, ended } = await reset(host);
  assertEquals(outcome.done, true);
  assertEquals(ended("pods")?.message, "2 of the cluster's ended");
  const removed = ended("files")!.details;
  assertEquals(removed.at(-1), "/var/lib/kubelet/agent/joined.yaml");
  for (
    const path of [
      "/etc/kubernetes/kubelet.conf",
      "/etc/kubernetes/pki/ca.crt",
      "/var/lib/kubelet/config.yaml",
      "/var/lib/kubelet/kubeadm-flags.env",
      "/var/lib/kubelet/instance-config.yaml",
      "/var/lib/kubelet/agent/offline.sealed",
    ]
  ) {
    assertEquals([removed.includes(path), host.text(path)], [true, undefined], path);
  }
  assertEquals(await host.list("/var/lib/kubelet/pki"), ["kubelet.crt"]);
  for (const [path, text] of Object.entries(foreign)) assertEquals(host.text(path), text);
  assertEquals((await reset(host)).outcome.next, [
    "This host has not joined a cluster: there is nothing to undo.",
  ]);
});

Deno.test("a Node that the node may not delete is left to an administrator; one that is gone is not spoken of", async () => {
  await using cluster = await startCluster();
  const node = { apiVersion: "v1", kind: "Node", metadata: { name: "box" } };
  cluster.world.store.put(kinds.node, node as never);
  const host = hostOf();
  await join(host, await asking(cluster));
  const { outcome } = await reset(host);
  assertEquals(outcome.next, [
    "Take its Node away from where you administer the cluster: kubectl delete node box",
  ]);
});

Deno.test("a reset that fails half way says so, and can be run again", async () => {
  await using cluster = await startCluster();
  const host = hostOf();
  await join(host, await asking(cluster));
  await cluster.pause();
  const failed = await reset(host, { endPods: () => Promise.reject(new Error("the runtime is away")) });
  assertEquals([failed.outcome.done, failed.ended("pods")?.message], [false, "the runtime is away"]);
  assertEquals((await reset(host)).outcome.done, true);
});

Deno.test("what another program joined is not ours to undo", async () => {
  const host = hostOf({ files: { "/etc/kubernetes/kubelet.conf": "apiVersion: v1" } });
  assertStringIncludes((await reset(host)).outcome.next[0]!, "kubeadm reset");
});
