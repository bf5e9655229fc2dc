/** A node of a cluster on a real runtime: pods that controllers make, and what is told of them. */
import { assertEquals, assertMatch } from "@std/assert";
import type { Node } from "../../agent/model/gen/v1.ts";
import { isReady } from "./agent.ts";
import { find } from "../fakes/cluster/world.ts";
import { until } from "../fakes/until.ts";
import { type ClusterOfOne, type Manifest, startClusterOfOne } from "./cluster.ts";
import { checkAttachment } from "./cluster_volume.ts";
import { configMap, identityOf, podOf, secret, shell, stay } from "./pods.ts";

const names = (prefix: string, n: number) => Array.from({ length: n }, (_, i) => `${prefix}-${i}`);

/** Pods as a ReplicaSet makes them. */
async function checkReplicas({ user, node: { agent, run } }: ClusterOfOne): Promise<void> {
  const replicas = names("web", 3);
  await Promise.all(replicas.map((name) => run(podOf(name, [shell("main", stay)]))));
  for (const name of replicas) await agent.untilReady(name);
  await user.remove("Pod", "web-0", 0);
  await agent.untilGone("web-0");
}

/** What a pod names at the API server: it waits for that, and sees its changes and new tokens while it runs. */
async function checkObjects({ cluster, user, node: { agent, run } }: ClusterOfOne): Promise<void> {
  const account = "/var/run/secrets/kubernetes.io/serviceaccount";
  const script = [
    `echo "$COLOR $KEY $KUBERNETES_SERVICE_HOST $(cat ${account}/namespace) $(head -n 1 ${account}/ca.crt)"`,
    `look() { echo "color $(cat /v/color) token $(md5sum <${account}/token)"; }`,
    'old=; while sleep 0.1; do new=$(look); [ "$old" = "$new" ] || echo "$new"; old=$new; done',
  ].join("\n");
  const container = shell("main", script, {
    env: [{ name: "COLOR", valueFrom: { configMapKeyRef: { name: "paint", key: "color" } } }],
    envFrom: [{ secretRef: { name: "keys" } }],
    volumeMounts: [{ name: "v", mountPath: "/v" }],
  });
  cluster.world.settings.tokenLife = 5_000;
  await run(podOf("painter", [container], { volumes: [{ name: "v", configMap: { name: "paint" } }] }));
  const missing = async () => (await agent.cli("events", "--for", "pod/painter")).stdout;
  await until("the pod waits", async () => (await missing()).includes('configmap "paint" not found'));
  const port = { name: "https", port: 443 };
  await user.create(serviceOf("kubernetes", { clusterIP: "10.96.0.1", ports: [port] }));
  await user.create(secret("keys", { KEY: "s3cret" }) as Manifest);
  await user.create(configMap("paint", { color: "red" }) as Manifest);
  await agent.untilLog("painter", "main", /^red s3cret 10\.96\.0\.1 default -----BEGIN CERTIFICATE-----$/m);
  await agent.untilLog("painter", "main", /^color red token/m);
  await user.patch("ConfigMap", "paint", { data: { color: "blue" } });
  await agent.untilLog("painter", "main", /^color blue token/m);
  // A line for each: of the first token, of the other colour, of the second token.
  await agent.untilLog("painter", "main", /(^color \w+ token .*\n){3}/m);
  cluster.world.settings.tokenLife = 3_600_000;
  await user.remove("Pod", "painter", 0);
  await agent.untilGone("painter");
}

const serviceOf = (name: string, spec: Record<string, unknown>): Manifest =>
  ({ apiVersion: "v1", kind: "Service", metadata: { name }, spec }) as Manifest;

/** The Node as `kubectl` and `agent status` show it; its labels decide on pods. */
async function checkNode(
  { cluster, user, node: { name, agent, run }, kubectl }: ClusterOfOne,
): Promise<void> {
  const isReadyNode = (node?: Node) =>
    node?.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") === true;
  const node = await user.until<Node>("Node", name, "ready", isReadyNode);
  assertEquals(node.status?.conditions?.map((c) => c.reason), [
    "KubeletHasSufficientMemory",
    "KubeletHasNoDiskPressure",
    "KubeletHasSufficientPID",
    "KubeletReady",
  ]);
  assertMatch(node.status?.nodeInfo?.containerRuntimeVersion ?? "", /^containerd:\/\/\d/);
  const described = await kubectl(["describe", "node", name]);
  for (
    const line of [
      /Ready +True .* KubeletReady +kubelet is posting ready status/,
      /pods: +110/,
      /Hostname: +box/,
    ]
  ) {
    assertMatch(described, line);
  }
  const lease = () => cluster.world.store.get(find("Lease"), "kube-node-lease", name);
  await until("its lease is held", () => lease()?.spec?.holderIdentity === name);
  await user.patch("Node", name, { metadata: { labels: { disk: "ssd" } }, spec: { unschedulable: true } });
  await until("the node shows what was changed", async () => {
    const { stdout } = await agent.cli("status");
    return /Cluster .*\(answers\), node Ready, SchedulingDisabled/.test(stdout);
  });
  await run(podOf("choosy", [shell("main", stay)], { nodeSelector: { disk: "ssd" } }));
  await agent.untilReady("choosy");
  await user.patch("Node", name, { metadata: { labels: { disk: null } }, spec: { unschedulable: null } });
  await user.remove("Pod", "choosy", 0);
  await agent.untilGone("choosy");
}

async function checkNewAgent({ cluster, user, node }: ClusterOfOne): Promise<void> {
  const before = identityOf(await node.agent.untilReady("web-1"));
  const readySince = () =>
    user.get<Node>("Node", node.name)?.status?.conditions?.find((c) => c.type === "Ready")
      ?.lastTransitionTime;
  const since = readySince();
  await node.agent.kill();
  const asked = cluster.requests.length;
  await node.start();
  assertEquals(identityOf(await node.agent.untilPod("web-1", "ready again", isReady)), before);
  const again = () =>
    cluster.requests.slice(asked).some((r) => r.method === "PUT" && r.resource === "leases");
  await until("the new agent has told of the node", again);
  assertEquals(readySince(), since, "the node was ready all the time");
}

Deno.test("a node runs what the API server binds to it", async (t) => {
  await using one = await startClusterOfOne();
  await t.step("its Node is ready, and shows what it is", () => checkNode(one));
  await t.step("pods of a ReplicaSet run, and are stopped when deleted", () => checkReplicas(one));
  await t.step("a pod has what it names at the API server, and tokens", () => checkObjects(one));
  await t.step("a volume is used once the control plane has attached it", () => checkAttachment(one));
  await t.step("an agent that is killed and started again lets them run", () => checkNewAgent(one));
});
