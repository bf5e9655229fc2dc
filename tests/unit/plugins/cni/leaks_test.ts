import { assert, assertEquals } from "@std/assert";
import { parseNetwork } from "../../../../agent/model/cni_config.ts";
import type { Attachment } from "../../../../plugins/cni/cache.ts";
import {
  leakedAttachments,
  leakedLeases,
  type LeakFacts,
  type Lease,
} from "../../../../plugins/cni/leaks.ts";

const reading = parseNetwork('{"cniVersion":"1.0.0","name":"node","plugins":[{"type":"bridge"}]}');
assert("network" in reading);
const { network } = reading;
const gone = "a".repeat(64);

const facts: LeakFacts = {
  owner: "agent-1",
  sandboxes: new Set(["alive"]),
  namespaces: new Set(["/run/netns/there"]),
  networks: new Set(["node"]),
  now: 1_000_000,
};

const ofPod = (containerId: string): [string, string][] => [
  ["K8S_POD_UID", "u"],
  ["K8S_POD_INFRA_CONTAINER_ID", containerId],
];

const attachment = (more: Partial<Attachment>): Attachment => ({
  network,
  containerId: gone,
  ifname: "eth0",
  netns: "/run/netns/gone",
  args: ofPod(more.containerId ?? gone),
  capabilityArgs: {},
  ...more,
});

const isLeak = (more: Partial<Attachment>) => leakedAttachments([attachment(more)], facts).length === 1;

Deno.test("this agent's attachments leak when their sandbox is gone, those of other agents are theirs", () => {
  assertEquals(isLeak({ owner: "agent-1", args: [], netns: "/run/netns/there" }), true);
  assertEquals(isLeak({ owner: "agent-1", containerId: "alive" }), false);
  assertEquals(isLeak({ owner: "agent-2" }), false);
});

Deno.test("of the runtime's own only what nobody can have any use for", () => {
  assertEquals(isLeak({}), true);
  assertEquals(isLeak({ containerId: "alive" }), false);
  assertEquals(isLeak({ netns: "/run/netns/there" }), false, "another runtime's, or one that is being made");
  assertEquals(isLeak({ netns: "" }), false, "nobody knows");
  assertEquals(isLeak({ args: [["K8S_POD_NAME", "web"]] }), false, "podman's");
  assertEquals(isLeak({ args: ofPod("other") }), false);
  assertEquals(isLeak({ network: { ...network, name: "elsewhere" } }), false, "not of this runtime");
});

Deno.test("an address without a record leaks when it is old and of no sandbox", () => {
  const lease: Lease = { network, containerId: gone, ifname: "eth0", since: 0 };
  const leaked = (more: Partial<Lease>, records: Attachment[] = []) =>
    leakedLeases([{ ...lease, ...more }], records, facts).length === 1;
  assertEquals(leaked({}), true);
  assertEquals(leaked({ since: facts.now - 10_000 }), false, "its sandbox may be being made");
  assertEquals(leaked({ containerId: "default-web" }), false, "no sandbox has such an id");
  assertEquals(leaked({}, [attachment({})]), false, "the record tells more");
  assertEquals(leakedLeases([lease], [], { ...facts, sandboxes: new Set([gone]) }), []);
});
