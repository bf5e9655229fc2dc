/** Further networks of pods by real CNI plugins: seen inside the container, kept over crashes, gone at the end. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { NETWORK_STATUS, NETWORKS } from "../../agent/model/networks.ts";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, output } from "./agent.ts";
import { until } from "./containerd.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const network = (name: string, config: object | string) => ({
  apiVersion: "k8s.cni.cncf.io/v1",
  kind: "NetworkAttachmentDefinition",
  metadata: { name },
  spec: { config: typeof config === "string" ? config : JSON.stringify({ cniVersion: "1.0.0", ...config }) },
});

/** What the tests make on the host, under names of their own. */
class Site {
  readonly id = crypto.randomUUID().slice(0, 6);
  readonly bridge = `lan${this.id}`;
  readonly uplink = `up${this.id}`;
  readonly ipam = `/run/agent-e2e-ipam-${this.id}`;

  lan(): object {
    const ranges = [[{ subnet: "10.77.5.0/24" }]];
    return network("lan", {
      name: this.bridge,
      type: "bridge",
      bridge: this.bridge,
      isGateway: true,
      ipam: { type: "host-local", dataDir: this.ipam, ranges },
    });
  }

  direct(): object {
    const plugin = { type: "macvlan", master: this.uplink, mode: "bridge", capabilities: { ips: true } };
    const plugins = [{ ...plugin, ipam: { type: "static" } }, { type: "tuning" }];
    return network("direct", { name: this.uplink, plugins });
  }

  /** Addresses that host-local has given away. */
  leases = () => namesIn(`${this.ipam}/${this.bridge}`, /^[\d.]+$/);
  /** Of attachments, the networks of these tests alone. */
  records = () => namesIn("/var/lib/cni/results", new RegExp(`^(${this.bridge}|${this.uplink})-`));

  /** A device that macvlan can sit on. */
  createUplink = () =>
    output("ip", ["link", "add", this.uplink, "type", "veth", "peer", "name", `${this.uplink}p`]);

  async [Symbol.asyncDispose]() {
    for (const link of [this.uplink, this.bridge]) await output("ip", ["link", "delete", link]);
    await Deno.remove(this.ipam, { recursive: true });
  }
}

const namesIn = (directory: string, pattern: RegExp): Promise<string[]> =>
  Array.fromAsync(Deno.readDir(directory)).then(
    (entries) => entries.map((e) => e.name).filter((name) => pattern.test(name)).sort(),
    () => [],
  );

const untilNothingIsLeft = (site: Site) =>
  until(
    "no address and no record is left",
    async () => (await site.leases()).length === 0 && (await site.records()).length === 0,
  );

const annotated = (name: string, networks: unknown, script = stay): Pod => {
  const text = typeof networks === "string" ? networks : JSON.stringify(networks);
  const look = shell("look", "ip -o -4 addr; ip -4 route");
  const pod = podOf(name, [shell("main", script)], { initContainers: [look] });
  return { ...pod, metadata: { ...pod.metadata, annotations: { [NETWORKS]: text } } };
};

async function checkAttached(agent: AgentUnderTest, site: Site): Promise<void> {
  const wanted = [{ name: "lan", "default-route": ["10.77.5.1"] }, {
    name: "direct",
    interface: "lab0",
    ips: ["10.88.0.7/24"],
  }];
  await agent.write("web.yaml", annotated("web", wanted));
  const waiting = await agent.untilPod("web", "waits", (p) => p.status?.reason === "CreatePodSandboxError");
  assertEquals(waiting.status?.phase, "Pending");
  assertMatch(waiting.status!.message!, /no manifest describes NetworkAttachmentDefinition default\/lan/);
  await agent.write("nets.yaml", site.lan(), site.direct());
  const pod = await agent.untilReady("web");
  const seen = await agent.logs("web", "look");
  assertMatch(seen, /eth0\s+inet /);
  assertMatch(seen, /net1\s+inet 10\.77\.5\.2\/24/);
  assertMatch(seen, /lab0\s+inet 10\.88\.0\.7\/24/);
  assertMatch(seen, /^default via 10\.77\.5\.1 dev net1/m);
  const status = JSON.parse(pod.metadata!.annotations![NETWORK_STATUS]!);
  assertEquals(status.map((n: { interface: string; ips: string[] }) => [n.interface, ...n.ips]), [
    ["eth0", pod.status!.podIP],
    ["net1", "10.77.5.2"],
    ["lab0", "10.88.0.7"],
  ]);
  assertMatch(status[1].mac, /^[0-9a-f:]{17}$/);
  const described = (await agent.cli("describe", "pod", "web")).stdout;
  assertMatch(
    described,
    /Networks:\n +eth0: .*\n +net1: +10\.77\.5\.2, default\/lan\n +lab0: +10\.88\.0\.7, default\/direct\n/,
  );
  assertEquals(await site.leases(), ["10.77.5.2"]);
}

