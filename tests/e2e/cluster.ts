/**
 * A node of a cluster as its users see it: the built binary, tied to a double of a control plane, with a runtime of its own;
 * objects are made as by controllers and users, and seen as the API server has them. Not for: assertions.
 */
import { createConnection } from "../../agent/cluster/client/client.ts";
import { type Api, createApi } from "../../agent/cluster/client/api.ts";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type Cluster, type ClusterOptions, startCluster } from "../fakes/cluster/cluster.ts";
import type { Json, Stored } from "../fakes/cluster/objects.ts";
import { find } from "../fakes/cluster/world.ts";
import { groupVersion } from "../fakes/cluster/resources.ts";
import { type Kubectl, kubectlOf } from "../fakes/kubectl.ts";
import { until } from "../fakes/until.ts";
import { type AgentOptions, type AgentUnderTest, createAgent } from "./agent.ts";

/** What kubectl would apply. */
export type Manifest = { kind: string; metadata?: { name?: string; namespace?: string } };

/** The API server as its users see it; objects without a namespace are in `default`. */
export interface ClusterUser {
  create<T = Stored>(manifest: Manifest): Promise<T>;
  /** A merge patch, of a subresource where one is named. */
  patch(kind: string, name: string, patch: Json, subresource?: string): Promise<void>;
  /** As `kubectl delete --wait=false`; `grace` in seconds. */
  remove(kind: string, name: string, grace?: number): Promise<void>;
  get<T = Stored>(kind: string, name: string): T | undefined;
  pod(name: string): Pod | undefined;
  /** Ends as soon as the API server has it so; fails after `limitMs`. */
  until<T = Stored>(
    kind: string,
    name: string,
    what: string,
    condition: (object: T | undefined) => boolean,
    limitMs?: number,
  ): Promise<T>;
  untilPod(name: string, what: string, condition: (pod: Pod) => boolean, limitMs?: number): Promise<Pod>;
  untilGone(kind: string, name: string, limitMs?: number): Promise<void>;
  [Symbol.dispose](): void;
}

const administrator = { commonName: "admin", organizations: ["system:masters"] };

export async function userOf(cluster: Cluster): Promise<ClusterUser> {
  const { cert: certificate, key } = await cluster.client(administrator);
  const credentials = { identity: () => Promise.resolve({ certificate, key }), refused: () => {} };
  const api: Api = createApi({
    connection: createConnection({ server: cluster.url, ca: cluster.ca }),
    credentials,
  });
  const { signal } = new AbortController();
  const { store } = cluster.world;
  const pathOf = (kind: string, name?: string, namespace = "default") => {
    const resource = find(kind);
    const root = resource.group === "" ? "/api" : "/apis";
    const scope = resource.namespaced ? `/namespaces/${namespace}` : "";
    const path = `${root}/${groupVersion(resource)}${scope}/${resource.plural}`;
    return name === undefined ? path : `${path}/${name}`;
  };
  const get = <T>(kind: string, name: string) => {
    const resource = find(kind);
    return store.get(resource, resource.namespaced ? "default" : undefined, name) as T | undefined;
  };
  async function untilObject<T>(
    kind: string,
    name: string,
    what: string,
    condition: (object: T | undefined) => boolean,
    limitMs = 20_000,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const look = () => {
      const object = get<T>(kind, name);
      if (condition(object)) resolve(object as T);
    };
    const unsubscribe = store.subscribe(({ resource }) => void (resource.kind === kind && look()));
    const late = () =>
      reject(new Error(`${kind} ${name}: never ${what}\n${JSON.stringify(get(kind, name), null, 1)}`));
    const timer = setTimeout(late, limitMs);
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      unsubscribe();
    }
  }
  return {
    create: async <T>(manifest: Manifest) =>
      await api.ask({
        method: "POST",
        path: pathOf(manifest.kind, undefined, manifest.metadata?.namespace),
        body: manifest,
        signal,
      }) as T,
    async patch(kind, name, patch, subresource) {
      const path = pathOf(kind, name) + (subresource === undefined ? "" : `/${subresource}`);
      const contentType = "application/merge-patch+json";
      await api.ask({ method: "PATCH", path, body: patch, contentType, signal });
    },
    async remove(kind, name, grace) {
      const body = grace === undefined ? {} : { gracePeriodSeconds: grace };
      await api.ask({ method: "DELETE", path: pathOf(kind, name), body, signal });
    },
    get,
    pod: (name) => get<Pod>("Pod", name),
    until: untilObject,
    untilPod: (name, what, condition, limitMs) =>
      untilObject<Pod>("Pod", name, what, (pod) => pod !== undefined && condition(pod), limitMs),
    async untilGone(kind, name, limitMs) {
      await untilObject(kind, name, "gone", (object) => object === undefined, limitMs);
    },
    [Symbol.dispose]: () => api.close(),
  };
}

export interface NodeOptions extends AgentOptions {
  /** Default `box`. */
  name?: string;
  /** Flags beside those that tie it to the cluster. */
  flags?: string[];
}

/** One node of a cluster. */
export interface NodeUnderTest extends AsyncDisposable {
  name: string;
  agent: AgentUnderTest;
  /** Starts it, or starts it again, and waits until its API is ready. */
  start(): Promise<void>;
  /** Makes it on this node, as the scheduler would have bound it. */
  run(pod: Pod): Promise<Pod>;
}

/** A node that is not running yet; its identity is a kubeconfig with a client certificate. */
export async function createNode(
  cluster: Cluster,
  user: ClusterUser,
  options: NodeOptions = {},
): Promise<NodeUnderTest> {
  const { name = "box", flags = [] } = options;
  const agent = await createAgent(options);
  const path = `${agent.directory}/kubelet.conf`;
  const subject = { commonName: `system:node:${name}`, organizations: ["system:nodes"] };
  await Deno.writeTextFile(path, await cluster.kubeconfig(subject));
  return {
    name,
    agent,
    start: () => agent.start(["--kubeconfig", path, "--hostname-override", name, ...flags]),
    run: (pod) =>
      user.create<Pod>({ kind: "Pod", ...pod, spec: { ...pod.spec!, nodeName: name } } as Manifest),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

export interface ClusterOfOne extends AsyncDisposable {
  cluster: Cluster;
  user: ClusterUser;
  node: NodeUnderTest;
  kubectl: Kubectl;
}

/** A control plane with one node, which is started. */
export async function startClusterOfOne(
  options: NodeOptions & { cluster?: ClusterOptions } = {},
): Promise<ClusterOfOne> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startCluster(options.cluster));
  const user = stack.use(await userOf(cluster));
  const node = stack.use(await createNode(cluster, user, options));
  const kubectl = await kubectlOf(cluster, node.agent.directory);
  await node.start();
  const kept = stack.move();
  return { cluster, user, node, kubectl, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** All that the API server has told so far of a pod, and before, is kept for a start without it. */
export async function untilKept({ user, node: { agent } }: ClusterOfOne, pod: string): Promise<void> {
  const keptAt = () =>
    Deno.stat(`${agent.root}/agent/offline.sealed`).then(({ mtime }) => mtime!.getTime(), () => 0);
  const settled = Date.now();
  await user.patch("Pod", pod, { metadata: { labels: { last: "change" } } });
  await until("all of it is kept", async () => await keptAt() > settled);
}
