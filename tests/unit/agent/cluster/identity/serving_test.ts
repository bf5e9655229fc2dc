/** The certificate of the kubelet's API that the cluster signs: asked for, renewed, and served by. */
import { assert, assertEquals } from "@std/assert";
import { createCertificateFiles } from "../../../../../agent/cluster/certificates/certificate_files.ts";
import { certificatesIn } from "../../../../../agent/cluster/certificates/certificate.ts";
import { keepServingCertificate } from "../../../../../agent/cluster/identity/serving.ts";
import { createListeners } from "../../../../../agent/lib/listeners.ts";
import { createHost } from "../../../../../agent/host.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { ask, served, silent } from "../../api/kubelet/serving.ts";
import { connected } from "../connected.ts";

const names = { dnsNames: ["box"], ipAddresses: ["127.0.0.1"] };
const node = { commonName: "system:node:box", organizations: ["system:nodes"] };

async function keeping(cluster: Cluster, own = () => names) {
  const directory = await Deno.makeTempDir();
  const api = await connected(cluster, { subject: node });
  const leave = new AbortController();
  const renamed = createListeners<void>();
  const seen: string[] = [];
  const troubles: (string | undefined)[] = [];
  const done = keepServingCertificate({
    ...{
      host: createHost(),
      api,
      nodeName: "box",
      log: silent,
      names: own,
      renamed,
    },
    files: createCertificateFiles(createHost(), directory, "kubelet-server"),
    changed: (pair) => seen.push(pair),
    troubled: (why) => troubles.push(why?.message),
  }, leave.signal);
  return {
    ...{ directory, seen, troubles, renamed },
    async [Symbol.asyncDispose]() {
      leave.abort();
      await done;
      api[Symbol.dispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

Deno.test("a short-lived serving certificate is renewed again and again; the kubelet's API serves by each", async () => {
  await using cluster = await startCluster({ settings: { approveServing: true, certificateLife: 2_000 } });
  await using kept = await keeping(cluster);
  await until("three have been seen", () => kept.seen.length >= 3, 30_000);
  assertEquals(new Set(kept.seen).size, kept.seen.length);
  const [first] = certificatesIn(kept.seen[0]!);
  assertEquals([first?.dnsNames, first?.ipAddresses], [names.dnsNames, names.ipAddresses]);
  const link = await Deno.readLink(`${kept.directory}/kubelet-server-current.pem`);
  assert(link.includes("kubelet-server-"));
});

Deno.test("what nobody approves is told with what to do, and taken up when somebody does", async () => {
  await using cluster = await startCluster();
  await using kept = await keeping(cluster);
  await until(
    "it is told",
    () => kept.troubles.some((t) => t?.includes("CertificateSigningRequest") === true),
  );
  assertEquals(kept.seen, []);
  cluster.world.settings.approveServing = true;
  cluster.cutWatches();
  const [request] = cluster.world.store.list(kinds.request, undefined);
  cluster.world.store.put(kinds.request, { ...request! });
  await until("it is there", () => kept.seen.length === 1);
  assertEquals(kept.troubles.at(-1), undefined);
  await using it = await served();
  it.server.renew({ cert: kept.seen[0]!, key: kept.seen[0]!, clientCA: it.authority.cert });
  const answer = await ask(it.server.port, "/hello", { as: it.admin, ca: cluster.ca });
  assertEquals([answer.status, answer.server], [200, "system:node:box"]);
});

Deno.test("a node whose address changes while nobody has approved asks for the new one, and waits for the old one no more", async () => {
  await using cluster = await startCluster();
  const now = { ...names };
  await using kept = await keeping(cluster, () => now);
  const requests = () => cluster.world.store.list(kinds.request);
  await until("it is asked", () => requests().length === 1);
  now.ipAddresses = ["192.0.2.7"];
  kept.renamed.tell();
  await until("it is asked for the other", () => requests().length === 2);
  cluster.world.settings.approveServing = true;
  for (const request of requests()) cluster.world.store.put(kinds.request, { ...request });
  await until("it is there", () => kept.seen.length > 0);
  assertEquals(certificatesIn(kept.seen[0]!)[0]?.ipAddresses, ["192.0.2.7"]);
});
