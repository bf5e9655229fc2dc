import { assert, assertEquals, assertMatch } from "@std/assert";
import { fieldText } from "../../../../agent/model/finding.ts";
import {
  formatNetwork,
  isAtLeast,
  isContainerId,
  isInterfaceName,
  parseNetwork,
  parsePlugin,
} from "../../../../agent/model/cni_config.ts";

const networkOf = (value: unknown, name?: string) => {
  const reading = parseNetwork(JSON.stringify(value), name);
  assert("network" in reading, JSON.stringify(reading));
  return reading.network;
};

const problemsOf = (value: unknown) => {
  const reading = parseNetwork(typeof value === "string" ? value : JSON.stringify(value));
  assert("findings" in reading);
  return reading.findings.map((f) => `${fieldText(f.path)}: ${f.message}`);
};

Deno.test("a list of plugins is read with its switches", () => {
  const network = networkOf({
    cniVersion: "1.0.0",
    name: "lan",
    disableCheck: true,
    disableGC: "true",
    plugins: [
      { type: "bridge", bridge: "br0" },
      { type: "portmap", capabilities: { portMappings: true, bandwidth: false } },
    ],
  });
  assertEquals([network.name, network.cniVersion], ["lan", "1.0.0"]);
  assertEquals([network.disableCheck, network.disableGC, network.onlyInlined], [true, true, false]);
  assertEquals(network.plugins.map((p) => p.type), ["bridge", "portmap"]);
  assertEquals(network.plugins.map((p) => p.capabilities), [[], ["portMappings"]]);
  assertEquals(network.plugins[0]!.config, { type: "bridge", bridge: "br0" });
});

Deno.test("a single plugin is a list of one; a name from outside is used where it has none", () => {
  const network = networkOf({ cniVersion: "0.3.1", type: "macvlan", master: "eth0" }, "storage");
  assertEquals([network.name, network.plugins.length, network.onlyInlined], ["storage", 1, true]);
  assertEquals(networkOf({ name: "own", type: "macvlan" }, "other").name, "own");
});

Deno.test("of several versions the newest that is spoken here is taken; none is the oldest", () => {
  const of = (version: object) => networkOf({ name: "n", plugins: [{ type: "t" }], ...version }).cniVersion;
  assertEquals(of({ cniVersions: ["0.4.0", "1.1.0", "9.0.0"] }), "1.1.0");
  assertEquals(of({ cniVersion: "1.0.0", cniVersions: ["0.3.1"] }), "1.0.0");
  assertEquals(of({}), "0.1.0");
  assertEquals(problemsOf({ name: "n", cniVersion: "2.0.0", plugins: [] }), [
    "cniVersion: expected one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0, found 2.0.0",
  ]);
  assert(isAtLeast("1.0.0", "0.4.0") && !isAtLeast("0.3.1", "0.4.0"));
});

Deno.test("all that is wrong is told, with its field", () => {
  assertMatch(problemsOf("{")[0]!, /^: expected JSON: /);
  assertEquals(problemsOf([]), [": expected a CNI configuration, found a list"]);
  assertEquals(problemsOf({ name: "a/b", plugins: [{ type: "../x" }, 5, { type: "x", capabilities: 1 }] }), [
    'name: expected letters, digits, "_", "." and "-", found "a/b"',
    'plugins[0].type: expected the file name of a plugin, found "../x"',
    "plugins[1]: expected a plugin's configuration, found 5",
    "plugins[2].capabilities: expected a mapping, found 1",
  ]);
  assertEquals(problemsOf({ plugins: {}, disableGC: 3 }), [
    "name: expected the network's name",
    "disableGC: expected true or false, found 3",
    "plugins: expected a list, found a mapping",
  ]);
  assertEquals(problemsOf({ name: "n", loadOnlyInlinedPlugins: true, plugins: [] }), [
    "plugins: expected at least one plugin",
  ]);
});

Deno.test("a network is written with all its plugins inlined, and read back the same", () => {
  const network = networkOf({
    cniVersion: "1.1.0",
    name: "n",
    plugins: [{ type: "a", x: [1] }, { type: "b" }],
  });
  assertEquals(networkOf(JSON.parse(formatNetwork(network))), { ...network, onlyInlined: true });
});

Deno.test("a file of a plugin holds one plugin", () => {
  const one = parsePlugin('{"type":"tuning","sysctl":{}}');
  assert("plugin" in one);
  assertEquals(one.plugin.type, "tuning");
  assert("findings" in parsePlugin('{"plugins":[{"type":"a"},{"type":"b"}]}'));
  assert("findings" in parsePlugin(""));
});

Deno.test("names of interfaces and ids are those that CNI takes", () => {
  assertEquals(["net1", "a".repeat(15)].map(isInterfaceName), [true, true]);
  assertEquals(
    ["", ".", "..", "a b", "a/b", "a:1", "a".repeat(16)].map(isInterfaceName),
    Array(7).fill(false),
  );
  assertEquals(["abc-1_x.y", "-a", "", "a/b"].map(isContainerId), [true, false, false, false]);
});
