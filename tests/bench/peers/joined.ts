/**
 * Nodes of a cluster: told by an API server, here the double of one in this process, and seen as that has them. The agent
 * and, where KUBELET names one, a kubelet; each with a control plane and a containerd of its own.
 * Not for: what is common to all (agent.ts, kubelet_program.ts).
 */
import { join } from "@std/path";
import type { Node, Pod } from "../../../agent/model/gen/v1.ts";
import { type ClusterUser, createNode, type Manifest, userOf } from "../../e2e/cluster.ts";
import { type Cluster, startCluster } from "../../fakes/cluster/cluster.ts";
import { type Kubectl, kubectlOf } from "../../fakes/kubectl.ts";
import { kinds } from "../../fakes/cluster/world.ts";
import { runningContainers } from "./agent.ts";
import { openCri } from "./cri.ts";
import { freePort, logsOf, NODE, prepareKubelet } from "./kubelet_program.ts";
import { type BenchPod, ONE_LOG_FILE } from "../pods.ts";
import type { Peer, Resident } from "./peer.ts";
import { startRuntime } from "./runtime.ts";

interface Joined {
  name: string;
  /** The Node's. */
  node: string;
  cluster: Cluster;
  user: ClusterUser;
  kubectl: Kubectl;
  resident: Resident;
  logs(pod: BenchPod): string[];
  /** Of its runtime. */
  socket: string;
  stack: AsyncDisposableStack;
}

function peerOf({ name, node, cluster, user, kubectl, resident, socket, logs, stack }: Joined): Peer {
  const cri = openCri(socket);
  const known = () => cluster.world.store.list(kinds.pod, "default") as unknown as Pod[];
  return {
    name,
    restarts: true,
    resident,
    async add(pods) {
      const bound = ({ spec }: Pod) => ({ ...spec!, nodeName: node });
      await Promise.all(
        pods.map(({ spec }) => user.create({ kind: "Pod", ...spec, spec: bound(spec) } as Manifest)),
      );
    },
    async remove(pods) {
      await Promise.all(pods.map((pod) => user.remove("Pod", pod.name)));
    },
    async whenRunning({ name }) {
      await user.untilPod(name, "running", (pod) => runningContainers([pod]).has(name), 60_000);
    },
    running: () => Promise.resolve(runningContainers(known())),
    async knows(pods) {
      const names = new Set([...known().map((p) => p.metadata?.name), ...await cri.alive()]);
      return pods.some((pod) => names.has(pod.name));
    },
    containers: (pod) => cri.containers(pod.name),
    async exec(pod, command) {
      const said = await kubectl(["exec", pod.name, "--", ...command]);
      if (said.startsWith("exit status")) throw new Error(`kubectl exec: ${said}`);
    },
    processOf: (pod) => cri.processOf(pod.name),
    async putConfigMap(name, text) {
      if (user.get("ConfigMap", name) !== undefined) {
        return await user.patch("ConfigMap", name, { data: { text } });
      }
      await user.create({ kind: "ConfigMap", metadata: { name }, data: { text } } as Manifest);
    },
    logs,
    node: {
      requests: () =>
        cluster.requests.filter((r) => r.user.startsWith("system:node:"))
          .map(({ verb, resource }) => `${verb} ${resource}`),
      async loseSight() {
        const conditions = [{ type: "Ready", status: "Unknown", reason: "NodeStatusUnknown" }];
        await user.patch("Node", node, { status: { conditions } }, "status");
      },
      async whenReady() {
        const isReady = (shown: Node | undefined) =>
          shown?.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false;
        await user.until<Node>("Node", node, "ready", isReady, 60_000);
      },
    },
    async [Symbol.asyncDispose]() {
      cri.close();
      await stack.disposeAsync();
    },
  };
}

interface Identity {
  /** Goes with the peer. */
  directory: string;
  /** Path of the cluster's authority. */
  ca: string;
  /** For curl: who the API server is for nodes. */
  identity: string[];
}

async function writeIdentity(cluster: Cluster, stack: AsyncDisposableStack): Promise<Identity> {
  const directory = await Deno.makeTempDir({ prefix: "agent-bench-", dir: "/run" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const { cert, key } = cluster.world.kubeletClient;
  const path = (name: string) => join(directory, name);
  for (
    const [name, text] of Object.entries({ "ca.crt": cluster.ca, "client.crt": cert, "client.key": key })
  ) {
    await Deno.writeTextFile(path(name), text);
  }
  return {
    directory,
    ca: path("ca.crt"),
    identity: ["--cert", path("client.crt"), "--key", path("client.key")],
  };
}

export async function createJoinedPeer(): Promise<Peer> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startCluster());
  const user = stack.use(await userOf(cluster));
  const { directory, ca, identity } = await writeIdentity(cluster, stack);
  const port = freePort();
  const flags = ["--port", `${port}`, "--client-ca-file", ca];
  // Debug messages cost what users do not pay.
  const node = stack.use(await createNode(cluster, user, { verbosity: 0, config: ONE_LOG_FILE, flags }));
  await node.start();
  const { agent, start } = node;
  return peerOf({
    name: "joined",
    node: node.name,
    ...{ cluster, user },
    kubectl: await kubectlOf(cluster, directory),
    resident: { pid: agent.pid, stop: agent.stop, start },
    socket: agent.runtimeSocket(),
    logs: (pod) => logsOf(port, `default/${pod.name}`, identity),
    stack: stack.move(),
  });
}

export async function createJoinedKubelet(binary: string): Promise<Peer> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startCluster());
  const user = stack.use(await userOf(cluster));
  const runtime = await startRuntime();
  const { directory, ca, identity } = await writeIdentity(cluster, stack);
  const kubeconfig = join(directory, "kubelet.conf");
  await Deno.writeTextFile(
    kubeconfig,
    await cluster.kubeconfig({ commonName: `system:node:${NODE}`, organizations: ["system:nodes"] }),
  );
  const configuration = {
    // The double speaks no protobuf.
    contentType: "application/json",
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: ca } },
    authorization: { mode: "Webhook" },
  };
  const flags = ["--kubeconfig", kubeconfig, "--cert-dir", join(directory, "pki")];
  const resident = stack.use(await prepareKubelet({ binary, runtime, configuration, flags }));
  await resident.start();
  const kubectl = await kubectlOf(cluster, directory);
  const kept = stack.move();
  const name = "joined kubelet";
  const { socket } = runtime;
  const logs = (pod: BenchPod) => resident.logs(`default/${pod.name}`, identity);
  return peerOf({ name, node: NODE, cluster, user, kubectl, resident, socket, logs, stack: kept });
}
