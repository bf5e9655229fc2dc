/** `agent cni` on plugins that are shell scripts: what is typed, told, and left. */
import { assertEquals, assertMatch } from "@std/assert";
import { createFakeNetwork } from "../../../fakes/cni_plugin.ts";
import { createLab } from "./lab.ts";

async function createBench() {
  const [lab, fake] = [await createLab(), await createFakeNetwork(["one"])];
  await fake.configure("10-lan.conflist", '{"cniVersion":"1.1.0","name":"lan","plugins":[{"type":"one"}]}');
  await fake.result("one", { cniVersion: "1.1.0", ips: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }] });
  const { directory } = fake;
  const places = [
    "--conf-dir",
    `${directory}/conf`,
    "--bin-dir",
    `${directory}/bin`,
    "--cache-dir",
    `${directory}/cache`,
  ];
  return {
    fake,
    cni: (...argv: string[]) => lab.agent("cni", ...argv, ...places),
    async [Symbol.asyncDispose]() {
      await lab[Symbol.asyncDispose]();
      await fake[Symbol.asyncDispose]();
    },
  };
}

const netns = ["--netns", "/proc/self/ns/net", "--container-id", "box"];

Deno.test("agent cni: a network is joined, listed, checked and left", async () => {
  await using bench = await createBench();
  const { cni, fake } = bench;
  const args = ["--args", "A=1;B=2", "--args", "C=3", "--capability-args", '{"mac":"x"}', "--ifname", "net5"];
  const added = await cni("add", "lan", ...netns, ...args);
  assertEquals([added.code, added.out, added.err], [0, "net5   10.1.0.2/24   gateway 10.1.0.1\n", ""]);
  assertEquals((await fake.calls())[0]!.target, "box /proc/self/ns/net net5 A=1;B=2;C=3");
  const again = await cni("add", "lan", ...netns, "--ifname", "net5");
  assertEquals([again.code, again.err], [1, "Error: container box has net5 in network lan already\n"]);

  const listed = await cni();
  assertEquals(listed.code, 0);
  assertMatch(listed.out, /^NETWORK +VERSION +PLUGINS +FILE\nlan +1\.1\.0 +one +\/.*10-lan\.conflist\n/);
  assertMatch(listed.out, /\nlan +box +net5 +10\.1\.0\.2\/24 +<none> +\/proc\/self\/ns\/net\n$/);
  const { attachments } = JSON.parse((await cni("list", "-o", "json")).out);
  assertEquals(attachments[0].capabilityArgs, { mac: "x" });

  const checked = await cni("check", "lan", ...netns, "--ifname", "net5");
  assertEquals([checked.code, checked.out], [0, "net5 of box is as it was attached\n"]);
  await fake.answer("one", "CHECK", `echo '{"code":100,"msg":"no route"}'; exit 1`);
  const failed = await cni("check", "lan", ...netns, "--ifname", "net5");
  assertEquals([failed.code, failed.err], [1, "Error: CNI plugin one (CHECK): no route\n"]);

  await Deno.remove(`${fake.directory}/conf/10-lan.conflist`);
  const left = await cni("del", "lan", "--container-id", "box", "--ifname", "net5");
  assertEquals([left.code, left.out], [0, "net5 of box detached from lan\n"]);
  assertEquals((await fake.calls()).at(-1)!.target.split(" ")[1], "/proc/self/ns/net", "as it is on record");
  assertEquals(await fake.cached(), []);
});

Deno.test("agent cni: gc, status, version, a network by its file, results as data", async () => {
  await using bench = await createBench();
  const { cni, fake } = bench;
  const file = `${fake.directory}/conf/10-lan.conflist`;
  const added = await cni("add", file, ...netns, "-o", "json");
  assertEquals(JSON.parse(added.out).ips, [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }]);
  await cni("add", "lan", "--netns", "/proc/self/ns/net");
  const none = await cni("gc", "lan");
  assertEquals([none.code, none.err.split("\n")[0]], [
    2,
    'Error: "agent cni gc" needs --valid ID/IFNAME for each attachment that stays, or --all',
  ]);
  const collected = await cni("gc", "lan", "--valid", "box/eth0");
  assertMatch(collected.out, /^eth0 of agent-cni-[0-9a-f]{12} detached\n$/);
  assertEquals(await fake.cached(), ["lan-box-eth0"]);
  assertEquals((await cni("status", "lan")).out, "lan takes containers\n");
  await fake.answer("one", "STATUS", `echo '{"code":50,"msg":"no addresses left"}'; exit 1`);
  assertEquals((await cni("status", "lan")).err, "Error: CNI plugin one (STATUS): no addresses left\n");
  await fake.answer("one", "VERSION", `echo '{"supportedVersions":["1.0.0","1.1.0"]}'`);
  assertEquals((await cni("version", "one")).out, "1.0.0 1.1.0\n");
});

Deno.test("agent cni: what is typed wrongly, or is not there", async () => {
  await using bench = await createBench();
  const { cni, fake } = bench;
  const fails = async (code: number, message: RegExp, ...argv: string[]) => {
    const { code: got, err } = await cni(...argv);
    assertMatch(err, message);
    assertEquals(got, code);
  };
  await fails(2, /ACTION: expected one of list, add, del/, "ad", "lan");
  await fails(2, /"agent cni add" needs NETWORK/, "add");
  await fails(2, /expected --netns, or --container-id/, "add", "lan");
  await fails(2, /--args: expected KEY=VALUE, found "x"/, "add", "lan", ...netns, "--args", "x");
  await fails(
    2,
    /--capability-args: expected a JSON mapping, found \[\]/,
    "add",
    "lan",
    ...netns,
    "--capability-args",
    "[]",
  );
  await fails(2, /--ifname: expected at most 15 characters/, "add", "lan", ...netns, "--ifname", "a/b");
  await fails(1, /no network "lam" in .*; did you mean "lan"\?/, "add", "lam", ...netns);
  await fails(
    1,
    /there is no network namespace \/run\/netns\/nowhere: make one by "ip netns add nowhere"/,
    "add",
    "lan",
    "--netns",
    "nowhere",
  );
  await fails(1, /is on record in /, "check", "lan", ...netns);
  await fake.configure("20-broken.conf", '{"name":"x"');
  await fails(1, /20-broken\.conf: expected JSON/, "list");
  await fails(
    1,
    /20-broken\.conf: expected JSON[^]*describes no network/,
    "status",
    `${fake.directory}/conf/20-broken.conf`,
  );
});
