/** The double towards nodes: how they come in, what they may read and write, tokens, reviews. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { certificatesIn } from "../../../../agent/cluster/certificates/certificate.ts";
import { createRequest, generateKey } from "../../../../agent/cluster/certificates/issue.ts";
import { type Cluster, startCluster } from "../../../fakes/cluster/cluster.ts";
import { asAdmin, type Asker, asker, asNode, first, pod, pods, type Reply } from "./asking.ts";

const csrs = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const tokens = "/api/v1/namespaces/default/serviceaccounts/default/token";

async function request(name: string, ask: Asker, signer: string, more: { dnsNames?: string[] } = {}) {
  const subject = { commonName: `system:node:${name}`, organizations: ["system:nodes"] };
  const text = await createRequest({ subject, ...more }, await generateKey());
  const usage = signer.endsWith("serving") ? "server auth" : "client auth";
  const spec = {
    request: btoa(text),
    signerName: `kubernetes.io/${signer}`,
    usages: ["digital signature", usage],
  };
  const { status, body } = await ask.ask("POST", csrs, { metadata: { generateName: "csr-" }, spec });
  assertEquals(status, 201);
  return body.metadata.name;
}

/** Its certificate, or the reason of what was said against it. */
async function outcome(ask: Asker, name: string): Promise<string> {
  const path = `${csrs}?watch=true&fieldSelector=metadata.name%3D${name}`;
  for await (const { object } of ask.watch(path)) {
    const failed = (object.status?.conditions as { type: string; message: string }[] | undefined)
      ?.find((c) => c.type === "Failed");
    if (failed !== undefined) return failed.message;
    if (object.status?.certificate !== undefined) return atob(String(object.status.certificate));
  }
  return "the watch ended";
}

const tries = async (of: Asker, asks: [string, string, unknown?][]): Promise<number[]> => {
  const replies: Reply[] = [];
  for (const [method, path, body] of asks) replies.push(await of.ask(method, path, body));
  return replies.map((r) => r.status);
};

Deno.test("a bootstrap token opens what joining needs, and a request made with it becomes a node's certificate", async () => {
  await using cluster = await startCluster();
  using nobody = asker(cluster);
  using joining = asker(cluster, { token: await cluster.bootstrapToken() });
  const info = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
  const kube = "/api/v1/namespaces/kube-system/configmaps";
  assertEquals(await tries(nobody, [["GET", info], ["GET", `${kube}/kubeadm-config`], ["GET", "/version"]]), [
    200,
    403,
    200,
  ]);
  assertEquals(
    await tries(joining, [
      ["GET", `${kube}/kubeadm-config`],
      ["GET", `${kube}/kubelet-config`],
      ["GET", kube],
      ["GET", pods],
    ]),
    [200, 200, 403, 403],
  );
  const { data } = (await nobody.ask("GET", info)).body as unknown as { data: Record<string, string> };
  assertEquals(Object.keys(data).filter((k) => k.startsWith("jws-kubeconfig-")).length, 1);

  const text = await outcome(joining, await request("box", joining, "kube-apiserver-client-kubelet"));
  const [certificate] = certificatesIn(text);
  assertEquals(certificate?.subject, { commonName: "system:node:box", organizations: ["system:nodes"] });
  const named = { dnsNames: ["box"] };
  const wrong = await request("box", joining, "kube-apiserver-client-kubelet", named);
  assertEquals(await outcome(joining, wrong), "DNS and IP SANs are not allowed");

  using late = asker(cluster, { token: await cluster.bootstrapToken({ expires: Date.now() - 1 }) });
  assertEquals((await late.ask("GET", `${kube}/kubelet-config`)).status, 401);
});

Deno.test("a serving certificate waits for somebody's approval; an expired client certificate is 401", async () => {
  await using cluster = await startCluster();
  using admin = await asAdmin(cluster);
  using node = await asNode(cluster, "box");
  const name = await request("box", node, "kubelet-serving", { dnsNames: ["box"] });
  const waiting = await node.ask("GET", `${csrs}/${name}`);
  assertEquals(waiting.body.status?.conditions, undefined);
  const conditions = [{ type: "Approved", status: "True", reason: "ByHand" }];
  await admin.ask("PUT", `${csrs}/${name}/approval`, { ...waiting.body, status: { conditions } });
  assertEquals(certificatesIn(await outcome(node, name))[0]?.dnsNames, ["box"]);

  const past = { notBefore: Date.now() - 2000, notAfter: Date.now() - 1000 };
  const subject = { commonName: "system:node:box", organizations: ["system:nodes"] };
  using expired = asker(cluster, await cluster.client(subject, past));
  assertEquals((await expired.ask("GET", "/api/v1/nodes/box")).status, 401);
});

