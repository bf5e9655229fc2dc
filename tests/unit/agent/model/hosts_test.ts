import { assertEquals } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { kernelHostname, podHostname, podHosts } from "../../../../agent/model/hosts.ts";

const podOf = (spec: Partial<NonNullable<Pod["spec"]>>, name = "web"): Pod => ({
  metadata: { name, namespace: "shop" },
  spec: { containers: [], ...spec },
});
const facts = {
  podIPs: ["10.1.0.7", "fd00::7"],
  clusterDomain: "cluster.local",
  nodeHosts: "127.0.0.1 localhost\n",
};

const head = `# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
fe00::0	ip6-mcastprefix
fe00::1	ip6-allnodes
fe00::2	ip6-allrouters
`;

Deno.test("the managed file names the pod for each of its addresses", () => {
  assertEquals(podHosts(podOf({}), facts), `${head}10.1.0.7\tweb\nfd00::7\tweb\n`);
  assertEquals(
    podHosts(podOf({ hostname: "db-0", subdomain: "db" }), facts),
    `${head}10.1.0.7\tdb-0.db.shop.svc.cluster.local\tdb-0\nfd00::7\tdb-0.db.shop.svc.cluster.local\tdb-0\n`,
  );
  assertEquals(podHosts(podOf({}), { ...facts, podIPs: [] }), undefined);
});

Deno.test("aliases come last, one line for each address", () => {
  const hostAliases = [{ ip: "192.0.2.9", hostnames: ["a.example", "b.example"] }, { ip: "192.0.2.8" }];
  assertEquals(
    podHosts(podOf({ hostAliases }), { ...facts, podIPs: ["10.1.0.7"] }),
    `${head}10.1.0.7\tweb\n\n# Entries added by HostAliases.\n192.0.2.9\ta.example\tb.example\n192.0.2.8\t\n`,
  );
});

Deno.test("a pod on the host's network gets the node's file", () => {
  assertEquals(
    podHosts(podOf({ hostNetwork: true, hostAliases: [{ ip: "192.0.2.9", hostnames: ["a"] }] }), facts),
    "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n" +
      "\n# Entries added by HostAliases.\n192.0.2.9\ta\n",
  );
});

Deno.test("host names end after 63 characters and never with a dash or dot", () => {
  assertEquals(podHostname(podOf({}, "a".repeat(62) + "-b"), "").hostname, "a".repeat(62));
  assertEquals(podHostname(podOf({ hostnameOverride: "x.example", subdomain: "db" }), "c"), {
    hostname: "x.example",
    domain: "",
  });
});

Deno.test("setHostnameAsFQDN gives the kernel the full name, which may have 64 characters; hostnameOverride is all", () => {
  const asked = { setHostnameAsFQDN: true, hostname: "h".repeat(20), subdomain: "s".repeat(20) };
  const domain = (length: number) => "d".repeat(length - 20 - 20 - ".x.svc.".length - 1);
  const pod = { metadata: { name: "web", namespace: "x" }, spec: { containers: [], ...asked } };
  const full = `${"h".repeat(20)}.${"s".repeat(20)}.x.svc.${domain(64)}`;
  assertEquals(kernelHostname(pod, domain(64)), { hostname: full });
  assertEquals(kernelHostname(pod, domain(65)), {
    error: `failed to construct FQDN from pod hostname and cluster domain, FQDN ${full}d is too long ` +
      "(64 characters is the max, 65 characters requested)",
  });
  assertEquals(kernelHostname(podOf({ ...asked, subdomain: "" }), "c"), { hostname: "h".repeat(20) });
  assertEquals(kernelHostname(podOf({ hostname: "a", subdomain: "b" }), "c"), { hostname: "a" });
  assertEquals(kernelHostname(podOf({ hostname: "a", hostnameOverride: "x.example" }), "c"), {
    hostname: "x.example",
  });
});
