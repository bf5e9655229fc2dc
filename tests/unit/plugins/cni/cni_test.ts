/** The executor on plugins that are shell scripts: what they are told, and what becomes of what they answer. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { parseNetwork } from "../../../../agent/model/cni_config.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import { CniError } from "../../../../plugins/cni/mod.ts";
import { createFakeNetwork } from "../../../fakes/cni_plugin.ts";

const signal = new AbortController().signal;

const networkOf = (value: object) => {
  const reading = parseNetwork(JSON.stringify({ cniVersion: "1.0.0", name: "lan", ...value }));
  assert("network" in reading, JSON.stringify(reading));
  return reading.network;
};

const lan = networkOf({ plugins: [{ type: "one", x: 1 }, { type: "two", capabilities: { mac: true } }] });

const request = {
  containerId: "box",
  netns: "/run/netns/box",
  ifname: "net1",
  args: [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]] as const,
  capabilityArgs: { mac: "02:00:00:00:00:07", portMappings: [] },
};

const ips = (address: string) => ({ cniVersion: "1.0.0", ips: [{ address }] });

Deno.test("ADD goes through the plugins in order, DEL in reverse with what ADD brought", async () => {
  await using fake = await createFakeNetwork(["one", "two"]);
  await fake.result("one", ips("10.0.0.1/24"));
  await fake.result("two", ips("10.0.0.2/24"));
  const result = await fake.cni.add(lan, request, {}, signal);
  assertEquals(result.ips, [{ address: "10.0.0.2/24" }]);
  const added = await fake.calls();
  assertEquals(added.map((c) => c.call), ["one ADD", "two ADD"]);
  assertEquals(added[0]!.target, "box /run/netns/box net1 IgnoreUnknown=1;K8S_POD_NAME=web");
  assertEquals(added[0]!.input, { type: "one", x: 1, name: "lan", cniVersion: "1.0.0" });
  assertEquals(added[1]!.input.runtimeConfig, { mac: "02:00:00:00:00:07" }, "only what it declares");
  assertEquals(added[1]!.input.prevResult.ips, [{ address: "10.0.0.1/24" }]);
  assertEquals(await fake.cached(), ["lan-box-net1"]);

  const again = fake.cni.add(lan, request, {}, signal);
  await assertRejects(() => again, AgentError, "container box has net1 in network lan already");

  await fake.forgetCalls();
  await fake.cni.del("lan", { ...request, args: [], capabilityArgs: {} }, signal);
  const deleted = await fake.calls();
  assertEquals(deleted.map((c) => c.call), ["two DEL", "one DEL"]);
  assertEquals(deleted[0]!.target, added[0]!.target, "as it was attached");
  assertEquals(deleted.map((c) => c.input.prevResult.ips), Array(2).fill([{ address: "10.0.0.2/24" }]));
  assertEquals(deleted[0]!.input.runtimeConfig, { mac: "02:00:00:00:00:07" });
  assertEquals(await fake.cached(), []);
  await fake.forgetCalls();
  await fake.cni.del("lan", request, signal);
  assertEquals(await fake.calls(), [], "nothing is known of it any more");
});

Deno.test("the record is in libcni's format", async () => {
  await using fake = await createFakeNetwork(["one", "two"]);
  await fake.result("one", ips("10.0.0.1/24"));
  await fake.result("two", ips("10.0.0.2/24"));
  await fake.cni.add(lan, request, { owner: "agent", note: { a: 1 } }, signal);
  const path = `${fake.directory}/cache/results/lan-box-net1`;
  const record = JSON.parse(await Deno.readTextFile(path));
  assertEquals([record.kind, record.containerId, record.ifName, record.networkName, record.netns], [
    "cniCacheV1",
    "box",
    "net1",
    "lan",
    "/run/netns/box",
  ]);
  assertEquals(record.cniArgs, request.args);
  assertEquals(record.capabilityArgs, request.capabilityArgs);
  assertEquals(record.result.ips, [{ address: "10.0.0.2/24" }]);
  assertEquals(JSON.parse(atob(record.config)).plugins.length, 2);
  assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
  const [attachment] = await fake.cni.attachments();
  assertEquals([attachment?.owner, attachment?.note, attachment?.network.name], ["agent", { a: 1 }, "lan"]);
});

Deno.test("the namespace of a record that has none is where its interface is", async () => {
  await using fake = await createFakeNetwork([]);
  const record = {
    kind: "cniCacheV1",
    containerId: "box",
    ifName: "eth0",
    networkName: "lan",
    config: btoa('{"cniVersion":"0.3.1","name":"lan","plugins":[{"type":"one"}]}'),
    result: {
      cniVersion: "0.3.1",
      interfaces: [{ name: "br0" }, { name: "eth0", sandbox: "/run/netns/x" }],
      dns: {},
    },
  };
  await Deno.mkdir(`${fake.directory}/cache/results`);
  await Deno.writeTextFile(`${fake.directory}/cache/results/lan-box-eth0`, JSON.stringify(record));
  assertEquals((await fake.cni.attachments("box")).map((a) => a.netns), ["/run/netns/x"]);
});

Deno.test("what is no record of an attachment is passed over", async () => {
  await using fake = await createFakeNetwork([]);
  await Deno.mkdir(`${fake.directory}/cache/results`);
  for (
    const [name, text] of [["a", "{"], ["b", "null"], ["c", '{"kind":"cniCacheV1","config":"%%%"}'], [
      "d",
      "[]",
    ]]
  ) {
    await Deno.writeTextFile(`${fake.directory}/cache/results/${name}`, text!);
  }
  assertEquals(await fake.cni.attachments(), []);
});

Deno.test("a failed ADD is told in the plugin's words and undone", async () => {
  await using fake = await createFakeNetwork(["one", "two"]);
  await fake.result("one", ips("10.0.0.1/24"));
  await fake.answer("two", "ADD", `echo '{"code":11,"msg":"busy","details":"try later"}'; exit 1`);
  const error = await assertRejects(() => fake.cni.add(lan, request, {}, signal), CniError);
  assertEquals([error.message, error.code, error.retry], ["CNI plugin two (ADD): busy; try later", 11, true]);
  assertEquals((await fake.calls()).map((c) => c.call), ["one ADD", "two ADD", "two DEL", "one DEL"]);
  assertEquals(await fake.cached(), []);
});

Deno.test("what cannot be undone stays on record, and the next ADD begins with it", async () => {
  await using fake = await createFakeNetwork(["one"]);
  const network = networkOf({ plugins: [{ type: "one" }] });
  await fake.answer("one", "ADD", `echo '{"code":7,"msg":"no such bridge"}'; exit 1`);
  await fake.answer("one", "DEL", "exit 3");
  const error = await assertRejects(
    () => fake.cni.add(network, request, {}, signal),
    CniError,
    "no such bridge",
  );
  assertEquals(error.retry, false);
  assertEquals(await fake.cached(), ["lan-box-net1"]);
  await fake.result("one", ips("10.0.0.1/24"));
  await fake.answer("one", "DEL", "");
  await fake.forgetCalls();
  await fake.cni.add(network, request, {}, signal);
  assertEquals((await fake.calls()).map((c) => c.call), ["one DEL", "one ADD"]);
});

Deno.test("answers that are none", async () => {
  await using fake = await createFakeNetwork(["one"]);
  const network = networkOf({ plugins: [{ type: "one" }] });
  const failsWith = async (shell: string, message: RegExp) => {
    await fake.answer("one", "ADD", shell);
    const error = await assertRejects(() => fake.cni.add(network, request, {}, signal), AgentError);
    assertMatch(error.message, message);
  };
  await failsWith("", /one \(ADD\): expected a result, found undefined/);
  await failsWith("echo hello", /answered with what is no JSON: hello/);
  await failsWith(
    `echo '{"ips":[{"address":7}]}'`,
    /one \(ADD\): the result's ips\[0\]\.address: expected text/,
  );
  await failsWith("echo 'open /dev/x: no' >&2; exit 2", /one \(ADD\) ended with 2: open \/dev\/x: no/);
  await failsWith("exit 9", /ended with 9 and said nothing/);
  await failsWith("yes '{' | head -c 3000000", /answered with more than 1 MiB/);
  assertEquals(await fake.cached(), []);
  const missing = networkOf({ plugins: [{ type: "nowhere" }] });
  await assertRejects(
    () => fake.cni.add(missing, request, {}, signal),
    CniError,
    'no CNI plugin "nowhere" in',
  );
});

Deno.test("a plugin that hangs is killed with all its processes", async () => {
  await using fake = await createFakeNetwork(["one"], 300);
  const network = networkOf({ plugins: [{ type: "one" }] });
  await fake.answer("one", "ADD", `sleep 1000 & echo $! >"$d/pid"; sleep 1000`);
  const error = await assertRejects(() => fake.cni.add(network, request, {}, signal), AgentError);
  assertEquals(error.reason, "DeadlineExceeded");
  const pid = Number(await Deno.readTextFile(`${fake.directory}/bin/pid`));
  const state = await Deno.readTextFile(`/proc/${pid}/stat`).then((s) => s.split(" ")[2], () => "gone");
  assert(state === "gone" || state === "Z", `process ${pid} is ${state}`);
});

Deno.test("calls about one container wait for each other, those about others do not", async () => {
  await using fake = await createFakeNetwork(["one"]);
  const network = networkOf({ plugins: [{ type: "one" }] });
  await fake.answer(
    "one",
    "ADD",
    `mkdir "$d/$CNI_CONTAINERID" || exit 1; sleep 0.1; rmdir "$d/$CNI_CONTAINERID"; echo '{"cniVersion":"1.0.0"}'`,
  );
  const add = (containerId: string, ifname: string) =>
    fake.cni.add(network, { ...request, containerId, ifname }, {}, signal);
  await Promise.all([add("a", "net1"), add("a", "net2"), add("b", "net1")]);
  assertEquals(await fake.cached(), ["lan-a-net1", "lan-a-net2", "lan-b-net1"]);
});

Deno.test("CHECK gets what ADD brought; older networks and those that switch it off have none", async () => {
  await using fake = await createFakeNetwork(["one"]);
  const of = (more: object) => networkOf({ plugins: [{ type: "one" }], ...more });
  await fake.result("one", ips("10.0.0.1/24"));
  await fake.cni.add(of({}), request, {}, signal);
  await fake.cni.check("lan", request, signal);
  assertEquals((await fake.calls()).at(-1)!.call, "one CHECK");
  assertEquals((await fake.calls()).at(-1)!.input.prevResult.ips, [{ address: "10.0.0.1/24" }]);
  await fake.answer("one", "CHECK", `echo '{"code":100,"msg":"the route is gone"}'; exit 1`);
  await assertRejects(() => fake.cni.check("lan", request, signal), CniError, "the route is gone");
  await fake.cni.check(of({ disableCheck: true }), request, signal);
  await assertRejects(
    () => fake.cni.check(of({ cniVersion: "0.3.1" }), request, signal),
    AgentError,
    "0.4.0",
  );
  const other = { containerId: "other", ifname: "net1" };
  await assertRejects(() => fake.cni.check("lan", other, signal), AgentError, "is on record");
});

Deno.test("GC detaches what is not valid, and tells plugins of 1.1", async () => {
  await using fake = await createFakeNetwork(["one"]);
  const network = networkOf({ cniVersion: "1.1.0", plugins: [{ type: "one" }] });
  await fake.result("one", { cniVersion: "1.1.0", ips: [{ address: "10.0.0.1/24" }] });
  for (const containerId of ["a", "b"]) await fake.cni.add(network, { ...request, containerId }, {}, signal);
  await fake.forgetCalls();
  const valid = [{ containerID: "b", ifname: "net1" }];
  const lost = await fake.cni.gc(network, valid, signal);
  assertEquals(lost.map((a) => a.containerId), ["a"]);
  assertEquals(await fake.cached(), ["lan-b-net1"]);
  const calls = await fake.calls();
  assertEquals(calls.map((c) => c.call), ["one DEL", "one GC"]);
  assertEquals(calls[1]!.input["cni.dev/valid-attachments"], valid);
  assertEquals(calls[1]!.target.trim(), "", "it is about the network as a whole");
  await fake.forgetCalls();
  await fake.cni.gc({ ...network, disableGC: true }, valid, signal);
  await fake.cni.gc({ ...network, cniVersion: "1.0.0" }, valid, signal);
  assertEquals(await fake.calls(), []);
});

Deno.test("STATUS and VERSION", async () => {
  await using fake = await createFakeNetwork(["one", "two"]);
  const network = networkOf({ cniVersion: "1.1.0", plugins: [{ type: "one" }, { type: "two" }] });
  await fake.cni.status(network, signal);
  await fake.answer("two", "STATUS", `echo '{"code":50,"msg":"no addresses left"}'; exit 1`);
  const error = await assertRejects(() => fake.cni.status(network, signal), CniError, "no addresses left");
  assertEquals(error.code, 50);
  await fake.cni.status({ ...network, cniVersion: "1.0.0" }, signal);
  await fake.answer("one", "VERSION", `echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'`);
  assertEquals(await fake.cni.versions("one", signal), ["0.4.0", "1.0.0"]);
  await fake.answer("one", "VERSION", `echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1`);
  assertEquals(await fake.cni.versions("one", signal), ["0.1.0"]);
});

Deno.test("the directory of configurations: order, plugins beside, problems", async () => {
  await using fake = await createFakeNetwork([]);
  await fake.configure("20-b.conf", '{"cniVersion":"0.4.0","name":"b","type":"ptp"}');
  await fake.configure("10-a.conflist", '{"cniVersion":"1.1.0","name":"a","plugins":[{"type":"bridge"}]}');
  await fake.configure("30-broken.json", '{"name":"c","plugins":[{}]}');
  await fake.configure("readme.txt", "no network");
  await Deno.mkdir(`${fake.directory}/conf/a`);
  await Deno.writeTextFile(`${fake.directory}/conf/a/20-x.conf`, '{"type":"tuning"}');
  await Deno.writeTextFile(`${fake.directory}/conf/a/10-y.conf`, '{"type":"portmap"}');
  const { networks, problems } = await fake.cni.networks();
  assertEquals(networks.map(({ network }) => [network.name, network.plugins.map((p) => p.type).join()]), [
    ["a", "bridge,portmap,tuning"],
    ["b", "ptp"],
  ]);
  assertEquals(problems.map((p) => [p.file.split("/").pop(), p.field]), [[
    "30-broken.json",
    "plugins[0].type",
  ]]);
  await Deno.writeTextFile(`${fake.directory}/conf/a/30-z.conf`, "{");
  assertEquals((await fake.cni.networks()).networks.map((n) => n.network.name), ["b"]);
});
