import { assertEquals } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { type DnsFacts, parseResolvConf, podDns } from "../../../../agent/model/dns.ts";

const host = parseResolvConf(
  "# comment\nnameserver 192.0.2.53\n nameserver 2001:db8::53 extra\nsearch old.example\n" +
    "search corp.example. .\noptions ndots:2 edns0\noptions ndots:3\nnameserver\nsortlist x\n",
);
const facts: DnsFacts = {
  host,
  clusterDNS: ["10.96.0.10"],
  clusterDomain: "cluster.local",
  hostIPs: ["192.0.2.1"],
};
const podOf = (spec: Partial<NonNullable<Pod["spec"]>>): Pod => ({
  metadata: { name: "p", namespace: "shop" },
  spec: { containers: [], ...spec },
});

Deno.test("resolv.conf: servers add up, the last search line wins, options merge by name", () => {
  assertEquals(host, {
    servers: ["192.0.2.53", "2001:db8::53"],
    searches: ["corp.example", "."],
    options: ["ndots:3", "edns0"],
  });
});

Deno.test("ClusterFirst asks the cluster, and falls back to the node without one", () => {
  const cluster = {
    servers: ["10.96.0.10"],
    searches: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example", "."],
    options: ["ndots:5"],
  };
  assertEquals(podDns(podOf({}), facts), { dns: cluster, warnings: [] });
  assertEquals(
    podDns(podOf({ dnsPolicy: "ClusterFirstWithHostNet", hostNetwork: true }), facts).dns,
    cluster,
  );
  assertEquals(podDns(podOf({ dnsPolicy: "ClusterFirst", hostNetwork: true }), facts).dns, host);
  const alone = podDns(podOf({ dnsPolicy: "ClusterFirst" }), { ...facts, clusterDNS: [] });
  assertEquals(alone.dns, host);
  assertEquals(alone.warnings, [], "what every pod is that says nothing");
  const asked = podDns(podOf({ dnsPolicy: "ClusterFirstWithHostNet" }), { ...facts, clusterDNS: [] });
  assertEquals([asked.dns, asked.warnings.length], [host, 1]);
});

Deno.test("None takes only dnsConfig; Default adds it to the node's", () => {
  const dnsConfig = {
    nameservers: ["192.0.2.53", "192.0.2.99"],
    searches: ["my.example"],
    options: [{ name: "ndots", value: "1" }, { name: "rotate" }],
  };
  assertEquals(podDns(podOf({ dnsPolicy: "None", dnsConfig }), facts).dns, {
    servers: ["192.0.2.53", "192.0.2.99"],
    searches: ["my.example"],
    options: ["ndots:1", "rotate"],
  });
  assertEquals(podDns(podOf({ dnsPolicy: "Default", dnsConfig }), facts).dns, {
    servers: ["192.0.2.53", "2001:db8::53", "192.0.2.99"],
    searches: ["corp.example", ".", "my.example"],
    options: ["ndots:1", "edns0", "rotate"],
  });
});

Deno.test("an empty resolvConf resolves nowhere", () => {
  assertEquals(
    podDns(podOf({ dnsPolicy: "Default" }), {
      ...facts,
      host: undefined,
      hostIPs: ["192.0.2.1", "2001:db8::1"],
    }).dns,
    { servers: ["127.0.0.1", "::1"], searches: ["."], options: [] },
  );
});

Deno.test("three servers, 32 domains, 2048 characters, and what is cut is said", () => {
  const dnsConfig = { nameservers: ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"] };
  const servers = podDns(podOf({ dnsPolicy: "None", dnsConfig }), facts);
  assertEquals(servers.dns.servers, ["1.1.1.1", "2.2.2.2", "3.3.3.3"]);
  assertEquals(servers.warnings.length, 1);
  const searching = (searches: string[]) =>
    podDns(podOf({ dnsPolicy: "None", dnsConfig: { searches } }), facts);
  const many = Array.from({ length: 40 }, (_, i) => `d${i}.example`);
  assertEquals(searching(many).dns.searches, many.slice(0, 32));
  const wide = Array.from({ length: 30 }, (_, i) => `${String(i).padStart(2, "0")}${"x".repeat(97)}`);
  assertEquals(searching(wide).dns.searches, wide.slice(0, 20));
  assertEquals(searching(["a".repeat(254), "ok"]).dns.searches, ["ok"]);
  assertEquals(searching(["ok"]).warnings, []);
});
