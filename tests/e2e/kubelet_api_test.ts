/** The kubelet's API of an agent without a cluster, as curl sees it: who is answered, what is told, what files bring about. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, output } from "./agent.ts";
import { startCluster } from "../fakes/cluster/cluster.ts";
import { kubectlOf } from "../fakes/kubectl.ts";
import { createNode, userOf } from "./cluster.ts";
import { until } from "./containerd.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

interface Curl {
  /** Status, content type, body. */
  (path: string, ...options: string[]): Promise<{ status: number; type: string; body: string }>;
}

function curlOf(agent: AgentUnderTest, port: number, asOperator = true): Curl {
  const pki = `${agent.root}/pki`;
  const identity = asOperator
    ? ["--cert", `${pki}/local-operator.crt`, "--key", `${pki}/local-operator.key`]
    : [];
  return async (path, ...options) => {
    const { stdout } = await output("curl", [
      ...["-s", "--max-time", "20", "--cacert", `${pki}/local-ca.crt`, ...identity, ...options],
      ...["-w", "\n%{http_code} %{content_type}", `https://127.0.0.1:${port}${path}`],
    ]);
    const [, body = "", status, type = ""] = /^([^]*)\n(\d+) (.*)$/.exec(stdout) ?? [];
    return { status: Number(status), type, body };
  };
}

async function checkAccess(agent: AgentUnderTest, port: number, curl: Curl): Promise<void> {
  const stranger = curlOf(agent, port, false);
  assertEquals((await stranger("/pods")).status, 401);
  assertEquals((await stranger("/healthz")).status, 401);
  assertEquals((await stranger("/pods", "-H", "authorization: Bearer abc")).status, 401);
  assertEquals((await curl("/nothing")).status, 404);
  assertEquals((await curl("/pods", "-X", "POST")).status, 405);
}

async function checkPages(agent: AgentUnderTest, curl: Curl): Promise<void> {
  const pods = await curl("/pods");
  assertEquals([pods.status, pods.type], [200, "application/json"]);
  const [web] = (JSON.parse(pods.body) as { items: Pod[] }).items;
  assertEquals(web?.metadata?.name, "web");
  const running = JSON.parse((await curl("/runningpods/")).body) as { items: Pod[] };
  assertEquals(running.items[0]?.spec?.containers.map((c) => c.name), ["main"]);
  assertEquals((await curl("/healthz/syncloop")).body, "ok");
  const config = JSON.parse((await curl("/configz")).body) as { kubeletconfig: { staticPodPath: string } };
  assertEquals(config.kubeletconfig.staticPodPath, agent.manifests);
  await checkSummary(curl);
  assertMatch((await curl("/logs/")).body, /<a href="[^"]+">/);
  const checkpoint = await curl("/checkpoint/default/web/main", "-X", "POST");
  assertEquals([checkpoint.status, (await curl("/checkpoint/default/no/main", "-X", "POST")).status], [
    500,
    404,
  ]);
  assertStringIncludes(checkpoint.body, "checkpointing of default/web/main failed");
}

/** Numbers that the kernel and containerd gave, each where a kubelet's client looks for it. */
async function checkSummary(curl: Curl): Promise<void> {
  // deno-lint-ignore no-explicit-any -- as a client reads it
  const summary = JSON.parse((await curl("/stats/summary")).body) as any;
  const [web] = summary.pods;
  assertEquals([summary.pods.length, web.podRef.name, web.process_stats.process_count > 0], [1, "web", true]);
  assertEquals([web.network.name, web.network.interfaces.length], ["eth0", 1]);
  const [main] = web.containers;
  const { node } = summary;
  for (
    const [what, value] of Object.entries({
      "bytes received": web.network.rxBytes,
      "page faults of the container": main.memory.pageFaults,
      "cores of the container": main.cpu.usageNanoCores,
      "files of its log": main.logs.inodesUsed,
      "page faults of the node": node.memory.pageFaults,
      "the disk of images": node.runtime.imageFs.capacityBytes,
      "files on the node's disk": node.fs.inodesUsed,
      "threads": node.rlimit.curproc,
      "most threads": node.rlimit.maxpid,
      "interfaces of the node": node.network.interfaces.length,
      "memory of all pods": node.systemContainers.find((c: { name: string }) => c.name === "pods")?.memory
        .workingSetBytes,
    })
  ) assert(value > 0, `${what}: ${value}`);
  const short = JSON.parse((await curl("/stats/summary?only_cpu_and_memory=true")).body);
  assert(!("network" in short.node) && !("network" in short.pods[0]) && short.pods[0].cpu !== undefined);
}

