/**
 * Pods come and go while the runtime and the agent are killed: no address, record or interface is left at the end.
 * AGENT_LEAK_PODS says how many pods.
 */
import { assert, assertEquals } from "@std/assert";
import { NETWORKS } from "../../agent/model/networks.ts";
import { bridgeName } from "../../plugins/containerd/mod.ts";
import { findContainerd } from "../../plugins/containerd/processes.ts";
import { type AgentUnderTest, createAgent, output } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, stay } from "./pods.ts";

const count = Number(Deno.env.get("AGENT_LEAK_PODS") ?? 12);
const perRound = 6;

const namesIn = (directory: string): Promise<string[]> =>
  Array.fromAsync(Deno.readDir(directory)).then((entries) => entries.map((e) => e.name), () => []);

function killContainerd(agent: AgentUnderTest): void {
  Deno.kill(findContainerd(`${agent.root}/agent/containerd/config.toml`)!.pid, "SIGKILL");
}

/** Further network of the pods. */
const lan = (name: string, ipam: string) => ({
  apiVersion: "k8s.cni.cncf.io/v1",
  kind: "NetworkAttachmentDefinition",
  metadata: { name: "lan" },
  spec: {
    config: JSON.stringify({
      cniVersion: "1.0.0",
      name,
      type: "bridge",
      bridge: name,
      ipam: { type: "host-local", dataDir: ipam, ranges: [[{ subnet: "10.79.0.0/22" }]] },
    }),
  },
});

Deno.test(`${count} pods made and destroyed with kill -9 in between leave no address behind`, async () => {
  const name = `leak${crypto.randomUUID().slice(0, 6)}`;
  await using agent = await createAgent();
  const own = bridgeName(agent.root);
  const [ipam, lanIpam] = [`${agent.root}/agent/ipam/${own}`, `${agent.directory}/ipam`];
  const addresses = async () => {
    const files = [...await namesIn(ipam), ...await namesIn(`${lanIpam}/${name}`)];
    return files.filter((file) => /^\d+\.\d+\.\d+\.\d+$/.test(file));
  };
  const records = async () =>
    (await namesIn("/var/lib/cni/results")).filter((r) =>
      r.startsWith(`${own}-`) || r.startsWith(`${name}-`)
    );
  try {
    await agent.start();
    await agent.write("lan.yaml", lan(name, lanIpam));
    let peak = 0;
    for (let first = 0; first < count; first += perRound) {
      const names = Array.from({ length: Math.min(perRound, count - first) }, (_, i) => `p${first + i}`);
      const pods = names.map((pod) =>
        podOf(pod, [shell("main", stay)], {}, { annotations: { [NETWORKS]: "lan" } })
      );
      await agent.write("pods.yaml", ...pods);
      await until("some are attached", async () => (await addresses()).length >= names.length);
      if (first % (2 * perRound) === 0) killContainerd(agent);
      await agent.kill();
      peak = Math.max(peak, (await addresses()).length);
      await agent.start();
      if (first % (2 * perRound) === 0) await agent.untilReady(names[0]!);
    }
    assert(peak >= Math.min(count, perRound), `only ${peak} addresses were given away at once`);
    await agent.remove("pods.yaml");
    await until("all pods are gone", async () => (await agent.pods()).length === 0, 90_000);
    await until(
      "no address and no record is left",
      async () => (await addresses()).length === 0 && (await records()).length === 0,
    ).catch(async (error) => {
      throw new Error(
        `${error}\n${(await addresses()).join()}\n${(await records()).join("\n")}\n${
          agent.log().slice(-2000)
        }`,
      );
    });
    const links = (await output("ip", ["-o", "link"])).stdout.split("\n").filter((line) =>
      line.includes(`master ${name}`)
    );
    assertEquals(links, []);
  } finally {
    await output("ip", ["link", "delete", name]);
  }
});
