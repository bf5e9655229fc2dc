/** A host joins the double from beginning to end; what is left on its disk, and what is told. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { startCluster } from "../../../../fakes/cluster/cluster.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { asking, configOf, hostOf, join } from "./joining.ts";

const joinedFile = "/var/lib/kubelet/agent/joined.yaml";

Deno.test("what the cluster says about kubelets becomes the agent's configuration; what was asked for this node goes over it", async () => {
  await using cluster = await startCluster({
    kubeletConfiguration: { brandNewKey: 3, maxPods: 20, resolvConf: "/run/systemd/resolve/resolv.conf" },
  });
  const host = hostOf();
  const nodeFlags = { "node-labels": ["zone=attic"], "register-with-taints": ["only=me:NoSchedule"] };
  const { outcome, ended } = await join(host, await asking(cluster, { nodeFlags }));
  assertEquals([outcome.done, outcome.nodeName, outcome.server], [true, "box", cluster.url]);
  assertEquals(outcome.ready, undefined);
  assertStringIncludes(outcome.next[0]!, "agent run");
  const notes = ended("configuration")!.details.join("\n");
  assertStringIncludes(notes, "brandNewKey: is not known to this agent and has no effect");
  assertStringIncludes(notes, "cgroupDriver is cgroupfs here");
  assertStringIncludes(notes, "/run/systemd/resolve/resolv.conf does not exist on this host");
  const { config, origin, problems } = await configOf(host);
  assertEquals(problems.filter((p) => p.severity === "error"), []);
  assertEquals(config.cluster.kubeconfig, "/etc/kubernetes/kubelet.conf");
  assertEquals([config.maxPods, config.clusterDNS, config.cgroupDriver], [20, ["10.96.0.10"], "cgroupfs"]);
  assertEquals(config.nodeLabels, { zone: "attic" });
  assertEquals(origin.maxPods?.split(":")[0], "/var/lib/kubelet/config.yaml");
  assertStringIncludes(host.text(joinedFile)!, "effect: NoSchedule");
  assertEquals(host.mode(joinedFile), 0o600);
  // A flag of the command line goes over all of it.
  assertEquals((await configOf(host, { "max-pods": "7" })).config.maxPods, 7);
});

Deno.test("kubeadm finds what it looks for: the runtime's socket and this node's own flags, but not in a private instance", async () => {
  await using cluster = await startCluster();
  const host = hostOf();
  const nodeFlags = { "node-labels": ["zone=attic"], "register-with-taints": ["only=me:NoSchedule"] };
  await join(host, await asking(cluster, { nodeFlags, nodeName: "attic" }));
  assertEquals(
    host.text("/var/lib/kubelet/kubeadm-flags.env"),
    'KUBELET_KUBEADM_ARGS="--node-labels=zone=attic --register-with-taints=only=me:NoSchedule --hostname-override=attic"\n',
  );
  assertEquals(
    host.text("/var/lib/kubelet/instance-config.yaml"),
    'containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock"\n',
  );
  const other = hostOf();
  await join(other, await asking(cluster), { "root-dir": "/srv/a" });
  assertEquals(other.text("/srv/a/instance-config.yaml"), undefined);
});

Deno.test("joining twice asks for one certificate and writes nothing again", async () => {
  await using cluster = await startCluster();
  const host = hostOf();
  await join(host, await asking(cluster));
  const changes = host.changes.length;
  const { outcome, ended } = await join(host, await asking(cluster));
  assert(outcome.done);
  assertStringIncludes(ended("certificate")!.message, "has one already that serves");
  assertEquals(host.changes.slice(changes), []);
  assertEquals(cluster.world.store.list(kinds.request).length, 1);
});

Deno.test("wherever a join dies after the certificate, the host counts as joined: it can be undone, and done again", async () => {
  await using cluster = await startCluster();
  for (
    const path of [
      "/var/lib/kubelet/config.yaml",
      "/etc/kubernetes/kubelet.conf",
      "/etc/kubernetes/pki/ca.crt",
    ]
  ) {
    const host = hostOf();
    host.fail("writeFileAtomic", path, new Error("dies"));
    const { outcome } = await join(host, await asking(cluster));
    assertEquals([outcome.done, host.text(path)], [false, undefined]);
    host.fail("writeFileAtomic", path, undefined);
    assert(host.text(joinedFile) !== undefined, path);
    assert((await join(host, await asking(cluster))).outcome.done);
    assert(host.text(path) !== undefined);
  }
});

Deno.test("a private instance keeps its own places, whatever the cluster says", async () => {
  await using cluster = await startCluster();
  const host = hostOf();
  await join(host, await asking(cluster), { "root-dir": "/srv/a" });
  const { config } = await configOf(host, { "root-dir": "/srv/a" });
  assertEquals(config.cluster.kubeconfig, "/srv/a/kubernetes/kubelet.conf");
  assertEquals([config.staticPodPath, config.healthzPort], ["/srv/a/manifests", 0]);
  assertEquals((await configOf(host)).config.cluster.kubeconfig, "");
});

Deno.test("with systemd the service is enabled and started, and the node waited for", async () => {
  await using cluster = await startCluster();
  const commands: string[] = [];
  const host = hostOf({
    files: { "/run/systemd/system/x": "" },
    exec(argv) {
      commands.push(argv.slice(1).join(" "));
      return { code: 0, stdout: new Uint8Array(), stderr: new Uint8Array() };
    },
  });
  const node = { apiVersion: "v1", kind: "Node", metadata: { name: "box" } };
  const stored = cluster.world.store.put(kinds.node, node as never);
  const conditions = [{
    type: "Ready",
    status: "False",
    reason: "KubeletNotReady",
    message: "no network yet",
  }];
  cluster.world.store.put(kinds.node, { ...stored, status: { conditions } } as never);
  const late = await join(host, await asking(cluster, { wait: 300 }));
  assertEquals(commands, [
    "cat agent.service",
    "daemon-reload",
    "enable agent.service",
    "restart agent.service",
  ]);
  assertEquals(late.outcome.done, false);
  assertStringIncludes(late.ended("node")!.message, "not Ready yet (KubeletNotReady: no network yet)");
  const ready = [{ type: "Ready", status: "True" }];
  cluster.world.store.put(kinds.node, { ...stored, status: { conditions: ready } } as never);
  const { outcome } = await join(host, await asking(cluster));
  assertEquals([outcome.ready, outcome.next], [true, [
    "See it from where you administer the cluster: kubectl get nodes",
  ]]);
});

Deno.test("a dry run finds the cluster and leaves nothing", async () => {
  await using cluster = await startCluster();
  const host = hostOf();
  const { outcome } = await join(host, await asking(cluster, { dryRun: true }));
  assertEquals(outcome.server, cluster.url);
  assertEquals([host.changes, cluster.world.store.list(kinds.request)], [[], []]);
});

Deno.test("a JoinConfiguration may ask for a dry run and leave phases out", async () => {
  await using cluster = await startCluster();
  const { endpoint, token, pins } = await asking(cluster);
  const written = (more: string) =>
    "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n" + more +
    "discovery:\n  bootstrapToken: " +
    JSON.stringify({ token, apiServerEndpoint: endpoint, caCertHashes: pins });
  const files = {
    "/root/dry.yaml": written("dryRun: true\nskipPhases: [preflight]\n"),
    "/root/skip.yaml": written("skipPhases: [preflight, kubelet-start]\n"),
  };
  const host = hostOf({ files: { ...files, "/run/systemd/system/x": "" } });
  const asked = (configFile: string) => asking(cluster, { configFile, skipPhases: [] });
  const dry = await join(host, await asked("dry.yaml"));
  assertEquals([dry.outcome.done, dry.outcome.server, host.changes], [false, cluster.url, []]);
  const skipping = await join(host, await asked("skip.yaml"));
  assertStringIncludes(skipping.outcome.next[0]!, "Start the agent");
  assertEquals(skipping.steps.filter((s) => ["preflight", "service"].includes(s.name)), []);
});

Deno.test("failures say what to do: another pin, a token that has ended, a JoinConfiguration with a fault", async () => {
  await using cluster = await startCluster();
  const host = hostOf({
    files: { "/root/j.yaml": "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery: {}\n" },
  });
  const wrong = await join(host, await asking(cluster, { pins: [`sha256:${"0".repeat(64)}`] }));
  assertEquals(wrong.outcome.done, false);
  assertStringIncludes(wrong.ended("discovery")!.details.at(-1)!, "kubeadm token create");
  const ended = await join(
    host,
    await asking(cluster, { tlsBootstrapToken: await cluster.bootstrapToken({ expires: Date.now() - 1 }) }),
  );
  assertStringIncludes(ended.ended("certificate")!.message, "does not take the bootstrap token");
  const broken = await join(host, await asking(cluster, { configFile: "j.yaml" }));
  assertStringIncludes(broken.ended("flags")!.details[0]!, "/root/j.yaml:3:");
  assertEquals(host.text(joinedFile), undefined);
});
