/** A node at the double of a control plane, with a clock that stands still until it is advanced. */
import { createOwnNode, type OwnNode, watchOwnNode } from "../../../../../agent/cluster/node/own_node.ts";
import { type NodeReportOptions, reportNode } from "../../../../../agent/cluster/node/report.ts";
import { keepLease } from "../../../../../agent/cluster/node/lease.ts";
import type { Api } from "../../../../../agent/cluster/client/api.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { Node } from "../../../../../agent/model/gen/v1.ts";
import type { NodeView } from "../../../../../agent/model/node_status.ts";
import { type Cluster, type ClusterOptions, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { find, kinds } from "../../../../fakes/cluster/world.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";
import { until } from "../../../../fakes/until.ts";
import { connected } from "../connected.ts";

export interface Lease {
  metadata: { name: string; ownerReferences: { uid: string }[] };
  spec: { renewTime: string; holderIdentity: string; leaseDurationSeconds: number };
}

export interface NodeLab extends AsyncDisposable {
  cluster: Cluster;
  api: Api;
  own: OwnNode;
  host: FakeHost;
  /** What the node sees of itself; changed by tests. */
  view: NodeView;
  /** What it said of trouble last. */
  trouble: string | undefined;
  node(): Node | undefined;
  lease(): Lease | undefined;
  /** `PATCH nodes/status` of what was asked since the last call; watches left out. */
  asked(): string[];
  /** Something may be new. */
  nudge(): void;
  run(options?: Partial<NodeReportOptions>): void;
  runLease(): void;
  untilLease(): Promise<void>;
  untilNode(what: string, condition: (node: Node) => boolean): Promise<void>;
}

export const leaseResource = find("Lease");

export const viewOf = (more: Partial<NodeView> = {}): NodeView => ({
  hostname: "box",
  addresses: ["192.0.2.1"],
  capacity: { cpu: "2", memory: "4Gi", pods: "110" },
  allocatable: { cpu: "2", memory: "3Gi", pods: "110" },
  notReady: "",
  pressures: new Set(),
  nodeInfo: {
    ...{ architecture: "amd64", bootID: "b", containerRuntimeVersion: "containerd://2.0.0" },
    ...{ kernelVersion: "6.1", kubeProxyVersion: "", kubeletVersion: "v1.36.2+agent.1" },
    ...{ machineID: "m", operatingSystem: "linux", osImage: "Linux", systemUUID: "u" },
  },
  images: [],
  maxImages: 50,
  runtimeHandlers: [],
  supplementalGroupsPolicy: false,
  kubeletPort: 10250,
  volumesInUse: [],
  ...more,
});

const subject = { commonName: "system:node:box", organizations: ["system:nodes"] };

export async function createLab(options: ClusterOptions = {}): Promise<NodeLab> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startCluster(options));
  const api = stack.use(await connected(cluster, { subject, random: () => 0 }));
  const host = createFakeHost();
  const own = createOwnNode();
  const stop = new AbortController();
  const running: Promise<void>[] = [];
  stack.defer(async () => {
    stop.abort();
    await Promise.all(running);
  });
  let seen = 0;
  let wake = new AbortController();
  const pause = async (ms: number, signal: AbortSignal) => {
    await host.sleep(ms, AbortSignal.any([signal, wake.signal])).catch(() => {});
    if (wake.signal.aborted) wake = new AbortController();
  };
  const kept = stack.move();
  const lab: NodeLab = {
    ...{ cluster, api, own, host, view: viewOf(), trouble: undefined },
    node: () => cluster.world.store.get(kinds.node, undefined, "box") as Node | undefined,
    lease: () => cluster.world.store.get(leaseResource, "kube-node-lease", "box") as Lease | undefined,
    asked() {
      const asked = cluster.requests.slice(seen).filter(({ verb }) => verb !== "watch");
      seen = cluster.requests.length;
      return asked.map(({ method, resource }) => `${method} ${resource}`);
    },
    nudge: () => wake.abort(),
    async untilLease() {
      await until("a lease", async () => {
        await host.advance(500);
        return lab.lease() !== undefined;
      });
    },
    run(more = {}) {
      running.push(watchOwnNode({ api, nodeName: "box", own, log: silentLog }, stop.signal));
      running.push(reportNode({
        ...{ api, host, own, log: silentLog, random: () => 0 },
        intent: {
          ...{ name: "box", taints: [], providerID: "", controllerAttaches: true },
          labels: { "kubernetes.io/hostname": "box", "kubernetes.io/os": "linux", rack: "1" },
        },
        register: true,
        look: () => Promise.resolve(lab.view),
        pause,
        every: 10_000,
        reportEvery: 300_000,
        troubled: (why) => lab.trouble = why,
        ...more,
      }, stop.signal));
    },
    runLease() {
      const of = { api, host, log: silentLog, nodeName: "box", durationSeconds: 40 };
      running.push(keepLease({ ...of, node: () => own.get(), random: () => 0 }, stop.signal));
    },
    async untilNode(what, condition) {
      await until(what, () => {
        const node = lab.node();
        return node !== undefined && condition(node);
      });
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
  return lab;
}
