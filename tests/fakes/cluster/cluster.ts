/**
 * A test double of a Kubernetes cluster's control plane: the parts of its API server that a node touches, over HTTPS, with
 * authentication, authorisation, storage, watches and the controllers that a node waits for. Tests reach into it through
 * `world` and break it through `faults`. Not for: scheduling, or running anything.
 */
import { stringify } from "@std/yaml";
import { certificatesIn, pinOf, type Subject } from "../../../agent/cluster/certificates/certificate.ts";
import type { OpenWatch, Seen } from "./audit.ts";
import { createAuthority, type Identity, type Life } from "./authority.ts";
import { runControllers } from "./controllers.ts";
import { createFaults, type Faults } from "./faults.ts";
import { furnishAsKubeadm, putBootstrapToken } from "./kubeadm.ts";
import { builtIn, type Resource } from "./resources.ts";
import { serve, type Serving } from "./server.ts";
import { createStore } from "./store.ts";
import { createTokens } from "./tokens.ts";
import type { Settings, World } from "./world.ts";

export interface ClusterOptions {
  /** Where it listens, by default 127.0.0.1. */
  hostname?: string;
  settings?: Partial<Settings>;
  /** Beside those of Kubernetes. */
  resources?: readonly Resource[];
  kubeletConfiguration?: Record<string, unknown>;
  now?: () => number;
}

export interface Cluster extends AsyncDisposable {
  /** `https://HOST:PORT`; stays when it is paused. */
  url: string;
  /** PEM */
  ca: string;
  /** `sha256:…`, for --discovery-token-ca-cert-hash. */
  pin: string;
  world: World;
  faults: Faults;
  /** Everything that was asked, in order. */
  requests: Seen[];
  watches: ReadonlySet<OpenWatch>;
  bootstrapToken(life?: { expires?: number }): Promise<string>;
  client(subject: Subject, life?: Partial<Life>): Promise<Identity>;
  /** The text of a kubeconfig, of an administrator unless told. */
  kubeconfig(of?: Subject): Promise<string>;
  /** All watches break, with `half` in the middle of an event. */
  cutWatches(options?: { half?: boolean; when?: (seen: Seen) => boolean }): void;
  /** Connections are refused until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

const hour = 3_600_000;
const administrator: Subject = { commonName: "kubernetes-admin", organizations: ["system:masters"] };

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const world = await createWorld(options);
  const { authority } = world;
  const hostname = options.hostname ?? "127.0.0.1";
  const identity = await authority.identity({ commonName: "kube-apiserver", organizations: [] }, "server", {
    dnsNames: ["localhost", "kubernetes", "kubernetes.default.svc"],
    ipAddresses: [...new Set([hostname, "127.0.0.1", "10.96.0.1"])],
  });
  const [faults, requests, watches] = [createFaults(), [] as Seen[], new Set<OpenWatch>()];
  const listen = (port: number) => serve({ world, faults, requests, watches, identity, hostname, port });
  let serving: Serving | undefined = await listenSomewhere(listen);
  const { port } = serving;
  const url = `https://${hostname}:${port}`;
  const bugs: unknown[] = [];
  const endControllers = runControllers(world, (error) => bugs.push(error));
  furnishAsKubeadm(world, { server: url, kubeletConfiguration: options.kubeletConfiguration ?? {} });
  await Promise.resolve();

  const pause = async () => {
    await serving?.stop();
    serving = undefined;
  };
  return {
    url,
    ca: authority.cert,
    pin: await pinOf(certificatesIn(authority.cert)[0]!),
    world,
    faults,
    requests,
    watches,
    bootstrapToken: (life = {}) => putBootstrapToken(world, { id: random(6), secret: random(16), ...life }),
    client: (subject, life = {}) => authority.identity(subject, "client", life),
    async kubeconfig(of = administrator) {
      return kubeconfigText(url, authority.cert, await authority.identity(of, "client"));
    },
    cutWatches({ half = false, when = () => true } = {}) {
      for (const open of watches) if (when(open.seen)) open.cut(half);
    },
    pause,
    async resume() {
      serving ??= await listen(port);
    },
    async [Symbol.asyncDispose]() {
      endControllers();
      await pause();
      if (bugs.length > 0) throw new AggregateError(bugs, "a controller of the double failed");
    },
  };
}

/** Not among the ports that the system gives to clients: one of them would have it when the double is resumed. */
async function listenSomewhere(listen: (port: number) => Promise<Serving>): Promise<Serving> {
  for (let tries = 1;; tries++) {
    try {
      return await listen(20_000 + Math.floor(Math.random() * 12_000));
    } catch (error) {
      if (tries === 20) throw error;
    }
  }
}

async function createWorld(options: ClusterOptions): Promise<World> {
  const authority = await createAuthority();
  const client = { commonName: "kube-apiserver-kubelet-client", organizations: ["kubeadm:cluster-admins"] };
  return {
    store: createStore(),
    resources: [...builtIn, ...options.resources ?? []],
    authority,
    tokens: await createTokens(),
    settings: {
      approveClients: true,
      approveServing: false,
      certificateLife: 365 * 24 * hour,
      bookmarkEvery: 60_000,
      unknownFields: {},
      ...options.settings,
    },
    grants: new Map([["group:kubeadm:cluster-admins", [{ verbs: ["*"], resources: ["*"], paths: ["*"] }]]]),
    kubeletClient: await authority.identity(client, "client"),
    now: options.now ?? Date.now,
  };
}

const random = (length: number): string =>
  Array.from(
    crypto.getRandomValues(new Uint8Array(length)),
    (n) => "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36],
  ).join("");

function kubeconfigText(server: string, ca: string, { cert, key }: Identity): string {
  const name = "double";
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, "certificate-authority-data": btoa(ca) } }],
    users: [{ name, user: { "client-certificate-data": btoa(cert), "client-key-data": btoa(key) } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  });
}
