import { assertEquals } from "@std/assert";
import { networkFields, resultText } from "../../../../../agent/cli/render/cni.ts";
import { formatFields } from "../../../../../agent/cli/render/fields.ts";

Deno.test("the networks of a pod are told an interface a line, whatever the annotation holds", () => {
  const status = [
    { name: "agent0", interface: "eth0", ips: ["10.0.0.2", "fd00::2"], default: true, dns: {} },
    { name: "default/lan", interface: "net1", ips: [] },
  ];
  assertEquals(
    formatFields(networkFields(JSON.stringify(status))),
    "Networks:\n  eth0:  10.0.0.2, fd00::2, agent0\n  net1:  no address, default/lan\n",
  );
  assertEquals(networkFields(undefined), []);
  assertEquals(networkFields("{"), [["Networks", "{"]]);
  assertEquals(networkFields("7"), []);
});

Deno.test("results of old versions are told, too", () => {
  const old = { ip4: { ip: "10.1.0.9/16", gateway: "10.1.0.1" }, ip6: { ip: "fd00::9/64" } };
  assertEquals(resultText("eth0", old), "eth0   10.1.0.9/16,fd00::9/64   gateway 10.1.0.1\n");
  assertEquals(resultText("lo", {}), "lo   no address\n");
});
