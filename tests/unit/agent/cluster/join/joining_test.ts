/** A node finds its cluster and gets its certificates from the double; and what it does when something is wrong. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createApi } from "../../../../../agent/cluster/client/api.ts";
import { certificatesIn } from "../../../../../agent/cluster/certificates/certificate.ts";
import { createConnection } from "../../../../../agent/cluster/client/client.ts";
import {
  isSigned,
  parseBootstrapToken,
  verifyClusterInfo,
} from "../../../../../agent/cluster/join/cluster_info.ts";
import {
  discoverByFile,
  discoverByToken,
  type TokenDiscovery,
} from "../../../../../agent/cluster/join/discovery.ts";
import { generateKey, privateKeyPem } from "../../../../../agent/cluster/certificates/issue.ts";
import { JoinFailure } from "../../../../../agent/cluster/join/join_failure.ts";
import { formatKubeconfig } from "../../../../../agent/cluster/client/kubeconfig.ts";
import { getCertificate, type SigningWanted } from "../../../../../agent/cluster/certificates/signing.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { putBootstrapToken } from "../../../../fakes/cluster/kubeadm.ts";
import { asList, asObject, asText } from "../../../../fakes/cluster/objects.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { createFakeHost } from "../../../../fakes/host.ts";
import { until } from "../../../../fakes/until.ts";
import { connected, fixed, never } from "../connected.ts";

async function discovery(cluster: Cluster, more: Partial<TokenDiscovery> = {}): Promise<TokenDiscovery> {
  return {
    endpoint: new URL(cluster.url).host,
    token: parseBootstrapToken(await cluster.bootstrapToken())!,
    pins: [cluster.pin],
    timeout: 10_000,
    progress: () => {},
    random: () => 0,
    ...more,
  };
}

const failure = async (work: Promise<unknown>): Promise<string> => {
  const error = await assertRejects(() => work, JoinFailure);
  assert(error.remedy !== "");
  return error.message;
};

Deno.test("a token and a pin are enough to find the cluster's CA, asked once without and once with verification", async () => {
  await using cluster = await startCluster();
  const info = await discoverByToken(await discovery(cluster), never());
  assertEquals([info.server, info.ca], [cluster.url, cluster.ca]);
  assertEquals(cluster.requests.map((r) => [r.path.split("/").at(-1), r.user]), [
    ["cluster-info", "system:anonymous"],
    ["cluster-info", "system:anonymous"],
  ]);
  assertEquals((await discoverByToken(await discovery(cluster, { pins: [] }), never())).ca, cluster.ca);
});

Deno.test("another pin, another secret, an unknown token and a changed cluster-info are refused", async () => {
  await using cluster = await startCluster();
  const wanted = await discovery(cluster);
  const pin = `sha256:${"0".repeat(64)}`;
  assertStringIncludes(
    await failure(discoverByToken({ ...wanted, pins: [pin] }, never())),
    `${cluster.pin}, not ${pin}`,
  );
  const secret = { ...wanted.token, secret: "0000000000000000" };
  assertStringIncludes(
    await failure(discoverByToken({ ...wanted, token: secret }, never())),
    "is not signed with the token",
  );
  const unknown = { ...wanted, token: { id: "zzzzzz", secret: "0000000000000000" }, timeout: 1 };
  assertStringIncludes(await failure(discoverByToken(unknown, never())), "does not know the token zzzzzz");

  const info = cluster.world.store.get(kinds.configMap, "kube-public", "cluster-info")!;
  const data = asObject(info.data);
  const changed = { data: { ...data, kubeconfig: `${data.kubeconfig} ` } };
  assertStringIncludes(await failure(verifyClusterInfo(changed, wanted.token, [])), "is not signed");
  const unsigned = {
    data: { ...data, [`jws-kubeconfig-${wanted.token.id}`]: `${btoa('{"alg":"none"}')}..` },
  };
  assertStringIncludes(await failure(verifyClusterInfo(unsigned, wanted.token, [])), "is not signed");
  for (const answer of [null, 7, {}, { data: null }, { data: { kubeconfig: 1 } }]) {
    assertStringIncludes(await failure(verifyClusterInfo(answer, wanted.token, [])), "holds no kubeconfig");
  }
});

Deno.test("who knows the token cannot slip in an authority beside the pinned one", async () => {
  await using cluster = await startCluster();
  await using attacker = await startCluster();
  const wanted = await discovery(cluster);
  const info = attacker.world.store.get(kinds.configMap, "kube-public", "cluster-info")!;
  const kubeconfig = asText(asObject(info.data).kubeconfig)
    .replace(btoa(attacker.ca), btoa(cluster.ca + attacker.ca));
  assertStringIncludes(kubeconfig, btoa(cluster.ca + attacker.ca));
  made(attacker.world, kinds.configMap, "kube-public", "cluster-info", { data: { kubeconfig } });
  await putBootstrapToken(attacker.world, wanted.token);
  const endpoint = new URL(attacker.url).host;
  assertStringIncludes(
    await failure(discoverByToken({ ...wanted, endpoint, timeout: 1 }, never())),
    "cannot be reached",
  );
  assertEquals(
    (await discoverByToken({ ...wanted, endpoint, pins: [] }, never())).ca,
    cluster.ca + attacker.ca,
    "without a pin the token's owner is believed",
  );
});

Deno.test("signatures are those that Kubernetes makes: a known answer of its own tests (cluster-bootstrap/token/jws)", async () => {
  const token = { id: "joshua", secret: "my voice is my passcode" };
  const head = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9";
  const jws = `${head}..7Ui1ALizW4jXphVUB7xUqC9vLYLL9RZeOFfVLoB7Tgk`;
  assert(await isSigned("", jws, token));
  assert(!await isSigned(" ", jws, token));
  assert(!await isSigned("", jws, { ...token, secret: "another" }));
  assert(!await isSigned("", jws, { ...token, id: "other" }));
});

Deno.test("a server that is away is waited for, and told of once", async () => {
  await using cluster = await startCluster();
  const lines: string[] = [];
  const wanted = await discovery(cluster, { progress: (line) => lines.push(line) });
  await cluster.pause();
  const found = discoverByToken(wanted, never());
  await until("it is told", () => lines.length > 0);
  await cluster.resume();
  assertEquals((await found).ca, cluster.ca);
  assertStringIncludes(lines[0]!, "cannot be reached");
  assertEquals(lines.length, 1);
});

Deno.test("a file is believed, with the credentials in it; one that names no cluster is refused", async () => {
  await using cluster = await startCluster();
  const info = (await discoverByToken(await discovery(cluster), never())).text;
  const host = createFakeHost({
    files: {
      "/info.conf": info,
      "/ca.crt": cluster.ca,
      "/other.conf": formatKubeconfig({ server: cluster.url, ca: { file: "/ca.crt" } }),
      "/bare.conf": formatKubeconfig({ server: cluster.url }),
      "/admin.conf": await cluster.kubeconfig(),
      "/wrong.conf": "kind: Config\nclusters: 7\n",
    },
  });
  for (const path of ["/info.conf", "/other.conf", "/admin.conf"]) {
    const found = await discoverByFile(host, path);
    assertEquals([found.server, found.ca.trim()], [cluster.url, cluster.ca.trim()]);
    assertEquals(found.kubeconfig.certificate !== undefined, path === "/admin.conf");
  }
  assertStringIncludes(await failure(discoverByFile(host, "/none")), "does not exist");
  assertStringIncludes(await failure(discoverByFile(host, "/bare.conf")), "no certificate authority");
  assertStringIncludes(await failure(discoverByFile(host, "/wrong.conf")), "clusters");
});

async function joining(
  cluster: Cluster,
  more: Partial<SigningWanted> = {},
): Promise<SigningWanted & Disposable> {
  const connection = createConnection({ server: cluster.url, ca: cluster.ca });
  const api = createApi({ connection, credentials: fixed({ token: await cluster.bootstrapToken() }) });
  return {
    api,
    nodeName: "box",
    keys: await generateKey(),
    use: { kind: "client" },
    patience: 60_000,
    log: silentLog,
    ...more,
    [Symbol.dispose]: () => api.close(),
  };
}

const requests = ({ world }: Cluster) => world.store.list(kinds.request);
const condition = (cluster: Cluster, type: string) => {
  const [request] = requests(cluster);
  const conditions = [{ type, status: "True", message: "by a test" }];
  made(cluster.world, kinds.request, undefined, request!.metadata.name, { status: { conditions } });
};

Deno.test("a request is approved and answered with a certificate that the API server takes for the node's", async () => {
  await using cluster = await startCluster();
  using wanted = await joining(cluster);
  const text = await getCertificate(wanted, never());
  const [certificate] = certificatesIn(text);
  assertEquals(certificate?.subject, { commonName: "system:node:box", organizations: ["system:nodes"] });
  const key = await privateKeyPem(wanted.keys.privateKey);
  const node = createApi({
    connection: createConnection({ server: cluster.url, ca: cluster.ca }),
    credentials: fixed({ certificate: text, key }),
  });
  const body = { metadata: { name: "box" } };
  await node.ask({ method: "POST", path: "/api/v1/nodes", body, signal: never() });
  assertEquals(cluster.requests.at(-1)?.user, "system:node:box");
  node.close();
});

Deno.test("a restart that waits for approval finds its own request; an administrator's word ends the wait", async () => {
  await using cluster = await startCluster({ settings: { approveClients: false } });
  using wanted = await joining(cluster);
  const leaving = new AbortController();
  const first = assertRejects(() => getCertificate(wanted, leaving.signal), Error, "stopped");
  await until("it waits", () => cluster.watches.size === 1);
  leaving.abort(new Error("stopped"));
  await first;
  const lines: string[] = [];
  const again = getCertificate({ ...wanted, progress: (line) => lines.push(line) }, never());
  await until("it waits again", () => lines.length > 0);
  assertEquals(requests(cluster).length, 1);
  assertStringIncludes(lines[0]!, requests(cluster)[0]!.metadata.name);
  condition(cluster, "Approved");
  assertEquals(certificatesIn(await again).length, 1);
});

Deno.test("a denial, nobody's word, and a certificate for somebody else end with what to do", async () => {
  await using cluster = await startCluster({ settings: { approveClients: false } });
  using wanted = await joining(cluster);
  const denied = failure(getCertificate(wanted, never()));
  await until("it is asked", () => requests(cluster).length === 1);
  condition(cluster, "Denied");
  assertStringIncludes(await denied, "was denied: by a test");

  using patient = await joining(cluster, { patience: 50 });
  assertStringIncludes(await failure(getCertificate(patient, never())), "nobody has approved");

  const [request] = requests(cluster).filter((r) => asList(r.status?.conditions).length === 0);
  const other = await cluster.client({ commonName: "system:node:box", organizations: ["system:nodes"] });
  made(cluster.world, kinds.request, undefined, request!.metadata.name, {
    status: { conditions: [{ type: "Approved", status: "True" }], certificate: btoa(other.cert) },
  });
  assertStringIncludes(await failure(getCertificate(patient, never())), "for somebody else");
});

Deno.test("a serving certificate bears the names and addresses that were asked for", async () => {
  await using cluster = await startCluster({ settings: { approveServing: true } });
  using api = await connected(cluster, {
    subject: { commonName: "system:node:box", organizations: ["system:nodes"] },
  });
  const names = { dnsNames: ["box", "box.example"], ipAddresses: ["192.0.2.1"] };
  using wanted = await joining(cluster, { api, use: { kind: "serving", ...names } });
  const [certificate] = certificatesIn(await getCertificate(wanted, never()));
  assertEquals([certificate?.dnsNames, certificate?.ipAddresses], [names.dnsNames, names.ipAddresses]);
});
