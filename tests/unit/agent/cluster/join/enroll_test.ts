/** A host becomes a node of the double's cluster, again and again, and its certificate stays alive. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createApi } from "../../../../../agent/cluster/client/api.ts";
import { createCertificateFiles } from "../../../../../agent/cluster/certificates/certificate_files.ts";
import { createConnection } from "../../../../../agent/cluster/client/client.ts";
import { createCredentials } from "../../../../../agent/cluster/client/credentials.ts";
import { enroll, type Enrolling, joinedServer } from "../../../../../agent/cluster/join/enroll.ts";
import { JoinFailure } from "../../../../../agent/cluster/join/join_failure.ts";
import { parseKubeconfig } from "../../../../../agent/cluster/client/kubeconfig.ts";
import { rotateClientCertificate } from "../../../../../agent/cluster/certificates/rotation.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { type Cluster, type ClusterOptions, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";
import { until } from "../../../../fakes/until.ts";
import { never } from "../connected.ts";

const places = {
  kubeconfig: "/etc/kubernetes/kubelet.conf",
  ca: "/etc/kubernetes/pki/ca.crt",
  certificates: "/var/lib/kubelet/pki",
};

async function enrolling(cluster: Cluster, host: FakeHost): Promise<Enrolling> {
  return {
    host,
    places,
    cluster: { server: cluster.url, ca: cluster.ca },
    token: await cluster.bootstrapToken(),
    nodeName: "box",
    patience: 10_000,
    log: silentLog,
    progress: () => {},
  };
}

const signed = ({ world }: Cluster) => world.store.list(kinds.request).length;
const hostOfToday = () => createFakeHost({ now: Date.now() });

/** The client of a node that has joined, from its files alone. */
function nodeApi(host: FakeHost, cluster: Cluster) {
  const { kubeconfig } = parseKubeconfig(places.kubeconfig, host.text(places.kubeconfig)!);
  assert(kubeconfig !== undefined);
  const credentials = createCredentials(host, kubeconfig);
  return {
    credentials,
    api: createApi({ connection: createConnection({ server: cluster.url, ca: cluster.ca }), credentials }),
  };
}

Deno.test("a host joins: the kubelet's files, what the cluster says about kubelets, no token on the disk; twice is once", async () => {
  await using cluster = await startCluster();
  const host = hostOfToday();
  const wanted = await enrolling(cluster, host);
  const first = await enroll(wanted, never());
  assertStringIncludes(first.kubeletConfiguration!, "kind: KubeletConfiguration");
  assertStringIncludes(first.clusterConfiguration!, "dnsDomain: cluster.local");
  assertEquals(first.again, false);
  assertEquals(host.text(places.ca), cluster.ca);
  assertEquals(host.mode(places.kubeconfig), 0o600);
  assertEquals(await joinedServer(host, places), cluster.url);
  const { api } = nodeApi(host, cluster);
  await api.ask({
    method: "POST",
    path: "/api/v1/nodes",
    body: { metadata: { name: "box" } },
    signal: never(),
  });
  assertEquals(cluster.requests.at(-1)?.user, "system:node:box");
  api.close();

  const changes = host.changes.length;
  assertEquals((await enroll(wanted, never())).again, true);
  assertEquals([signed(cluster), host.changes.length], [1, changes]);
  for (const path of host.changes.filter((c) => c.startsWith("writeFile")).map((c) => c.split(" ")[1]!)) {
    assert(!(host.text(path) ?? "").includes(wanted.token), path);
  }
});

Deno.test("a death at any step is made up by joining again, with one request", async () => {
  await using cluster = await startCluster();
  const host = hostOfToday();
  const wanted = await enrolling(cluster, host);
  const steps: [Parameters<FakeHost["fail"]>[0], string][] = [
    ["symlink", `${places.certificates}/kubelet-client-updated.pem`],
    ["writeFileAtomic", places.ca],
    ["writeFileAtomic", places.kubeconfig],
  ];
  for (const [method, path] of steps) {
    host.fail(method, path, new Error("dies"));
    await assertRejects(() => enroll(wanted, never()), Error, "dies");
    host.fail(method, path, undefined);
    assertEquals(await joinedServer(host, places), undefined);
  }
  await enroll(wanted, never());
  assertEquals([await joinedServer(host, places), signed(cluster)], [cluster.url, 1]);
});

Deno.test("a host of another cluster and a token that has ended are refused with what to do", async () => {
  await using cluster = await startCluster();
  await using other = await startCluster();
  const host = hostOfToday();
  await enroll(await enrolling(other, host), never());
  const error = await assertRejects(
    async () => await enroll(await enrolling(cluster, host), never()),
    JoinFailure,
  );
  assertStringIncludes(error.remedy, "agent reset");
  const fresh = {
    ...await enrolling(cluster, hostOfToday()),
    token: await cluster.bootstrapToken({ expires: Date.now() - 1 }),
  };
  const ended = await assertRejects(() => enroll(fresh, never()), JoinFailure);
  assertStringIncludes(ended.remedy, "kubeadm token create");
});

async function joined(options: ClusterOptions) {
  const cluster = await startCluster(options);
  const host = createFakeHost({ now: Date.now() });
  await enroll(await enrolling(cluster, host), never());
  const { api, credentials } = nodeApi(host, cluster);
  const files = createCertificateFiles(host, places.certificates, "kubelet-client");
  const seen = { renewed: 0, troubles: [] as string[] };
  const leaving = new AbortController();
  const rotating = rotateClientCertificate({
    host: { now: Date.now },
    files,
    api,
    nodeName: "box",
    log: silentLog,
    random: () => 0,
    renewed() {
      seen.renewed++;
      credentials.reload();
    },
    troubled: (failure) =>
      failure === undefined || seen.troubles.push(`${failure.message}; ${failure.remedy}`),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, 5))),
  }, leaving.signal);
  return {
    cluster,
    host,
    api,
    seen,
    [Symbol.asyncDispose]: async () => {
      leaving.abort();
      await rotating;
      api.close();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

Deno.test("certificates that live three seconds are renewed again and again, and no request is refused", async () => {
  await using node = await joined({ settings: { certificateLife: 3_000 } });
  await until("three are renewed", () => node.seen.renewed >= 3);
  const answer = await node.api.ask({ path: "/apis/node.k8s.io/v1/runtimeclasses", signal: never() });
  assertEquals((answer as { kind: string }).kind, "RuntimeClassList");
  assertEquals(node.cluster.requests.filter((r) => r.status === 401 || r.status === 403), []);
  assertEquals(node.seen.troubles, []);
  const dated = (await node.host.list(places.certificates))!.filter((name) => /\d/.test(name));
  assertEquals(dated.length, 2);
});

Deno.test("a certificate that ended while the API server was away is told of, with what to run", async () => {
  await using node = await joined({ settings: { certificateLife: 1_000 } });
  await node.cluster.pause();
  await until("it has ended", () => node.seen.troubles.some((t) => t.includes("has expired")));
  assertStringIncludes(node.seen.troubles.at(-1)!, "kubeadm token create");
});