async function withPods(cluster: Cluster) {
  const admin = await asAdmin(cluster);
  const here = "/api/v1/namespaces/default";
  for (const name of ["mine", "other"]) {
    await admin.ask("POST", `${here}/secrets`, { metadata: { name }, stringData: { key: name } });
    await admin.ask("POST", `${here}/persistentvolumeclaims`, {
      metadata: { name },
      spec: { volumeName: `v-${name}` },
    });
    await admin.ask("POST", "/api/v1/persistentvolumes", { metadata: { name: `v-${name}` }, spec: {} });
    const volumes = [
      { name: "s", secret: { secretName: name } },
      { name: "p", persistentVolumeClaim: { claimName: name } },
    ];
    await admin.ask("POST", pods, pod(name, { nodeName: name === "mine" ? "box" : "cot", volumes }));
  }
  return admin;
}

Deno.test("a node reads what its pods need, one by one, and nothing of other nodes", async () => {
  await using cluster = await startCluster();
  using _admin = await withPods(cluster);
  using node = await asNode(cluster, "box");
  const here = "/api/v1/namespaces/default";
  const own = "fieldSelector=spec.nodeName%3Dbox";
  const allowed: [string, string][] = [
    ["GET", `${here}/secrets/mine`],
    ["GET", `${here}/secrets?fieldSelector=metadata.name%3Dmine`],
    ["GET", `${here}/configmaps/kube-root-ca.crt`],
    ["GET", `${here}/persistentvolumeclaims/mine`],
    ["GET", "/api/v1/persistentvolumes/v-mine"],
    ["GET", `${pods}/mine`],
    ["GET", `/api/v1/pods?${own}`],
    ["GET", `${pods}?fieldSelector=metadata.name%3Dmine`],
    ["GET", "/api/v1/services"],
    ["GET", "/apis/node.k8s.io/v1/runtimeclasses"],
  ];
  assertEquals(await tries(node, allowed), allowed.map(() => 200));
  const refused: [string, string][] = [
    ["GET", `${here}/secrets/other`],
    ["GET", `${here}/secrets`],
    ["DELETE", `${here}/secrets/mine`],
    ["GET", `${here}/persistentvolumeclaims/other`],
    ["GET", "/api/v1/persistentvolumes/v-other"],
    ["GET", `${pods}/other`],
    ["GET", `${pods}?fieldSelector=metadata.name%3Dother`],
    ["GET", "/apis/resource.k8s.io/v1/resourceslices"],
    ["POST", "/apis/events.k8s.io/v1/namespaces/default/events"],
    ["GET", "/api/v1/pods"],
    ["GET", "/api/v1/nodes"],
    ["GET", "/api/v1/nodes/cot"],
    ["GET", `/api/v1/pods?fieldSelector=spec.nodeName%3Dcot`],
  ];
  assertEquals(await tries(node, refused), refused.map(() => 403));
  const reply = await node.ask("GET", `${here}/secrets/other`);
  assertStringIncludes(reply.body.message!, "no relationship found between node 'box' and this object");
});

