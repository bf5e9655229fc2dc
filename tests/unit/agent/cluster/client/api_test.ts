/** The client against the double: answers, refusals, deadlines, tries, new identities. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createApi } from "../../../../../agent/cluster/client/api.ts";
import { ApiError } from "../../../../../agent/cluster/client/api_error.ts";
import { createConnection, type Identity } from "../../../../../agent/cluster/client/client.ts";
import { createCredentials } from "../../../../../agent/cluster/client/credentials.ts";
import { createFakeHost } from "../../../../fakes/host.ts";
import { startCluster } from "../../../../fakes/cluster/cluster.ts";
import { connected, fixed, identityOf, never } from "../connected.ts";

const info = { path: "/api/v1/namespaces/kube-public/configmaps/cluster-info" };
const configMaps = "/api/v1/namespaces/default/configmaps";
const kindOf = (answer: unknown) => (answer as { kind?: string }).kind;

const refusal = async (work: Promise<unknown>): Promise<[number, string]> => {
  const error = await assertRejects(() => work, ApiError);
  return [error.code, error.reason];
};

Deno.test("JSON is asked and answered; refusals have Kubernetes' reasons", async () => {
  await using cluster = await startCluster();
  using api = await connected(cluster);
  const signal = never();
  assertEquals(kindOf(await api.ask({ ...info, signal })), "ConfigMap");
  const body = { metadata: { name: "a" }, data: { k: "v" } };
  await api.ask({ method: "POST", path: configMaps, body, signal });
  const patch = { method: "PATCH", path: `${configMaps}/a`, body: { data: { k: null } } } as const;
  const patched = await api.ask({ ...patch, contentType: "application/merge-patch+json", signal });
  assertEquals((patched as { data?: unknown }).data, {});
  assertEquals(await refusal(api.ask({ method: "POST", path: configMaps, body, signal })), [
    409,
    "AlreadyExists",
  ]);
  assertEquals(await refusal(api.ask({ path: `${configMaps}/none`, signal })), [404, "NotFound"]);
  using node = await connected(cluster, {
    subject: { commonName: "system:node:a", organizations: ["system:nodes"] },
  });
  assertEquals(await refusal(node.ask({ path: configMaps, signal })), [403, "Forbidden"]);
});

Deno.test("trouble that passes is not seen by who reads; what was perhaps written is not written twice", async () => {
  await using cluster = await startCluster();
  using api = await connected(cluster, { random: () => 0 });
  const signal = never();
  for (const answer of ["drop", "garbage", { status: 500 }] as const) {
    cluster.faults.add({ times: 1, answer });
  }
  assertEquals(kindOf(await api.ask({ ...info, signal })), "ConfigMap");
  cluster.faults.add({ times: 1, answer: { status: 429, retryAfter: 1 } });
  const asked = cluster.requests.length;
  await api.ask({ method: "POST", path: configMaps, body: { metadata: { name: "a" } }, signal });
  assertEquals(cluster.requests.length - asked, 2);
  cluster.faults.add({ times: 1, answer: "drop" });
  const post = { method: "POST", path: configMaps, body: { metadata: { name: "b" } }, signal } as const;
  assertEquals(await refusal(api.ask(post)), [0, "Unreachable"]);
  await cluster.pause();
  const down = await assertRejects(() => api.ask({ ...info, signal }), ApiError);
  assert(/refused/.test(down.message), down.message);
  await cluster.resume();
  assertEquals(kindOf(await api.ask({ ...info, signal })), "ConfigMap");
});

Deno.test("a server that hangs costs a deadline, not more; an abort ends the wait at once", async () => {
  await using cluster = await startCluster();
  using api = await connected(cluster, { limits: { head: 100 }, random: () => 0 });
  cluster.faults.add({ times: 1, answer: "hang" });
  assertEquals(await refusal(api.ask({ ...info, signal: never() })), [0, "DeadlineExceeded"]);
  const lift = cluster.faults.add({ answer: "hang" });
  const leaving = new AbortController();
  using slow = await connected(cluster);
  const waiting = assertRejects(() => slow.ask({ ...info, signal: leaving.signal }), Error, "leaving");
  leaving.abort(new Error("leaving"));
  await waiting;
  assertEquals(await refusal(slow.ask({ ...info, deadline: 50, signal: never() })), [0, "DeadlineExceeded"]);
  lift();
});

Deno.test("requests and watches leave nothing at the signal of who asks", async () => {
  await using cluster = await startCluster();
  using api = await connected(cluster);
  const leaving = new AbortController();
  const { signal } = leaving;
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: unknown[]) => {
    listeners++;
    Reflect.apply(addEventListener, signal, args);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    listeners--;
    Reflect.apply(removeEventListener, signal, args);
  };
  for (let i = 0; i < 5; i++) {
    await api.ask({ ...info, signal });
    await api.watch({ path: configMaps, query: { timeoutSeconds: "0.01" }, signal }, () => {});
  }
  assertEquals([listeners, cluster.requests.length], [0, 10]);
});

/** A proxy that passes octets on after CONNECT, and remembers what it was asked. */
function startProxy() {
  const asked: string[] = [];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (client: Deno.Conn) => {
    const buffer = new Uint8Array(4096);
    const head = new TextDecoder().decode(buffer.subarray(0, await client.read(buffer) ?? 0));
    asked.push(head.split(" HTTP")[0]!);
    const [hostname = "", port] = head.split(" ")[1]!.split(":");
    const server = await Deno.connect({ hostname, port: Number(port) });
    await client.write(new TextEncoder().encode("HTTP/1.1 200 Connected\r\n\r\n"));
    await Promise.allSettled([
      client.readable.pipeTo(server.writable),
      server.readable.pipeTo(client.writable),
    ]);
  };
  const accepting = (async () => {
    for await (const client of listener) serve(client).catch(() => {});
  })().catch(() => {});
  return {
    url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await accepting;
    },
  };
}

