/** A host joins a cluster, stays somebody in it and leaves it, by the binary's own commands. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { startCluster } from "../fakes/cluster/cluster.ts";
import type { Cluster } from "../fakes/cluster/cluster.ts";
import { formatKubeconfig } from "../../agent/cluster/client/kubeconfig.ts";
import { kinds } from "../fakes/cluster/world.ts";
import { type AgentUnderTest, binary, createAgent, output } from "./agent.ts";
import { type ClusterUser, userOf } from "./cluster.ts";
import { until } from "./containerd.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

interface Lab {
  cluster: Cluster;
  user: ClusterUser;
  agent: AgentUnderTest;
}

const ordinaryLife = 365 * 24 * 3_600_000;
const shortLife = 6_000;

async function joinWords({ cluster, agent }: Lab, more: Partial<{ pin: string; token: string }> = {}) {
  const { pin = cluster.pin, token = await cluster.bootstrapToken() } = more;
  const line = ["join", new URL(cluster.url).host, "--token", token, "--discovery-token-ca-cert-hash", pin];
  return [...line, "--root-dir", agent.root, "--node-name", "box"];
}

const kubeconfigOf = ({ agent }: Lab) => `${agent.root}/kubernetes/kubelet.conf`;
const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);
const requests = ({ cluster }: Lab) => cluster.world.store.list(kinds.request).length;

async function checkRefusals(lab: Lab): Promise<void> {
  const wrongPin = await lab.agent.cli(...await joinWords(lab, { pin: `sha256:${"0".repeat(64)}` }));
  assertEquals(wrongPin.code, 1);
  assertStringIncludes(wrongPin.stderr, "this is another cluster, or somebody in between answers");
  const tls = await lab.cluster.bootstrapToken({ expires: Date.now() - 1000 });
  const ended = await lab.agent.cli(...await joinWords(lab), "--tls-bootstrap-token", tls);
  assertEquals(ended.code, 1);
  assertStringIncludes(ended.stderr, "kubeadm token create --print-join-command");
  assertEquals([await exists(kubeconfigOf(lab)), requests(lab)], [false, 0]);
}

async function checkJoin(lab: Lab): Promise<void> {
  const { agent, user } = lab;
  const joined = await agent.cli(...await joinWords(lab));
  assertEquals(joined.code, 0, joined.stderr);
  assertStringIncludes(joined.stdout, `agent run --root-dir ${agent.root}`);
  await agent.start();
  const again = await agent.cli(...await joinWords(lab), "--wait", "30s");
  assertEquals(again.code, 0, again.stderr);
  assertStringIncludes(again.stderr, "✓ node: box is Ready");
  await agent.write("static.yaml", podOf("static", [shell("main", stay)]));
  const pod = podOf("web", [shell("main", stay)], { nodeName: "box", automountServiceAccountToken: false });
  await user.create({ kind: "Pod", ...pod } as never);
  await agent.untilReady("web");
}

/** Each renewal sets the life of the next. */
async function checkRenewal(lab: Lab): Promise<void> {
  const { cluster, agent } = lab;
  const before = identityOf(await agent.untilReady("web"));
  const asked = requests(lab);
  await until("the certificate is renewed again and again", () => requests(lab) >= asked + 2, 60_000);
  assertEquals(cluster.requests.filter((r) => r.user === "system:anonymous" && r.status === 401), []);
  assertEquals(identityOf(await agent.untilReady("web")), before);
}

/** What the agent says is to be done is done, while it runs. */
async function checkEndedCertificate(lab: Lab): Promise<void> {
  const { cluster, agent } = lab;
  await cluster.pause();
  const told = async () => (await agent.problems()).map((p) => p.message).join("\n");
  await until("it is told", async () => (await told()).includes("client certificate ended at"), 60_000);
  assertStringIncludes(await told(), "kubeadm token create --print-join-command");
  await cluster.resume();
  cluster.world.settings.certificateLife = ordinaryLife;
  const rejoined = await agent.cli(...await joinWords(lab), "--wait", "60s");
  assertEquals(rejoined.code, 0, rejoined.stderr);
  await until("nothing is in the way", async () => !/certificate/.test(await told()));
}