Deno.test("a node writes its Node, its mirror pods, its pods' statuses and its lease, and no more", async () => {
  await using cluster = await startCluster();
  using admin = await withPods(cluster);
  using node = await asNode(cluster, "box");
  const registered = await node.ask("POST", "/api/v1/nodes", {
    metadata: { name: "box", labels: { a: "b" } },
    status: { phase: "x" },
  });
  assertEquals([registered.status, registered.body.status], [201, { phase: "x" }]);
  const { uid } = registered.body.metadata;
  const lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
  const merge = "application/merge-patch+json";
  assertEquals((await node.ask("POST", lease, { metadata: { name: "box" }, spec: {} })).status, 201);
  assertEquals((await node.ask("POST", lease, { metadata: { name: "cot" }, spec: {} })).status, 403);
  assertEquals((await node.ask("POST", "/api/v1/nodes", { metadata: { name: "cot" } })).status, 403);
  const change = (body: unknown) => node.ask("PATCH", "/api/v1/nodes/box", body, merge);
  const label = (name: string) => change({ metadata: { labels: { [name]: "x" } } });
  assertEquals((await label("node-role.kubernetes.io/master")).status, 403);
  assertEquals((await label("node.kubernetes.io/mine")).status, 200);
  assertEquals((await change({ spec: { taints: [] } })).status, 200);
  assertEquals((await change({ spec: { taints: [{ key: "a", effect: "NoSchedule" }] } })).status, 403);

  const owner = { apiVersion: "v1", kind: "Node", name: "box", uid, controller: true };
  const mirror = (owners: unknown[], spec = {}) =>
    pod("static-box", { nodeName: "box", ...spec }, {
      annotations: { "kubernetes.io/config.mirror": "hash" },
      ownerReferences: owners,
    });
  assertEquals((await node.ask("POST", pods, pod("plain", { nodeName: "box" }))).status, 403);
  assertEquals((await node.ask("POST", pods, mirror([]))).status, 403);
  assertEquals((await node.ask("POST", pods, mirror([{ ...owner, uid: "another" }]))).status, 403);
  assertEquals(
    (await node.ask("POST", pods, mirror([owner], { serviceAccountName: "default" }))).status,
    403,
  );
  assertEquals((await node.ask("POST", pods, mirror([owner]))).status, 201);

  const status = { status: { phase: "Running" } };
  assertEquals((await node.ask("PATCH", `${pods}/mine/status`, status, merge)).status, 200);
  assertEquals((await node.ask("PATCH", `${pods}/other/status`, status, merge)).status, 403);
  assertEquals(
    (await node.ask("PATCH", `${pods}/mine`, { metadata: { labels: { a: "b" } } }, merge)).status,
    403,
  );
  assertEquals((await node.ask("DELETE", `${pods}/other`)).status, 403);
  assertEquals((await node.ask("POST", `${pods}/other/eviction`, {})).status, 403);
  assertEquals((await node.ask("POST", `${pods}/mine/eviction`, {})).status, 201);
  const evicted = await admin.ask("GET", `${pods}/mine`);
  assert(evicted.body.metadata.deletionTimestamp !== undefined);
});

Deno.test("a node gets tokens for its pods alone; they end with the pod, and with their time", async () => {
  let now = Date.now();
  await using cluster = await startCluster({ now: () => now });
  using admin = await withPods(cluster);
  using node = await asNode(cluster, "box");
  const uidOf = async (name: string) => (await admin.ask("GET", `${pods}/${name}`)).body.metadata.uid;
  const ask = async (name: string, uid?: string, seconds = 600) => {
    const boundObjectRef = { apiVersion: "v1", kind: "Pod", name, uid: uid ?? await uidOf(name) };
    return await node.ask("POST", tokens, {
      spec: { audiences: ["vault"], expirationSeconds: seconds, boundObjectRef },
    });
  };
  assertEquals((await ask("other")).status, 403);
  assertEquals((await ask("mine", "another")).status, 403);
  assertEquals((await ask("mine", undefined, 60)).status, 422);
  assertEquals((await node.ask("POST", tokens, { spec: {} })).status, 403);
  const { body } = await ask("mine");
  const review = async (audiences: string[]) => {
    const spec = { token: body.status?.token, audiences };
    const reply = await node.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec });
    return reply.body.status as { authenticated: boolean; user?: { username: string } };
  };
  assertEquals((await review(["vault"])).user?.username, "system:serviceaccount:default:default");
  assertEquals((await review(["elsewhere"])).authenticated, false);
  now += 601_000;
  assertEquals((await review(["vault"])).authenticated, false);
  now -= 601_000;
  await admin.ask("DELETE", `${pods}/mine`, { gracePeriodSeconds: 0 });
  assertEquals((await review(["vault"])).authenticated, false);
});

Deno.test("access is reviewed by the same rules; a pod is bound once", async () => {
  await using cluster = await startCluster();
  using admin = await asAdmin(cluster);
  using node = await asNode(cluster, "box");
  cluster.world.grants.set("user:jane", [{ verbs: ["get"], resources: ["nodes/log"] }]);
  const allowed = async (user: string, subresource: string) => {
    const spec = { user, resourceAttributes: { verb: "get", resource: "nodes", subresource, name: "box" } };
    const reply = await node.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", { spec });
    return reply.body.status?.allowed;
  };
  assertEquals([await allowed("jane", "log"), await allowed("jane", "proxy"), await allowed("joe", "log")], [
    true,
    false,
    false,
  ]);
  await admin.ask("POST", pods, pod("web"));
  const events = first(
    1,
    node.watch(
      "/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3Dbox&resourceVersion=" +
        cluster.world.store.revision(),
    ),
  );
  const binding = { target: { kind: "Node", name: "box" } };
  assertEquals((await admin.ask("POST", `${pods}/web/binding`, binding)).status, 201);
  assertEquals((await admin.ask("POST", `${pods}/web/binding`, binding)).status, 409);
  assertEquals((await events).map((e) => [e.type, e.object.metadata.name]), [["ADDED", "web"]]);
});
