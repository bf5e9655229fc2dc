import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { NetworkAttachmentDefinition, Pod } from "../../../../agent/model/gen/v1.ts";
import { fieldText } from "../../../../agent/model/finding.ts";
import { sandboxHash } from "../../../../agent/model/hash.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import {
  lacksNetworks,
  NETWORKS,
  networksOf,
  networkStatus,
  validateNetworks,
  wantedNetworks,
} from "../../../../agent/model/networks.ts";
import { emptyObservation, type ObservedSandbox } from "../../../../agent/model/observed.ts";
import { noObjects } from "../../../../agent/model/wish.ts";
import { attachedNetwork } from "../../../fakes/networks.ts";

const podWith = (networks: string, spec: object = {}): Pod => ({
  metadata: { name: "web", namespace: "shop", annotations: { [NETWORKS]: networks } },
  spec: { containers: [], ...spec },
});

const problems = (pod: Pod): string[] => {
  const found: string[] = [];
  validateNetworks(pod, (path, message) => void found.push(`${fieldText(path)}: ${message}`));
  return found;
};

const plain = { capabilityArgs: {}, cniArgs: {}, defaultRoute: [] };

Deno.test("all notations of the annotation", () => {
  assertEquals(networksOf(podWith("lan, other/storage@san0 ,x@y")), [
    { key: "shop/lan", ifname: "net1", ...plain },
    { key: "other/storage", ifname: "san0", ...plain },
    { key: "shop/x", ifname: "y", ...plain },
  ]);
  const list = [{
    name: "lan",
    namespace: "net",
    interface: "lan0",
    ips: ["10.1.0.7/24", "fd00::7"],
    mac: "02:00:00:00:00:07",
    "infiniband-guid": "c2:11",
    portMappings: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" }],
    bandwidth: { ingressRate: 1000 },
    "default-route": ["10.1.0.1"],
    "cni-args": { vlan: 7 },
  }, { name: "second" }];
  assertEquals(networksOf(podWith(JSON.stringify(list))), [{
    key: "net/lan",
    ifname: "lan0",
    capabilityArgs: {
      ips: ["10.1.0.7/24", "fd00::7"],
      mac: "02:00:00:00:00:07",
      infinibandGUID: "c2:11",
      portMappings: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" }],
      bandwidth: { ingressRate: 1000 },
    },
    cniArgs: { vlan: 7 },
    defaultRoute: ["10.1.0.1"],
  }, { key: "shop/second", ifname: "net2", ...plain }]);
  for (const none of ["", " ", "[]"]) {
    assertEquals([networksOf(podWith(none)), problems(podWith(none))], [[], []]);
  }
});

Deno.test("what the annotation gets wrong is told, with its place", () => {
  const problem = (networks: string, spec = {}) => {
    const [first] = problems(podWith(networks, spec));
    return first?.replace('metadata.annotations["k8s.v1.cni.cncf.io/networks"]: ', "");
  };
  assertEquals(problem("a/b/c"), 'expected [NAMESPACE/]NAME[@INTERFACE], found "a/b/c"');
  assertEquals(problem("a,,b"), 'expected [NAMESPACE/]NAME[@INTERFACE], found ""');
  assert(problem("[{")!.startsWith("expected a JSON list, or [NAMESPACE/]NAME[@INTERFACE] with commas: "));
  assertEquals(problem('{"name":"a"}'), "expected a list, found a mapping");
  assertEquals(problem('["a"]'), '[0]: expected a mapping, found "a"');
  assertEquals(problem('[{"name":"a","ip":[]}]'), '[0]: unknown field "ip"; did you mean "ips"?');
  assertEquals(
    problem('[{"name":"a"},{"name":"b","ips":["x"]}]'),
    '[1].ips[0]: expected an IP address, found "x"',
  );
  assertEquals(problem('[{"name":"a","mac":7}]'), "[0].mac: expected a hardware address, found 7");
  assertEquals(problem("a@x,b@x"), "two networks want the interface x: expected unique names");
  assertEquals(problem("a@eth0"), "[0].interface: eth0 is the pod's own already");
  assert(problem("a@0123456789012345")!.startsWith("[0].interface: expected at most 15 characters"));
  assert(problem("UPPER")!.startsWith("[0]: expected at most 253 lowercase letters"));
  assertEquals(
    problem("lan", { hostNetwork: true }),
    "a pod with hostNetwork has the node's interfaces and no others: expected no annotation",
  );
});

const definition = (name: string, config: string): NetworkAttachmentDefinition => ({
  metadata: { name, namespace: "shop" },
  spec: { config },
});

