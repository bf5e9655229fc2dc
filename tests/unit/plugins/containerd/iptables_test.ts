import { assertEquals } from "@std/assert";
import {
  emptyChains,
  idsInRules,
  planChainRemoval,
  splitRule,
} from "../../../../plugins/containerd/iptables.ts";

const SHARED = `-P PREROUTING ACCEPT
-P POSTROUTING ACCEPT
-N CNI-DN-aaaa
-N CNI-HOSTPORT-DNAT
-N CNI-HOSTPORT-MASQ
-N CNI-HOSTPORT-SETMARK
-N CNI-1111
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A POSTROUTING -s 10.85.0.2/32 -m comment --comment "name: \\"agent0\\" id: \\"abc\\"" -j CNI-1111
-A CNI-1111 -d 10.85.0.0/16 -m comment --comment "name: \\"agent0\\" id: \\"abc\\"" -j ACCEPT
-A CNI-1111 ! -d 224.0.0.0/4 -m comment --comment "name: \\"agent0\\" id: \\"abc\\"" -j MASQUERADE
-A CNI-DN-aaaa -s 10.85.0.2/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-aaaa -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.85.0.2:80
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"agent0\\" id: \\"abc\\"" -m multiport --dports 8080 -j CNI-DN-aaaa
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
`;

Deno.test("quoted words of a rule stay together, without their quotes", () => {
  assertEquals(splitRule(`-A X -m comment --comment "name: \\"a b\\" \\\\" -j Y`), [
    ..."-A X -m comment --comment".split(" "),
    'name: "a b" \\',
    "-j",
    "Y",
  ]);
});

Deno.test("rules that name the network go, with their chains, and the shared chains when nobody is left", () => {
  assertEquals(planChainRemoval(SHARED, "agent0").map((args) => args.join(" ")), [
    `-D POSTROUTING -s 10.85.0.2/32 -m comment --comment name: "agent0" id: "abc" -j CNI-1111`,
    `-D CNI-HOSTPORT-DNAT -p tcp -m comment --comment dnat name: "agent0" id: "abc" -m multiport --dports 8080 -j CNI-DN-aaaa`,
    "-F CNI-1111",
    "-F CNI-DN-aaaa",
    "-X CNI-1111",
    "-X CNI-DN-aaaa",
    "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    "-D OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    "-D POSTROUTING -m comment --comment CNI portfwd requiring masquerade -j CNI-HOSTPORT-MASQ",
    "-F CNI-HOSTPORT-DNAT",
    "-F CNI-HOSTPORT-SETMARK",
    "-F CNI-HOSTPORT-MASQ",
    "-X CNI-HOSTPORT-DNAT",
    "-X CNI-HOSTPORT-SETMARK",
    "-X CNI-HOSTPORT-MASQ",
  ]);
});

Deno.test("another network's rules, and the chains it needs, are left alone", () => {
  assertEquals(planChainRemoval(SHARED, "agent"), []);
  assertEquals(planChainRemoval(SHARED, "podman"), []);
  const two = SHARED +
    `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"podman\\" id: \\"x\\"" -j CNI-DN-bbbb\n`;
  assertEquals(
    planChainRemoval(two, "agent0").filter((args) => args.join(" ").includes("HOSTPORT")).length,
    1,
  );
  assertEquals(planChainRemoval("-P PREROUTING ACCEPT\n", "agent0"), []);
});

Deno.test("of one sandbox only its own rules and chains go; the shared ones stay while another uses them", () => {
  const two = SHARED + SHARED.split("\n").filter((line) => /abc|-N CNI-(DN|1111)/.test(line)).join("\n")
    .replaceAll("abc", "xyz").replaceAll("CNI-1111", "CNI-2222").replaceAll("CNI-DN-aaaa", "CNI-DN-bbbb");
  assertEquals(idsInRules(two, "agent0"), ["abc", "xyz"]);
  assertEquals(idsInRules(two, "agent1"), []);
  const removal = planChainRemoval(two, "agent0", ["xyz"]).map((args) => args.join(" "));
  assertEquals(removal.filter((line) => /abc|1111|aaaa|^-[FX] CNI-HOSTPORT/.test(line)), []);
  assertEquals(removal.filter((line) => line.startsWith("-X")), ["-X CNI-2222", "-X CNI-DN-bbbb"]);
});

Deno.test("a chain of a sandbox that is empty and unreachable is stale; others' and shared chains are not", () => {
  const chain = "CNI-12500c46427a1d4dc756dcbd";
  const jump = `-A POSTROUTING -s 10.1.0.2/32 -j ${chain}\n`;
  assertEquals(emptyChains(`${SHARED}-N ${chain}\n-N KUBE-12500c46427a1d4dc756dcbd\n`), [chain]);
  assertEquals(emptyChains(`${SHARED}-N ${chain}\n${jump}`), []);
  assertEquals(emptyChains(`${SHARED}-N ${chain}\n-A ${chain} -j ACCEPT\n`), []);
  assertEquals(emptyChains("-N CNI-HOSTPORT-DNAT\n"), []);
});
