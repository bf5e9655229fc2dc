/** Further networks of pods on plugins that are shell scripts. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { parseNetwork } from "../../../../agent/model/cni_config.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { WantedNetwork } from "../../../../agent/model/networks.ts";
import { createPodNetworks } from "../../../../plugins/cni/mod.ts";
import { createFakeNetwork } from "../../../fakes/cni_plugin.ts";

const signal = new AbortController().signal;
const place = {
  sandboxId: "box",
  netns: "/proc/self/ns/net",
  pod: { namespace: "shop", name: "web", uid: "u1" },
};

function wanted(
  ifname: string,
  config: object | undefined,
  more: Partial<WantedNetwork> = {},
): WantedNetwork {
  const reading = parseNetwork(JSON.stringify(config ?? { type: "one" }), "lan");
  assert("network" in reading);
  const network = config === undefined ? undefined : reading.network;
  return {
    key: "shop/lan",
    name: "lan",
    ifname,
    network,
    capabilityArgs: {},
    cniArgs: {},
    defaultRoute: [],
    ...more,
  };
}

const one = { cniVersion: "1.0.0", type: "one" };
const answer = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "veth1" }, { name: "net1", mac: "02:00:00:00:00:09", sandbox: "/proc/self/ns/net" }],
  ips: [{ address: "10.9.0.2/24", gateway: "10.9.0.1", interface: 1 }],
};

async function createTwo() {
  const fake = await createFakeNetwork(["one"]);
  await fake.result("one", answer);
  const host = createHost();
  const networks = createPodNetworks({ cni: fake.cni, host, owner: "agent-a" });
  const others = createPodNetworks({ cni: fake.cni, host, owner: "agent-b" });
  return { fake, networks, others, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

Deno.test("what is attached is on record, the runtime's own interface before it, and not attached twice", async () => {
  await using two = await createTwo();
  const { fake, networks, others } = two;
  const list = [wanted("net9", one), wanted("net1", one)];
  const added = await networks.attach(place, list, signal);
  assertEquals(added.map((n) => [n.name, n.ifname, n.ips, n.gateways, n.mac, n.complete]), [
    ["shop/lan", "net9", ["10.9.0.2"], ["10.9.0.1"], undefined, true],
    ["shop/lan", "net1", ["10.9.0.2"], ["10.9.0.1"], "02:00:00:00:00:09", true],
  ]);
  const [call] = await fake.calls();
  assertEquals(
    call!.target,
    "box /proc/self/ns/net net9 IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;" +
      "K8S_POD_INFRA_CONTAINER_ID=box;K8S_POD_UID=u1",
  );
  assertEquals(await networks.attach(place, list, signal), [], "all is there");
  assertEquals((await networks.attached("box")).map((n) => n.ifname), ["net9", "net1"], "in the pod's order");
  assertEquals(await others.attached("box"), [], "another agent's");
  const own = { ...place, containerId: "box", ifname: "eth0", args: [], capabilityArgs: {} };
  const reading = parseNetwork('{"cniVersion":"1.0.0","name":"first","type":"one"}');
  assert("network" in reading);
  await fake.cni.add(reading.network, own, {}, signal);
  assertEquals((await networks.attached("box")).map((n) => [n.name, n.isDefault]), [
    ["first", true],
    ["shop/lan", false],
    ["shop/lan", false],
  ]);

  await fake.forgetCalls();
  await others.detach("box", signal);
  assertEquals(await fake.calls(), []);
  await networks.detach("box", signal);
  assertEquals((await fake.calls()).map((c) => [c.call, c.target.split(" ")[2]]), [
    ["one DEL", "net1"],
    ["one DEL", "net9"],
  ]);
  assertEquals(await fake.cached(), ["first-box-eth0"], "the runtime's own stays");
});

Deno.test("a namespace that is gone is told as none, and a broken detachment is tried again", async () => {
  await using two = await createTwo();
  const { fake, networks } = two;
  const netns = `${fake.directory}/netns`;
  await Deno.writeTextFile(netns, "");
  await networks.attach({ ...place, netns }, [wanted("net1", one)], signal);
  await Deno.remove(netns);
  await fake.answer("one", "DEL", `echo '{"code":100,"msg":"busy"}'; exit 1`);
  const error = await assertRejects(
    () => networks.detach("box", signal),
    AgentError,
    "net1 of network shop/lan: ",
  );
  assertEquals(error.reason, "FailedKillPod");
  assertEquals((await networks.attached("box")).length, 1);
  await fake.answer("one", "DEL", "");
  await networks.detach("box", signal);
  assertEquals((await fake.calls()).at(-1)!.target.split(" ").slice(0, 3), ["box", "", "net1"]);
  assertEquals(await networks.attached("box"), []);
});

Deno.test("capabilities that no plugin declares are refused; arguments reach every plugin", async () => {
  await using two = await createTwo();
  const { fake, networks } = two;
  const ips = { capabilityArgs: { ips: ["10.9.0.7/24"] }, cniArgs: { vlan: 7 } };
  const refused = () => networks.attach(place, [wanted("net1", one, ips)], signal);
  const error = await assertRejects(refused, AgentError, "no plugin of lan declares the capability ips: set");
  assertEquals([error.reason, error.retry], ["CreatePodSandboxError", false]);
  const able = { ...one, capabilities: { ips: true }, args: { cni: { x: 1 } } };
  await networks.attach(place, [wanted("net1", able, ips)], signal);
  const { input } = (await fake.calls())[0]!;
  assertEquals(input.runtimeConfig, { ips: ["10.9.0.7/24"] });
  assertEquals(input.args, { cni: { x: 1, vlan: 7 } });
});

Deno.test("a definition without configuration is the node's network of that name", async () => {
  await using two = await createTwo();
  const { fake, networks } = two;
  await fake.configure("10-x.conf", "{");
  const missing = () => networks.attach(place, [wanted("net1", undefined)], signal);
  await assertRejects(missing, AgentError, "no network of the node is named lan; ");
  await fake.configure(
    "20-lan.conflist",
    '{"cniVersion":"1.0.0","name":"lan","plugins":[{"type":"one","y":2}]}',
  );
  await networks.attach(place, [wanted("net1", undefined)], signal);
  assertEquals((await fake.calls())[0]!.input.y, 2);
});

Deno.test("a default route that cannot be set undoes the attachment", async () => {
  await using two = await createTwo();
  const { fake, networks } = two;
  const routed = wanted("net1", one, { defaultRoute: ["10.9.0.1"] });
  const netns = `${fake.directory}/none`;
  await assertRejects(
    () => networks.attach({ ...place, netns }, [routed], signal),
    AgentError,
    "default route via 10.9.0.1",
  );
  assertEquals((await fake.calls()).map((c) => c.call), ["one ADD", "one DEL"]);
  assertEquals(await fake.cached(), []);
});