Deno.test("a proxy is asked to connect, and sees no more", async () => {
  await using cluster = await startCluster();
  await using proxy = startProxy();
  const connection = createConnection({ server: cluster.url, ca: cluster.ca, proxyUrl: proxy.url });
  const api = createApi({ connection, credentials: fixed(await identityOf(cluster)) });
  assertEquals(kindOf(await api.ask({ ...info, signal: never() })), "ConfigMap");
  assertEquals(proxy.asked, [`CONNECT ${new URL(cluster.url).host}`]);
  assertEquals(cluster.requests.map((r) => r.user), ["admin"]);
  api.close();
});

Deno.test("another authority's server is not trusted", async () => {
  await using cluster = await startCluster();
  await using other = await startCluster();
  const connection = createConnection({ server: cluster.url, ca: other.ca });
  const api = createApi({ connection, credentials: fixed({}), random: () => 0 });
  const error = await assertRejects(() => api.ask({ ...info, signal: never() }), ApiError);
  assert(/certificate/i.test(error.message), error.message);
  assertEquals(cluster.requests, []);
  api.close();
});

Deno.test("a certificate that is replaced in its file is used from then on; running watches go on", async () => {
  await using cluster = await startCluster();
  const file = async (name: string) => {
    const { certificate, key } = await identityOf(cluster, {
      commonName: name,
      organizations: ["system:masters"],
    });
    return `${certificate}${key}`; // as the kubelet keeps them: one file
  };
  const current = { file: "/pki/current.pem" };
  const host = createFakeHost({ files: { [current.file]: await file("first") } });
  const credentials = createCredentials(host, { server: cluster.url, certificate: current, key: current });
  const api = createApi({
    connection: createConnection({ server: cluster.url, ca: cluster.ca }),
    credentials,
  });
  const leaving = new AbortController();
  const seen = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  const query = { fieldSelector: "metadata.name=late" };
  const watching = api.watch(
    { path: configMaps, query, signal: leaving.signal, opened: opened.resolve },
    () => seen.resolve(),
  );
  await opened.promise;
  await host.writeFile(current.file, await file("second"));
  await api.ask({ ...info, signal: never() });
  credentials.reload();
  await api.ask({ method: "POST", path: configMaps, body: { metadata: { name: "late" } }, signal: never() });
  await seen.promise;
  leaving.abort();
  await watching;
  assertEquals(cluster.requests.map((r) => r.user), ["first", "first", "second"]);
  api.close();
});

Deno.test("a credential plugin is run once, again when its answer is refused or over, and its troubles are told", async () => {
  await using cluster = await startCluster();
  let token = await cluster.bootstrapToken();
  let runs = 0;
  const said: string[] = [];
  const exec = {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "get",
    args: ["a"],
    env: { A: "b" },
    provideClusterInfo: true,
  };
  const host = createFakeHost({
    exec: (argv) => {
      runs++;
      said.push(argv.join(" "));
      const status = { token, expirationTimestamp: new Date(host.now() + 60_000).toISOString() };
      const answer = JSON.stringify({ apiVersion: exec.apiVersion, kind: "ExecCredential", status });
      const bytes = new TextEncoder().encode(token === "" ? "no" : answer);
      return { code: 0, stdout: bytes, stderr: new Uint8Array() };
    },
  });
  const credentials = createCredentials(host, { server: cluster.url, ca: { pem: cluster.ca }, exec });
  const api = createApi({
    connection: createConnection({ server: cluster.url, ca: cluster.ca }),
    credentials,
  });
  const ask = () => api.ask({ ...info, signal: never() });
  await Promise.all([ask(), ask()]);
  await ask();
  assertEquals([runs, said[0]], [1, "get a"]);
  await host.advance(61_000);
  await ask();
  assertEquals(runs, 2);
  const old = await credentials.identity(never()) as Identity;
  cluster.world.store.list(cluster.world.resources.find((r) => r.kind === "Secret")!, "kube-system")
    .forEach((secret) =>
      cluster.world.store.remove(cluster.world.resources.find((r) => r.kind === "Secret")!, secret)
    );
  token = await cluster.bootstrapToken();
  await ask();
  assertEquals(runs, 3);
  assert((await credentials.identity(never())).token !== old.token);
  token = "";
  credentials.refused(await credentials.identity(never()));
  const error = await assertRejects(ask, ApiError);
  assertEquals(error.message, "credential plugin get: expected JSON on standard output");
  api.close();
});