async function checkMetrics(agent: AgentUnderTest, curl: Curl): Promise<void> {
  const pod = (await agent.pod("web"))!;
  const id = statusOf(pod, "main").containerID!.replace("containerd://", "");
  const cadvisor = await curl("/metrics/cadvisor");
  assertMatch(cadvisor.type, /^text\/plain; version=0\.0\.4/);
  const labels = (family: string, pattern: string) =>
    new RegExp(`^${family}\\{[^}]*${pattern}[^}]*\\} [1-9]`, "m");
  const main = `container="main",image="[^"]+",name="${id}",namespace="default",pod="web"`;
  for (
    const family of [
      "container_memory_working_set_bytes",
      "container_memory_usage_bytes",
      "container_last_seen",
      "container_processes",
      "container_threads",
      "container_file_descriptors",
      "container_memory_failures_total",
    ]
  ) {
    assertMatch(cadvisor.body, labels(family, main));
  }
  assertMatch(cadvisor.body, new RegExp(`^container_cpu_usage_seconds_total\\{${main}[^}]*cpu="total"`, "m"));
  assertMatch(
    cadvisor.body,
    labels("container_network_receive_bytes_total", `pod="web"[^}]*interface="eth0"`),
  );
  assertMatch(cadvisor.body, /^machine_cpu_cores\{[^}]*\} [1-9]/m);
  await until("the probe has been asked", async () => {
    const { body } = await curl("/metrics/probes");
    return /^prober_probe_total\{container="main",.*probe_type="Readiness",result="successful"\} [1-9]/m.test(
      body,
    );
  });
  assertMatch(
    (await curl("/metrics/resource")).body,
    /^container_cpu_usage_seconds_total\{container="main"/m,
  );
  const own = (await curl("/metrics")).body;
  for (
    const line of [
      /^kubelet_running_pods 1$/m,
      /^kubelet_active_pods\{static="true"\} 1$/m,
      /^kubernetes_build_info\{.*git_version="v1\.\d+.*\} 1$/m,
      /^process_open_fds [1-9]/m,
      /^kubelet_runtime_operations_duration_seconds_bucket\{/m,
    ]
  ) assertMatch(own, line);
}

/** The certificate's end, by which it is told from another one. */
async function shown(port: number): Promise<string> {
  const script =
    `echo | openssl s_client -connect 127.0.0.1:${port} 2>/dev/null | openssl x509 -noout -fingerprint`;
  return (await output("sh", ["-c", script])).stdout;
}

Deno.test("an agent of no cluster serves the kubelet's API to its operator alone", async () => {
  const [port, readOnly] = [freePort(), freePort()];
  await using agent = await createAgent();
  using taken = Deno.listen({ hostname: "0.0.0.0", port: readOnly });
  await agent.start(["--port", `${port}`, "--read-only-port", `${readOnly}`]);
  await agent.write(
    "web.yaml",
    podOf("web", [
      shell("main", `x=$(head -c 4000000 /dev/zero | tr '\\0' x); ${stay}`, {
        readinessProbe: { exec: { command: ["true"] }, periodSeconds: 1 },
      }),
    ]),
  );
  await agent.untilReady("web");
  const curl = curlOf(agent, port);
  await checkAccess(agent, port, curl);
  await checkPages(agent, curl);
  await checkMetrics(agent, curl);

  // A port that another program has is only a problem.
  await until("it is told", async () => (await agent.problems()).some((p) => p.field === "port"));
  taken.close();

  // A certificate that is lost is made anew by the next agent; files of one's own are taken up while it runs.
  const before = await shown(port);
  await agent.stop();
  const files = `${agent.directory}/tls`;
  await Deno.mkdir(files);
  const pair = (name: string) =>
    output("openssl", [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
      ],
      ...["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"],
      ...["-keyout", `${files}/new.key`, "-out", `${files}/new.crt`],
    ]);
  const install = async () => {
    await Deno.rename(`${files}/new.key`, `${files}/tls.key`);
    await Deno.rename(`${files}/new.crt`, `${files}/tls.crt`);
  };
  await pair("first");
  await install();
  const flags = ["--tls-cert-file", `${files}/tls.crt`, "--tls-private-key-file", `${files}/tls.key`];
  await agent.start(["--port", `${port}`, ...flags]);
  const first = await shown(port);
  assert(first !== "" && first !== before);
  await pair("second");
  await install();
  await until("the new certificate is shown", async () => {
    const now = await shown(port);
    return now !== "" && now !== first;
  });
});

Deno.test("on a node of a cluster the API server says who may, and kubectl reaches the node's API through it", async () => {
  const port = freePort();
  await using cluster = await startCluster({ settings: { approveServing: true, certificateLife: 8_000 } });
  await using user = await userOf(cluster);
  await using node = await createNode(cluster, user, {
    withImage: false,
    flags: ["--port", `${port}`, "--rotate-server-certificates", "--client-ca-file", "/run/agent-e2e-ca.crt"],
  });
  await using files = new AsyncDisposableStack();
  files.defer(() => Deno.remove("/run/agent-e2e-ca.crt"));
  await Deno.writeTextFile("/run/agent-e2e-ca.crt", cluster.ca);
  await node.start();
  const kubectl = await kubectlOf(cluster, node.agent.directory);
  const raw = (path: string) => kubectl(["get", "--raw", `/api/v1/nodes/box/proxy${path}`]);
  await until("the API server reaches the node", async () => await raw("/healthz") === "ok");
  assertMatch(await raw("/metrics/resource"), /^node_cpu_usage_seconds_total/m);

  const token = await cluster.bootstrapToken();
  const reader = `user:system:bootstrap:${token.split(".")[0]}`;
  cluster.world.grants.set(reader, [{ verbs: ["get"], resources: ["nodes/metrics"], paths: [] }]);
  const curl = async (path: string, bearer: string) => {
    const { stdout } = await output("curl", [
      ...[
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--max-time",
        "20",
        "--cacert",
        "/run/agent-e2e-ca.crt",
      ],
      ...["--resolve", `box:${port}:127.0.0.1`, "-H", `authorization: Bearer ${bearer}`],
      `https://box:${port}${path}`,
    ]);
    return stdout;
  };
  assertEquals(
    [await curl("/metrics", token), await curl("/pods", token), await curl("/metrics", "nobody's")],
    ["200", "403", "401"],
  );
  // What was known holds while nobody can be asked; nothing else is answered.
  await cluster.pause();
  assertEquals(
    [await curl("/metrics", token), await curl("/stats/summary", token), await curl("/metrics", "another")],
    ["200", "500", "401"],
  );
  await cluster.resume();
  const before = await shown(port);
  await until("the serving certificate is renewed", async () => {
    const now = await shown(port);
    return now !== "" && now !== before;
  });
  assertEquals(await curl("/metrics", token), "200");
});
