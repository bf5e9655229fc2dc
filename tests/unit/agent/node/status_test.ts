/** The node's conditions and addresses from what was seen. */
import { assertEquals } from "@std/assert";
import { deriveConditions, type RuntimeView } from "../../../../agent/node/status.ts";
import { followAddresses, nodeAddresses } from "../../../../agent/node/addresses.ts";

const good: RuntimeView = {
  name: "containerd",
  version: "1",
  reachable: true,
  runtimeReady: true,
  networkReady: true,
  message: "",
};
const calm = { complete: true, listedAgo: 60_000, pressures: new Set<string>() };
const summary = (view: RuntimeView | undefined, facts = calm) =>
  deriveConditions(view, facts, [], 5).map((c) => [c.type, c.status, c.message]);

Deno.test("a node is ready when runtime, network and manifests are", () => {
  assertEquals(summary(good), [["Ready", "True", undefined], ["RuntimeReady", "True", undefined], [
    "NetworkReady",
    "True",
    undefined,
  ]]);
  assertEquals(summary(good, { ...calm, complete: false })[0], [
    "Ready",
    "False",
    "the manifests have not been read yet",
  ]);
  assertEquals(summary({ ...good, networkReady: false, message: "no cni" })[0], [
    "Ready",
    "False",
    "network is not ready: no cni",
  ]);
  assertEquals(
    summary({ ...good, reachable: false, message: "refused" })[0]?.[2],
    "container runtime is down: refused",
  );
});

Deno.test("a runtime that answers but does not tell its pods makes the node not ready", () => {
  assertEquals(summary(good, { ...calm, listedAgo: 180_000 })[0]?.[1], "True");
  assertEquals(summary(good, { ...calm, listedAgo: 181_000 })[0], [
    "Ready",
    "False",
    "PLEG is not healthy: pods were last listed 181 s ago; threshold is 180 s",
  ]);
});

Deno.test("what the node is short of is among its conditions as long as it is", () => {
  const short = summary(good, { ...calm, pressures: new Set(["DiskPressure"]) });
  assertEquals(short.slice(3), [["DiskPressure", "True", undefined]]);
});

Deno.test("a condition keeps its time while it stays the same", () => {
  const before = deriveConditions(good, calm, [], 5);
  assertEquals(deriveConditions(good, calm, before, 9)[0]?.lastTransitionTime, 5);
  assertEquals(deriveConditions(good, { ...calm, complete: false }, before, 9)[0]?.lastTransitionTime, 9);
});

const routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n" +
  "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\n" +
  "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\n";
const at = (name: string, address: string, family: "IPv4" | "IPv6" = "IPv4") => ({
  interface: name,
  family,
  address,
});

Deno.test("the node's addresses are those of the default route with the lowest metric", () => {
  const all = [
    at("lo", "127.0.0.1"),
    at("wlan0", "192.0.2.7"),
    at("eth0", "192.0.2.8"),
    at("eth0", "2001:db8::8", "IPv6"),
    at("eth0", "fe80::1", "IPv6"),
  ];
  assertEquals(nodeAddresses([], all, routes), ["192.0.2.8", "2001:db8::8"]);
  assertEquals(nodeAddresses(["198.51.100.1"], all, routes), ["198.51.100.1"]);
  assertEquals(nodeAddresses([], all.slice(0, 2), ""), ["192.0.2.7"]);
  assertEquals(nodeAddresses([], all.slice(0, 1), ""), ["127.0.0.1"]);
});

Deno.test("a node that gets another address shows it, and the one it has while it has no network", () => {
  const follow = (before: string[], ...now: ReturnType<typeof at>[]) =>
    followAddresses(before, [], now, routes);
  const bridge = at("cni0", "10.0.0.1");
  assertEquals(follow(["192.0.2.1"], bridge, at("eth0", "192.0.2.9")), ["192.0.2.9"]);
  assertEquals(follow(["192.0.2.1"], bridge), ["192.0.2.1"]);
  assertEquals(follow(["192.0.2.1"], at("eth0", "192.0.2.9"), at("eth0", "192.0.2.1")), ["192.0.2.1"]);
  const both = [at("eth0", "192.0.2.1"), at("eth0", "2001:db8::1", "IPv6")];
  assertEquals(follow(["192.0.2.1"], ...both), ["192.0.2.1", "2001:db8::1"]);
  assertEquals(followAddresses(["192.0.2.5"], ["192.0.2.5"], both, routes), ["192.0.2.5"]);
});
