/** CPUs of their own on a real kernel: given, kept over crashes, shared again; what runs is moved and never restarted. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { parseCpuCheckpoint } from "../../agent/model/cpu_checkpoint.ts";
import { formatCpuSet, parseCpuSet } from "../../agent/model/cpu_set.ts";
import { PodResourcesListerDefinition } from "../../plugins/rpc/gen/podresources.ts";
import { createChannel, createClient } from "../../plugins/rpc/mod.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { quotaOf, value } from "./cgroups.ts";
import { until } from "./containerd.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const online = parseCpuSet(Deno.readTextFileSync("/sys/devices/system/cpu/online"))!;
const all = formatCpuSet(online);
const withoutLast = formatCpuSet(new Set([...online].slice(0, -1)));
const last = formatCpuSet(new Set([...online].slice(-1)));
/** Only the last CPU may be given away. */
const staticPolicy = ["--cpu-manager-policy", "static", "--reserved-cpus", withoutLast];

const limits = { cpu: "1", memory: "32Mi" };
const own = podOf("own", [shell("main", stay, { resources: { limits } })]);
const free = podOf("free", [shell("main", stay)]);

/** Waits for the cgroup of its container; in v2 one that was told nothing has the CPUs of those above. */
async function untilOn(agent: AgentUnderTest, name: string, cpus: string): Promise<void> {
  const pod = (await agent.pod(name))!;
  await until(
    `${name} runs on ${cpus}`,
    () => value(agent, pod, "main", ["cpuset.cpus.effective", "cpuset.cpus"]) === cpus,
  );
}

/** Of the container's first process, not of the one that asks. */
async function allowedIn(agent: AgentUnderTest, name: string): Promise<string | undefined> {
  const { stdout } = await agent.cli("exec", name, "--", "grep", "Cpus_allowed_list", "/proc/1/status");
  return stdout.trim().split("\t")[1];
}

/** Of the pod and of its container: -1 or max is none. */
async function quotasOf(agent: AgentUnderTest, name: string): Promise<(string | undefined)[]> {
  const pod = (await agent.pod(name))!;
  return [quotaOf(agent, pod), quotaOf(agent, pod, "main")].map((q) =>
    q === "-1" || q === "max" ? "none" : q
  );
}

const assignments = (agent: AgentUnderTest) => {
  const checkpoint = parseCpuCheckpoint(Deno.readTextFileSync(`${agent.root}/cpu_manager_state`));
  return [...checkpoint.assignments.values()].flatMap((pod) =>
    [...pod].map(([name, set]) => [name, formatCpuSet(set)])
  );
};

/** As exporters see them. */
async function usesOf(agent: AgentUnderTest): Promise<string[][]> {
  const channel = createChannel(`${agent.root}/pod-resources/kubelet.sock`);
  try {
    const signal = AbortSignal.timeout(5000);
    const { podResources } = await createClient(PodResourcesListerDefinition, channel).list({}, { signal });
    return podResources.flatMap((pod) =>
      pod.containers.map((c) => [`${pod.name}/${c.name}`, formatCpuSet(new Set(c.cpuIds.map(Number)))])
    ).sort();
  } finally {
    channel.close();
  }
}

const both = async (agent: AgentUnderTest) =>
  (await Promise.all(["own", "free"].map(async (name) => await agent.untilReady(name)))).map(identityOf);

Deno.test({
  name:
    "whole CPUs of a Guaranteed pod are its own; all others are moved, over crashes and changes of the policy",
  ignore: online.size < 2,
  async fn() {
    await using agent = await createAgent();
    await agent.start();
    await agent.write("own.yaml", own);
    await agent.write("free.yaml", free);
    const before = await both(agent);
    for (const pod of ["own", "free"]) await untilOn(agent, pod, all);
    assertEquals(await quotasOf(agent, "own"), ["100000", "100000"]);
    await agent.stop();

    await agent.start(staticPolicy);
    await untilOn(agent, "own", last);
    await untilOn(agent, "free", withoutLast);
    assertEquals([await allowedIn(agent, "own"), await allowedIn(agent, "free")], [last, withoutLast]);
    await until("nothing limits it", async () => (await quotasOf(agent, "own")).every((q) => q === "none"));
    assertEquals(assignments(agent), [["main", last]]);
    assertEquals(await both(agent), before, "nothing is restarted");
    assertEquals(await usesOf(agent), [["free/main", ""], ["own/main", last]]);
    assertStringIncludes(
      (await agent.cli("describe", "pod", "own")).stdout,
      `CPUs of their own: main ${last}`,
    );

    await agent.kill();
    await agent.start(staticPolicy);
    assertEquals(await both(agent), before);
    await untilOn(agent, "own", last);
    await untilOn(agent, "free", withoutLast);

    await agent.kill();
    await agent.remove("own.yaml");
    await agent.start(staticPolicy);
    await agent.untilGone("own");
    await untilOn(agent, "free", all);
    assertEquals(assignments(agent), []);

    await agent.write("own.yaml", own);
    await agent.untilReady("own");
    await untilOn(agent, "own", last);
    await untilOn(agent, "free", withoutLast);
    const late = podOf("late", [shell("main", stay)]);
    await agent.write("late.yaml", late);
    await agent.untilReady("late");
    await untilOn(agent, "late", withoutLast);
    await checkRefusal(agent);
    const now = await both(agent);
    await agent.kill();
    await agent.start();
    for (const pod of ["own", "free", "late"]) await untilOn(agent, pod, all);
    await until("limits hold again", async () => (await quotasOf(agent, "own")).every((q) => q === "100000"));
    assertEquals(await both(agent), now);
  },
});

/** The node has one CPU for pods, and it is taken. */
async function checkRefusal(agent: AgentUnderTest): Promise<void> {
  await agent.write("more.yaml", podOf("more", [shell("main", stay, { resources: { limits } })]));
  const more: Pod = await agent.untilPod("more", "is refused", (p) => p.status?.phase === "Failed");
  assertEquals(more.status?.reason, "OutOfcpu");
  assertStringIncludes(more.status?.message ?? "", "requested: 1000, used: 1000, capacity: 1000");
  await agent.remove("more.yaml");
}