Deno.test("a selection finds its definition, by namespace and name", () => {
  const networkAttachments = new Map([
    ["shop/lan", definition("lan", '{"cniVersion":"1.0.0","type":"macvlan"}')],
    ["shop/node", definition("node", "")],
    ["shop/bad", definition("bad", '{"type":7}')],
  ]);
  const wanted = (networks: string) =>
    wantedNetworks(podWith(networks), { ...noObjects, networkAttachments });
  const found = wanted("lan,node");
  assert(Array.isArray(found));
  assertEquals(found.map((w) => [w.name, w.network?.name, w.network?.plugins[0]?.type]), [
    ["lan", "lan", "macvlan"],
    ["node", undefined, undefined],
  ]);
  assertEquals(wanted("lan,default/lan"), {
    message: "no manifest describes NetworkAttachmentDefinition default/lan: the pod waits for it",
  });
  assertEquals(wanted("bad"), { message: "type: expected the file name of a plugin, found 7" });
});

Deno.test("a definition is checked where it stands", () => {
  const check = (config: string) =>
    parseManifest(
      "net.yaml",
      JSON.stringify({
        apiVersion: "k8s.cni.cncf.io/v1",
        kind: "NetworkAttachmentDefinition",
        metadata: { name: "lan" },
        spec: { config },
      }),
    ).problems.map((p) => [p.field, p.message]);
  assertEquals(check('{"type":"bridge"}'), []);
  assertEquals(check(""), []);
  assertEquals(check('{"plugins":[{"kind":"bridge"}]}'), [
    ["spec.config", "plugins[0].type: expected the file name of a plugin, found undefined"],
  ]);
  assertEquals(check('{"plugins":[]}'), [["spec.config", "plugins: expected at least one plugin"]]);
  assertEquals(check('{"cniVersion":"3.0.0","type":"x"}').map(([field]) => field), ["spec.config"]);
});

const sandbox = (networks: ObservedSandbox["networks"]): ObservedSandbox => ({
  id: "s",
  attempt: 0,
  ready: true,
  createdAt: 1,
  ips: ["10.0.0.2"],
  hash: "",
  runtimeHandler: "",
  ...(networks && { networks }),
});

Deno.test("a sandbox lacks what is not attached wholly, until a container was made in it", () => {
  const pod = podWith("lan,other");
  const o = emptyObservation("u", "shop", "web");
  const [one, two] = [
    attachedNetwork("net1", "shop/lan", "10.9.0.2"),
    attachedNetwork("net2", "shop/other", "10.9.1.2"),
  ];
  assertEquals(lacksNetworks(pod, sandbox(undefined), o), true);
  assertEquals(lacksNetworks(pod, sandbox([one]), o), true);
  assertEquals(lacksNetworks(pod, sandbox([one, { ...two, complete: false }]), o), true);
  assertEquals(lacksNetworks(pod, sandbox([one, two]), o), false);
  assertEquals(lacksNetworks(podWith(""), sandbox(undefined), o), false);
  const container = { sandboxId: "s" } as typeof o.containers[number];
  assertEquals(lacksNetworks(pod, sandbox(undefined), { ...o, containers: [container] }), false);
});

Deno.test("the annotation that tells of the networks begins with the runtime's own", () => {
  assertEquals(networkStatus(sandbox(undefined)), undefined);
  const own = { ...attachedNetwork("eth0", "agent0", "10.0.0.2"), isDefault: true, mac: "02:00:00:00:00:01" };
  const lan = { ...attachedNetwork("net1", "shop/lan", "10.9.0.2"), gateways: ["10.9.0.1"] };
  assertEquals(JSON.parse(networkStatus(sandbox([own, lan]))!), [
    {
      name: "agent0",
      interface: "eth0",
      ips: ["10.0.0.2"],
      mac: "02:00:00:00:00:01",
      default: true,
      dns: {},
    },
    { name: "shop/lan", interface: "net1", ips: ["10.9.0.2"], dns: {}, gateway: ["10.9.0.1"] },
  ]);
});

Deno.test("an edit of the annotation makes another sandbox, another spelling of it does not", () => {
  const hash = (networks: string) => sandboxHash(podWith(networks));
  assertEquals(hash("lan"), hash('[{"name":"lan"}]'));
  assertEquals(hash(""), sandboxHash({ ...podWith(""), metadata: { name: "web", namespace: "shop" } }));
  assertNotEquals(hash("lan"), hash("lan@x"));
  assertNotEquals(hash(""), hash("lan"));
});
