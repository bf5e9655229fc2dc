/** What has leaked is given back, on plugins that are shell scripts and a store of addresses that is real files. */
import { assert, assertEquals } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import { parseNetwork } from "../../../../agent/model/cni_config.ts";
import { createLeakCollector } from "../../../../plugins/cni/mod.ts";
import { createFakeNetwork } from "../../../fakes/cni_plugin.ts";

const id = (letter: string) => letter.repeat(64);

async function createBench() {
  const fake = await createFakeNetwork(["one", "ipam"]);
  await fake.result("one", { cniVersion: "1.0.0", ips: [{ address: "10.1.0.2/24" }] });
  const config = {
    cniVersion: "1.0.0",
    name: "node",
    plugins: [{ type: "one", ipam: { type: "host-local", dataDir: `${fake.directory}/ipam` } }],
  };
  await fake.configure("10-node.conflist", JSON.stringify(config));
  const alive = new Set([id("a")]);
  const host = createHost();
  const collector = createLeakCollector({
    cni: fake.cni,
    host,
    log: silentLog,
    owner: "agent-1",
    written: new Set(["node"]),
    sandboxes: () => Promise.resolve(alive),
    calmMs: 0,
  });
  const leave = new AbortController();
  let running: Promise<void> | undefined;
  return {
    fake,
    alive,
    nudge: collector.nudge,
    start: () => void (running = collector.run(leave.signal)),
    async attach(containerId: string, owner?: string) {
      const reading = parseNetwork(JSON.stringify(config));
      assert("network" in reading);
      const netns = "/run/netns/of-nobody";
      const request = { containerId, netns, ifname: "eth0", args: [], capabilityArgs: {} };
      await fake.cni.add(reading.network, request, owner === undefined ? {} : { owner }, leave.signal);
    },
    async lease(address: string, text: string, ageMs: number) {
      await Deno.mkdir(`${fake.directory}/ipam/node`, { recursive: true });
      await Deno.writeTextFile(`${fake.directory}/ipam/node/${address}`, text);
      const time = new Date(Date.now() - ageMs);
      await Deno.utime(`${fake.directory}/ipam/node/${address}`, time, time);
    },
    async until(what: string, look: () => Promise<boolean>) {
      const end = performance.now() + 5000;
      while (!await look()) {
        assert(performance.now() < end, `never: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async [Symbol.asyncDispose]() {
      leave.abort();
      await running;
      await fake[Symbol.asyncDispose]();
    },
  };
}

Deno.test("records and addresses of sandboxes that are gone are given back, and no others", async () => {
  await using bench = await createBench();
  const { fake } = bench;
  for (const [sandbox, owner] of [["a", "agent-1"], ["b", "agent-1"], ["c", "agent-2"]] as const) {
    await bench.attach(id(sandbox), owner);
  }
  await bench.lease("10.1.0.5", `${id("d")}\r\neth0`, 600_000);
  await bench.lease("10.1.0.6", `${id("e")}\r\neth0`, 1000);
  await bench.lease("10.1.0.7", `${id("a")}\r\neth0`, 600_000);
  await bench.lease("last_reserved_ip.0", "10.1.0.7", 600_000);
  await fake.forgetCalls();
  bench.start();
  await bench.until("both are given back", async () => (await fake.calls()).length >= 2);
  await bench.until("the record is gone", async () => (await fake.cached()).length === 2);
  assertEquals(await fake.cached(), [`node-${id("a")}-eth0`, `node-${id("c")}-eth0`]);
  assertEquals((await fake.calls()).map((c) => [c.call, c.target.trim()]), [
    ["one DEL", `${id("b")}  eth0`],
    ["one DEL", `${id("d")}  eth0`],
  ]);
});

Deno.test("of what the plugin refuses to detach the address is given back in the end", async () => {
  await using bench = await createBench();
  const { fake } = bench;
  const reading = parseNetwork(
    '{"cniVersion":"1.0.0","name":"lan","plugins":[{"type":"one","ipam":{"type":"ipam"}}]}',
  );
  assert("network" in reading);
  const request = { containerId: id("b"), netns: "", ifname: "net1", args: [], capabilityArgs: {} };
  await fake.cni.add(reading.network, request, { owner: "agent-1" }, new AbortController().signal);
  await fake.forgetCalls();
  await fake.answer("one", "DEL", "echo refused >&2; exit 1");
  const calls = async () => (await fake.calls()).map((c) => c.call);
  bench.start();
  for (const refusals of [1, 2, 3]) {
    await bench.until("it is refused", async () => (await calls()).length === refusals);
    assertEquals((await fake.cached()).length, 1, "what is refused stays on record");
    bench.nudge();
  }
  await bench.until("it is off the record", async () => (await fake.cached()).length === 0);
  assertEquals(await calls(), ["one DEL", "one DEL", "one DEL", "ipam DEL"]);
});