async function checkCrash(agent: AgentUnderTest, site: Site): Promise<void> {
  const before = await agent.pod("web");
  await agent.kill();
  await agent.start();
  const after = await agent.untilReady("web");
  assertEquals(identityOf(after), identityOf(before!));
  assertEquals(
    after.metadata?.annotations?.[NETWORK_STATUS],
    before?.metadata?.annotations?.[NETWORK_STATUS],
  );
  assertEquals(await site.leases(), ["10.77.5.2"], "nothing is attached twice");
  await agent.kill();
  await agent.remove("web.yaml");
  await agent.start();
  await untilNothingIsLeft(site);
}

/** An edit is another sandbox; a network that cannot be joined is told, and joined once it can be. */
async function checkEdits(agent: AgentUnderTest, site: Site): Promise<void> {
  await agent.write("edit.yaml", annotated("edit", "lan@first"));
  await agent.untilReady("edit");
  await agent.write("edit.yaml", annotated("edit", "default/lan@second"));
  await agent.untilPod(
    "edit",
    "has the other interface",
    (p) => p.metadata?.annotations?.[NETWORK_STATUS]?.includes('"second"') === true,
  );
  assertEquals((await site.leases()).length, 1);
  await agent.write(
    "bad.yaml",
    annotated("bad", "odd"),
    network("odd", { type: "bridge", bridge: "x".repeat(20) }),
  );
  const bad = await agent.untilPod("bad", "cannot join", (p) => p.status?.reason === "CreatePodSandboxError");
  assertMatch(bad.status!.message!, /^network default\/odd \(net1\): CNI plugin bridge \(ADD\): /);
  const { items } = await agent.api<{ items: { reason: string; message: string }[] }>("/events");
  assert(items.some((e) => e.reason === "FailedCreatePodSandBox" && e.message.includes("default/odd")));
  assert(
    items.some((e) =>
      e.reason === "AddedInterface" && /^Add second \[10\.77\.5\.\d+\] from default\/lan$/.test(e.message)
    ),
  );
  await agent.write("bad.yaml", annotated("bad", "odd"), network("odd", { type: "loopback" }));
  await agent.untilReady("bad");
}

async function checkProblems(agent: AgentUnderTest): Promise<void> {
  const pod = annotated("host", "lan");
  await agent.write("host.yaml", { ...pod, spec: { ...pod.spec, hostNetwork: true } });
  await agent.write("broken.yaml", network("broken", '{"type":'));
  await until("both problems are told", async () => {
    const fields = (await agent.problems()).map((p) => `${p.file.split("/").pop()} ${p.field}`);
    return fields.includes(`host.yaml metadata.annotations["${NETWORKS}"]`) &&
      fields.includes("broken.yaml spec.config");
  });
  assertEquals(await agent.pod("host"), undefined);
}

Deno.test("pods in further networks: bridge and macvlan, over crashes and edits", async () => {
  await using site = new Site();
  await using agent = await createAgent();
  await site.createUplink();
  await agent.start();
  await checkAttached(agent, site);
  await checkCrash(agent, site);
  await checkEdits(agent, site);
  await checkProblems(agent);
  for (const name of ["edit", "bad"]) await agent.remove(`${name}.yaml`);
  await untilNothingIsLeft(site);
});
