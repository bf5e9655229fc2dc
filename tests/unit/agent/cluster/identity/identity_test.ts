/** The node stays somebody in the double's cluster: renewed, recovered, or told what to run. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ApiError } from "../../../../../agent/cluster/client/api_error.ts";
import { formatKubeconfig } from "../../../../../agent/cluster/client/kubeconfig.ts";
import { createNodeIdentity } from "../../../../../agent/cluster/identity/identity.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { pause } from "../../../../../agent/lib/pause.ts";
import type { Problem } from "../../../../../agent/model/errors.ts";
import { type Cluster, type ClusterOptions, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";
import { until } from "../../../../fakes/until.ts";
import { never } from "../connected.ts";

const places = {
  kubeconfig: "/etc/kubernetes/kubelet.conf",
  bootstrapKubeconfig: "/etc/kubernetes/bootstrap-kubelet.conf",
  certDir: "/var/lib/kubelet/pki",
};
const subject = { commonName: "system:node:box", organizations: ["system:nodes"] };
const classes = "/apis/node.k8s.io/v1/runtimeclasses";

/** In memory, but with the world's time, by which TLS goes. */
const hostOfToday = (): FakeHost => ({
  ...createFakeHost(),
  now: Date.now,
  monotonic: () => performance.now(),
  sleep: (ms, signal) => pause(Math.min(ms, 100), signal),
});

const bootstrapKubeconfig = (cluster: Cluster, token: string) =>
  formatKubeconfig({ server: cluster.url, ca: { pem: cluster.ca }, token });

