import { assertEquals, assertStringIncludes } from "@std/assert";
import type { ApiUsage } from "../../../../agent/api/usage.ts";
import type { PodMetrics } from "../../../../agent/model/resource_metrics.ts";
import { createLab, runningPod } from "./lab.ts";

const measured = { timestamp: "2026-03-01T12:00:00Z", window: "1s" };
const metrics = (name: string, namespace: string, ...containers: [string, string, string][]): PodMetrics => ({
  metadata: { name, namespace },
  ...measured,
  containers: containers.map(([name, cpu, memory]) => ({ name, usage: { cpu, memory } })),
});
const usage: ApiUsage = {
  summary: () => Promise.resolve({ node: {} }),
  resource: () => Promise.resolve("x 1\n"),
  pods: () =>
    Promise.resolve([
      metrics("db", "default", ["app", "1500001n", "2047Ki"]),
      metrics("web", "default", ["app", "250000000n", "20480Ki"], ["side", "1000000n", "1024Ki"]),
      metrics("dns", "kube-system", ["app", "0n", "512Ki"]),
    ]),
  node: () =>
    Promise.resolve({
      metadata: { name: "node-1" },
      ...measured,
      usage: { cpu: "500000000n", memory: "1048576Ki" },
      allocatable: { cpu: "2000000000n", memory: "4194304Ki" },
    }),
};

async function lines(...argv: string[]): Promise<string[]> {
  await using lab = await createLab(undefined, undefined, usage);
  const web = runningPod("web");
  web.spec!.containers[0]!.resources = { requests: { cpu: "500m", memory: "10Mi" } };
  lab.store.putPod(web);
  const { code, out, err } = await lab.agent("top", ...argv);
  assertEquals(code, 0, err);
  return out.trimEnd().split("\n");
}

Deno.test("top pods as kubectl's: cores in thousandths rounded up, memory in Mi rounded down", async () => {
  assertEquals(await lines("pods"), [
    "NAME   CPU(cores)   MEMORY(bytes)",
    "db     2m           1Mi",
    "web    251m         21Mi",
  ]);
  assertEquals(await lines("pod", "web", "--containers", "--no-headers"), [
    "web   app    250m   20Mi",
    "web   side   1m     1Mi",
  ]);
  assertEquals((await lines("pods", "-A", "--sort-by", "cpu")).map((line) => line.split(/\s+/)[1]), [
    "NAME",
    "web",
    "db",
    "dns",
  ]);
});

Deno.test("top pods -o wide tells the share of what was requested, where something was", async () => {
  const [head, db, web] = (await lines("pods", "-o", "wide")).map((line) => line.split(/\s{2,}/));
  assertEquals(head, ["NAME", "CPU(cores)", "MEMORY(bytes)", "CPU(requested)", "MEMORY(requested)"]);
  assertEquals([db?.slice(3), web?.slice(3)], [["-", "-"], ["50%", "210%"]]);
});

Deno.test("top node, and the API's own forms", async () => {
  assertEquals(await lines("node"), [
    "NAME     CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)",
    "node-1   500m         25%      1024Mi          25%",
  ]);
  const { items, kind } = JSON.parse((await lines("pods", "-o", "json")).join("\n"));
  assertEquals([kind, items.length, items[0].window], ["PodMetricsList", 2, "1s"]);
});

Deno.test("top says what cannot be had", async () => {
  await using lab = await createLab(undefined, undefined, usage);
  const missing = await lab.agent("top", "pod", "nobody");
  assertEquals(missing.code, 1);
  assertStringIncludes(
    missing.err,
    'there is no pod "nobody" with a running container in namespace "default"',
  );
  assertStringIncludes(
    (await lab.agent("top", "pods", "-n", "empty")).err,
    "No running pods found in empty namespace.",
  );
  assertEquals((await lab.agent("top", "disk")).code, 2);
  await using deaf = await createLab();
  const failed = await deaf.agent("top", "node");
  assertEquals([failed.code, failed.err], [1, "Error: usage cannot be measured: no runtime here\n"]);
});
