import { assert, assertEquals } from "@std/assert";
import {
  type Block,
  bridgeName,
  choosePodCIDR,
  defaultConflist,
  formatCIDR,
  overlaps,
  parseCIDR,
  parseRoutes,
  preferredPodCIDR,
} from "../../../../plugins/containerd/cni.ts";

const ROUTES = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
podman0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t0100000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
`;
const block = (text: string): Block => parseCIDR(text)!;

Deno.test("CIDRs are read, their host bits cleared, and written", () => {
  assertEquals(parseCIDR("10.85.3.7/16"), { address: 0x0a550000, prefixLength: 16 });
  assertEquals(formatCIDR(block("192.168.255.255/20")), "192.168.240.0/20");
  assertEquals(formatCIDR(block("0.0.0.0/0")), "0.0.0.0/0");
  for (const bad of ["", "10.0.0.0", "10.0.0.0/33", "256.0.0.0/8", "10.0.0/8", "fd00::/64", "10.0.0.0/8 "]) {
    assertEquals(parseCIDR(bad), undefined, bad);
  }
});

Deno.test("blocks overlap when one holds the other, in both orders", () => {
  const pairs: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.85.0.0/16", true],
    ["10.85.0.0/16", "10.86.0.0/16", false],
    ["10.85.0.128/25", "10.85.0.0/25", false],
    ["0.0.0.0/0", "200.1.2.3/32", true],
    ["192.168.1.1/32", "192.168.1.0/24", true],
  ];
  for (const [a, b, expected] of pairs) {
    assertEquals(overlaps(block(a), block(b)), expected, `${a} ${b}`);
    assertEquals(overlaps(block(b), block(a)), expected, `${b} ${a}`);
  }
});

Deno.test("routes come from /proc/net/route, without the default route", () => {
  assertEquals(parseRoutes(ROUTES).map(formatCIDR), ["192.0.2.0/24", "10.88.0.0/16", "10.0.0.1/32"]);
  assertEquals(parseRoutes("garbage\nmore garbage\n\n"), []);
});

Deno.test("the preferred pod range is taken when it is free, else the next that is", () => {
  assertEquals(choosePodCIDR(parseRoutes(ROUTES), "10.85.0.0/16"), "10.85.0.0/16");
  assertEquals(choosePodCIDR(parseRoutes(ROUTES), "10.88.0.0/16"), "10.89.0.0/16");
  assertEquals(choosePodCIDR([block("10.88.1.0/24")], "10.88.0.0/16"), "10.89.0.0/16");
  assertEquals(choosePodCIDR([block("10.255.255.0/24")], "10.255.255.0/24"), "10.0.1.0/24");
  assertEquals(choosePodCIDR([block("10.0.0.0/8")], "10.85.0.0/16"), "172.17.0.0/16");
  assertEquals(
    choosePodCIDR([block("10.0.0.0/8"), block("172.16.0.0/12")], "10.85.0.0/24"),
    "192.168.1.0/24",
  );
  assertEquals(
    choosePodCIDR(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(block), "10.85.0.0/24"),
    undefined,
  );
  assertEquals(choosePodCIDR([], "nonsense"), undefined);
});

Deno.test("whatever is chosen overlaps nothing and keeps its size", () => {
  for (let i = 0; i < 64; i++) {
    const routes = [block(`10.${128 + i}.0.0/16`), block("10.128.0.0/10"), block("172.16.0.0/13")];
    const chosen = block(choosePodCIDR(routes, preferredPodCIDR(`/tmp/${i}`))!);
    assertEquals(chosen.prefixLength, 24);
    assert(!routes.some((r) => overlaps(r, chosen)), formatCIDR(chosen));
  }
});

Deno.test("instances have bridges and ranges of their own, within the kernel's limit for names", () => {
  const names = ["", ...Array.from({ length: 200 }, (_, i) => `/var/tmp/instance-${i}`)];
  assertEquals(new Set(names.map(bridgeName)).size, names.length);
  for (const name of names) {
    assert(bridgeName(name).length <= 15 && parseCIDR(preferredPodCIDR(name)) !== undefined);
  }
  assertEquals(preferredPodCIDR(""), "10.85.0.0/16");
});

Deno.test("the default conflist: bridge with IPAM of its own, hostPorts, the newest version both sides know", () => {
  const spec = {
    supportedVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    bridge: "agent0",
    podCIDR: "10.85.0.0/16",
    ipamDir: "/var/lib/agent/ipam",
    firewall: false,
  };
  const conflist = defaultConflist(spec);
  assertEquals([conflist.cniVersion, conflist.name], ["1.0.0", "agent0"]);
  assertEquals(conflist.plugins.map((p) => p["type"]), ["bridge", "portmap"]);
  assertEquals(conflist.plugins[0]?.["ipam"], {
    type: "host-local",
    dataDir: "/var/lib/agent/ipam",
    ranges: [[{ subnet: "10.85.0.0/16" }]],
    routes: [{ dst: "0.0.0.0/0" }],
  });
  const other = defaultConflist({
    ...spec,
    supportedVersions: ["0.4.0"],
    podCIDRv6: "fd85::/64",
    firewall: true,
    bandwidth: true,
  });
  assertEquals(other.cniVersion, "0.4.0");
  assertEquals(other.plugins.map((p) => p["type"]), ["bridge", "portmap", "firewall", "bandwidth"]);
  assertEquals(other.plugins[3]?.["capabilities"], { bandwidth: true });
  assertEquals((other.plugins[0]?.["ipam"] as { ranges: unknown[] }).ranges.length, 2);
});
