import { assertEquals, assertThrows } from "@std/assert";
import { formatResult, parseResult } from "../../../../plugins/cni/result.ts";

const newest = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "br0", mac: "02:00:00:00:00:01" }, {
    name: "eth0",
    sandbox: "/run/netns/x",
    mtu: 1400,
    pciID: "0",
  }],
  ips: [
    { address: "10.1.0.2/24", gateway: "10.1.0.1", interface: 1 },
    { address: "fd00::2/64", interface: 1 },
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1", priority: 5 }, { dst: "::/0" }],
  dns: { nameservers: ["10.1.0.1"], search: ["x"], options: [] },
};

Deno.test("a result goes through every version and keeps what that version knows", () => {
  const result = parseResult(newest, "1.1.0");
  assertEquals(formatResult(result, "1.1.0"), newest);
  const old = formatResult(result, "0.4.0") as { ips: unknown[]; interfaces: unknown[]; routes: unknown[] };
  assertEquals(old.ips[0], { version: "4", address: "10.1.0.2/24", gateway: "10.1.0.1", interface: 1 });
  assertEquals(old.ips[1], { version: "6", address: "fd00::2/64", interface: 1 });
  assertEquals(old.interfaces[1], { name: "eth0", sandbox: "/run/netns/x" });
  assertEquals(old.routes[0], { dst: "0.0.0.0/0", gw: "10.1.0.1" });
  assertEquals(parseResult(old, "0.4.0").ips, result.ips);
  assertEquals(formatResult(result, "0.2.0"), {
    cniVersion: "0.2.0",
    ip4: { ip: "10.1.0.2/24", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }] },
    ip6: { ip: "fd00::2/64", routes: [{ dst: "::/0" }] },
    dns: newest.dns,
  });
});

Deno.test("an answer without a version is of the configuration's, as 0.2.0 wrote it", () => {
  const old = { ip4: { ip: "10.1.0.9/16", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] }, dns: {} };
  const result = parseResult(old, "0.2.0");
  assertEquals(result.ips, [{ address: "10.1.0.9/16", gateway: "10.1.0.1" }]);
  assertEquals(result.routes, [{ dst: "0.0.0.0/0" }]);
});

Deno.test("what is no result is refused with its field", () => {
  const refused = (value: unknown, message: string) =>
    assertThrows(() => parseResult(value, "1.0.0"), Error, message);
  refused(undefined, "expected a result, found undefined");
  refused([], "expected a result, found a list");
  refused({ cniVersion: "7.0.0" }, `the result's cniVersion: expected one of`);
  refused(
    { ips: [{ address: "10.0.0.1" }] },
    `the result's ips[0].address: expected a CIDR, found "10.0.0.1"`,
  );
  refused({ ips: [{ address: "10.0.0.1/8", interface: 3 }] }, "expected an index of the interfaces, found 3");
  refused({ interfaces: [1] }, "the result's interfaces[0]: expected a mapping, found 1");
  refused({ routes: [{ dst: "default" }] }, "the result's routes[0].dst: expected a CIDR");
  refused({ dns: { nameservers: [1] } }, "the result's dns.nameservers[0]: expected text, found 1");
});
