/** A host becomes a node of the double's cluster, again and again, and its certificate stays alive. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createApi } from "../../../../../agent/cluster/client/api.ts";
import { createConnection } from "../../../../../agent/cluster/client/client.ts";
import { createCredentials, fixedCredentials } from "../../../../../agent/cluster/client/credentials.ts";
import { enroll, type Enrolling, writeKubeletFiles } from "../../../../../agent/cluster/join/enroll.ts";
import { JoinFailure } from "../../../../../agent/cluster/join/join_failure.ts";
import { parseKubeconfig } from "../../../../../agent/cluster/client/kubeconfig.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { createFakeHost, type FakeHost } from "../../../../fakes/host.ts";
import { never } from "../connected.ts";

const places = {
  kubeconfig: "/etc/kubernetes/kubelet.conf",
  ca: "/etc/kubernetes/pki/ca.crt",
  certificates: "/var/lib/kubelet/pki",
};

async function enrolling(
  cluster: Cluster,
  host: FakeHost,
  token?: string,
): Promise<Enrolling & { token: string }> {
  const shown = token ?? await cluster.bootstrapToken();
  return {
    host,
    places,
    cluster: { server: cluster.url, ca: cluster.ca },
    token: shown,
    credentials: fixedCredentials({ token: shown }),
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
  await writeKubeletFiles(wanted);
  assertEquals(host.text(places.ca), cluster.ca);
  assertEquals(host.mode(places.kubeconfig), 0o600);
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
  await writeKubeletFiles(wanted);
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
    ["writeFileAtomic", `${places.certificates}/kubelet-client.key.tmp`],
    ["symlink", `${places.certificates}/kubelet-client-updated.pem`],
  ];
  for (const [method, path] of steps) {
    host.fail(method, path, new Error("dies"));
    await assertRejects(() => enroll(wanted, never()), Error, "dies");
    host.fail(method, path, undefined);
  }
  assertEquals([(await enroll(wanted, never())).again, signed(cluster)], [false, 1]);
});

Deno.test("a certificate of another cluster, left by a join that died, is no hindrance: another one is asked for", async () => {
  await using cluster = await startCluster();
  await using other = await startCluster();
  const host = hostOfToday();
  await enroll(await enrolling(other, host), never());
  assertEquals((await enroll(await enrolling(cluster, host), never())).again, false);
  assertEquals(signed(cluster), 1);
});

Deno.test("a host of another cluster and a token that has ended are refused with what to do", async () => {
  await using cluster = await startCluster();
  await using other = await startCluster();
  const host = hostOfToday();
  const elsewhere = await enrolling(other, host);
  await enroll(elsewhere, never());
  await writeKubeletFiles(elsewhere);
  const error = await assertRejects(
    async () => await enroll(await enrolling(cluster, host), never()),
    JoinFailure,
  );
  assertStringIncludes(error.remedy, "agent reset");
  const token = await cluster.bootstrapToken({ expires: Date.now() - 1 });
  const fresh = await enrolling(cluster, hostOfToday(), token);
  const ended = await assertRejects(() => enroll(fresh, never()), JoinFailure);
  assertStringIncludes(ended.remedy, "kubeadm token create");
});