async function checkReset(lab: Lab): Promise<void> {
  const { agent } = lab;
  const reset = () => agent.cli("reset", "--force", "--root-dir", agent.root);
  const running = await reset();
  assertEquals(running.code, 1);
  assertStringIncludes(running.stderr, "an agent runs");
  const before = identityOf(await agent.untilReady("static"));
  await agent.stop();
  const done = await reset();
  assertEquals(done.code, 0, done.stderr);
  assertStringIncludes(done.stderr, "1 of the cluster's ended");
  assertStringIncludes(done.stdout, "kubectl delete node box");
  for (
    const file of ["kubernetes/kubelet.conf", "kubernetes/pki/ca.crt", "config.yaml", "agent/joined.yaml"]
  ) {
    assertEquals(await exists(`${agent.root}/${file}`), false, file);
  }
  assertEquals(
    [...Deno.readDirSync(`${agent.root}/pki`)].map((e) => e.name).filter((n) => /kubelet-client/.test(n)),
    [],
  );
  // The uid of a static pod follows from the node's name, as with the kubelet.
  await agent.start(["--hostname-override", "box"]);
  assertEquals(identityOf(await agent.untilReady("static")), before);
  assertEquals((await agent.pods()).map((p) => p.metadata?.name), ["static"]);
  assertStringIncludes((await reset()).stdout, "nothing to undo");
  await agent.stop();
}

/** As kubeadm's drop-in for systemd starts a kubelet. */
async function checkKubelet(lab: Lab): Promise<void> {
  const { cluster, agent, user } = lab;
  const kubelet = `${agent.directory}/kubelet`;
  await Deno.symlink(binary, kubelet);
  assertEquals((await output(kubelet, ["--version"])).stdout.split(" ")[0], "Kubernetes");
  const [bootstrap, config] = [`${agent.directory}/bootstrap.conf`, `${agent.directory}/kubelet.yaml`];
  const token = await cluster.bootstrapToken();
  await Deno.writeTextFile(
    bootstrap,
    formatKubeconfig({ server: cluster.url, ca: { pem: cluster.ca }, token }),
  );
  await Deno.writeTextFile(
    config,
    "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nnewer: 1\n",
  );
  const flags = ["--bootstrap-kubeconfig", bootstrap, "--kubeconfig", kubeconfigOf(lab), "--config", config];
  const labels = ["--node-labels", "by=kubeadm", "--pod-infra-container-image", "registry.k8s.io/pause:3.10"];
  const child = new Deno.Command(kubelet, {
    args: [...agent.flags, ...flags, ...labels, "--hostname-override", "second", "-v=2"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    type Labelled = { metadata?: { labels?: Record<string, string> } };
    const registered = (node: Labelled | undefined) => node?.metadata?.labels?.by === "kubeadm";
    await user.until<Labelled>("Node", "second", "registered", registered, 60_000);
    assert(await exists(kubeconfigOf(lab)));
  } finally {
    child.kill("SIGTERM");
    await child.status;
  }
}

Deno.test("a host joins a cluster, stays somebody in it, and leaves it", async (t) => {
  await using cluster = await startCluster({ settings: { certificateLife: shortLife } });
  using user = await userOf(cluster);
  await using agent = await createAgent();
  const lab = { cluster, user, agent };
  await t.step(
    "another pin and a token that has ended are refused, and leave nothing",
    () => checkRefusals(lab),
  );
  await t.step("it joins, twice, and runs what is bound to it", () => checkJoin(lab));
  await t.step("its certificate is renewed under running pods", () => checkRenewal(lab));
  await t.step(
    "past its certificate's end it says what to run, and that mends it",
    () => checkEndedCertificate(lab),
  );
  await t.step("reset takes away what the cluster brought, and static pods run on", () => checkReset(lab));
  await t.step("called as kubelet it does what kubeadm expects", () => checkKubelet(lab));
});