async function running(
  options: ClusterOptions,
  prepare: (host: FakeHost, cluster: Cluster) => Promise<void>,
) {
  const cluster = await startCluster(options);
  const host = hostOfToday();
  await prepare(host, cluster);
  const problems: Problem[][] = [];
  const warnings: string[] = [];
  const identity = await createNodeIdentity({
    host,
    log: { ...silentLog, warn: (message) => void warnings.push(message) },
    nodeName: "box",
    places,
    rotates: true,
    report: (list) => problems.push(list),
    random: () => 0,
  });
  const leaving = new AbortController();
  const run = identity.run(leaving.signal);
  return {
    cluster,
    host,
    problems,
    warnings,
    told: () => problems.at(-1)?.map((p) => `${p.severity} ${p.message}`).join() ?? "",
    ask: () => identity.api.ask({ path: classes, signal: never() }),
    api: identity.api,
    [Symbol.asyncDispose]: async () => {
      leaving.abort();
      await run;
      identity.api.close();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

async function write(host: FakeHost, path: string, text: string): Promise<void> {
  await host.mkdir("/etc/kubernetes");
  await host.writeFileAtomic(path, text, 0o600);
}

async function withCertificate(host: FakeHost, cluster: Cluster, life: number): Promise<void> {
  const now = Date.now();
  const { cert, key } = await cluster.client(subject, { notBefore: now - 100, notAfter: now + life });
  const kubeconfig = { server: cluster.url, certificate: { pem: cert }, key: { pem: key } };
  await write(host, places.kubeconfig, formatKubeconfig({ ...kubeconfig, ca: { pem: cluster.ca } }));
}

const signed = ({ world }: Cluster) => world.store.list(kinds.request).length;

Deno.test("certificates that live three seconds are renewed again and again, and no request is refused", async () => {
  await using node = await running(
    { settings: { certificateLife: 3_000 } },
    (host, cluster) => withCertificate(host, cluster, 3_000),
  );
  await until("three are renewed", async () => {
    await node.ask();
    return signed(node.cluster) >= 3;
  });
  assertEquals(node.cluster.requests.filter((r) => r.status === 401 || r.status === 403), []);
  assertEquals(node.told(), "");
  // The kubeconfig itself stays as it was; the pair in use and the one before it are kept.
  const dated = (await node.host.list(places.certDir))!.filter((name) => /\d/.test(name));
  assert(dated.length === 2, dated.join());
});

Deno.test("a node without a kubeconfig asks by its bootstrap credentials, with patience, while others wait", async () => {
  await using node = await running({}, async (host, cluster) => {
    await write(
      host,
      places.bootstrapKubeconfig,
      bootstrapKubeconfig(cluster, await cluster.bootstrapToken()),
    );
    await cluster.pause();
  });
  const refused = await assertRejects(node.ask, ApiError);
  assertEquals(refused.reason, "Unauthorized");
  const opened = Promise.withResolvers<void>();
  const leaving = new AbortController();
  const watching = node.api.watch(
    { path: classes, signal: leaving.signal, opened: opened.resolve },
    () => {},
  );
  await until("it is told", () => node.told().includes("cannot be reached"));
  await node.cluster.resume();
  await opened.promise;
  assertEquals(node.cluster.requests.at(-1)?.user, "system:node:box");
  leaving.abort();
  await watching;
  await until("nothing is in the way", () => node.told() === "");
  assertEquals(node.host.mode(places.kubeconfig), 0o600);
  assertEquals(signed(node.cluster), 1);
});

Deno.test("a node that was off past its certificate's end recovers by its bootstrap credentials", async () => {
  await using node = await running({}, async (host, cluster) => {
    await withCertificate(host, cluster, -50);
    await write(
      host,
      places.bootstrapKubeconfig,
      bootstrapKubeconfig(cluster, await cluster.bootstrapToken()),
    );
  });
  await until("it has a new one", () => node.ask().then(() => true, () => false));
});

Deno.test("without a way it says what to run; a join by hand is taken up at once, without a restart", async () => {
  await using node = await running({}, (host, cluster) => withCertificate(host, cluster, -50));
  await until("it is told", () => node.told().includes("error the node's client certificate ended at"));
  assertStringIncludes(node.told(), "kubeadm token create --print-join-command");
  await withCertificate(node.host, node.cluster, 3_600_000);
  await until("it is somebody again", () => node.ask().then(() => true, () => false));
  await until("nothing is in the way", () => node.told() === "");
});

Deno.test("a kubeconfig that trusts anybody is not used: it is said what to put in its place, once, and taken up then", async () => {
  await using node = await running({}, async (host, cluster) => {
    await withCertificate(host, cluster, 3_600_000);
    const text = host.text(places.kubeconfig)!;
    const unverified = text.replace(/certificate-authority-data: .*/, "insecure-skip-tls-verify: true");
    assert(unverified !== text);
    await write(host, places.kubeconfig, unverified);
  });
  await until(
    "it is told",
    () => node.told().includes("set certificate-authority to the path of the cluster's ca.crt"),
  );
  await assertRejects(node.ask, ApiError, "insecure-skip-tls-verify");
  assertEquals([node.problems.length, node.warnings], [1, [
    node.problems[0]![0]!.message.split("; mend it")[0]!,
  ]]);
  await withCertificate(node.host, node.cluster, 3_600_000);
  await until("it is somebody", () => node.ask().then(() => true, () => false));
  await until("nothing is in the way", () => node.told() === "");
});

Deno.test("a bootstrap token that has ended is told of, and a new one taken at once", async () => {
  await using node = await running({}, async (host, cluster) => {
    const token = await cluster.bootstrapToken({ expires: Date.now() - 1 });
    await write(host, places.bootstrapKubeconfig, bootstrapKubeconfig(cluster, token));
  });
  await until("it is told", () => node.told().includes("does not take the bootstrap credentials"));
  const token = await node.cluster.bootstrapToken();
  await write(node.host, places.bootstrapKubeconfig, bootstrapKubeconfig(node.cluster, token));
  await until("it is somebody", () => node.ask().then(() => true, () => false));
});

Deno.test("a request that nobody approves is waited for by its name; a denied one is said, and asked anew", async () => {
  await using node = await running({ settings: { approveClients: false } }, async (host, cluster) => {
    await write(
      host,
      places.bootstrapKubeconfig,
      bootstrapKubeconfig(cluster, await cluster.bootstrapToken()),
    );
  });
  await until(
    "it is told",
    () => /waiting until CertificateSigningRequest node-csr-\S+ is approved/.test(node.told()),
  );
  const { store, settings } = node.cluster.world;
  const [request] = store.list(kinds.request);
  const denied = { type: "Denied", status: "True", message: "not this one" };
  store.put(kinds.request, { ...request!, status: { conditions: [denied] } });
  await until("that is told", () => node.told().includes("was denied: not this one"));
  settings.approveClients = true;
  await until("it is somebody", () => node.ask().then(() => true, () => false));
  assertEquals(signed(node.cluster), 2);
});

Deno.test("a renewal that the API server leaves open is given up when the certificate ends, and that is told", async () => {
  await using node = await running(
    { settings: { approveClients: false } },
    (host, cluster) => withCertificate(host, cluster, 1_500),
  );
  await until("it has asked", () => signed(node.cluster) > 0);
  await node.cluster.pause();
  await until("it is told", () => node.told().includes("error the node's client certificate ended at"));
});
