/** The agent or its runtime dies, and comes back: containers go on, and the truth is told soon. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { containerdPid, cutPower } from "./power_cut.ts";
import { identityOf, podOf, shell, statusOf, stay, waitingReason } from "./pods.ts";

const names = ["one", "two", "three"];

const writeAll = (agent: AgentUnderTest) =>
  agent.write(
    "pods.yaml",
    ...names.map((name) => podOf(name, [shell("main", `echo ${name}; ${stay}`), shell("b", stay)])),
  );

const identities = (pods: Pod[]) =>
  pods.map((p) => [p.metadata?.name, p.metadata?.uid, identityOf(p)]).sort((a, b) =>
    `${a[0]}` < `${b[0]}` ? -1 : 1
  );

async function untilAllReady(agent: AgentUnderTest): Promise<Pod[]> {
  let pods: Pod[] = [];
  await until("all pods are ready", async () => {
    pods = await agent.pods();
    return pods.length === names.length && pods.every(isReady);
  });
  return pods;
}

async function checkLeaving(agent: AgentUnderTest, leave: () => Promise<void>): Promise<void> {
  const before = identities(await untilAllReady(agent));
  const tasks = (await agent.ctr("tasks", "list", "-q")).trim().split("\n").sort();
  await leave();
  assertEquals((await agent.ctr("tasks", "list", "-q")).trim().split("\n").sort(), tasks, "containers go on");
  const began = performance.now();
  await agent.start();
  const after = identities(await untilAllReady(agent));
  const ms = performance.now() - began;
  assertEquals(after, before);
  assert(ms < 5000, `the truth was told after ${ms} ms`);
}

async function checkMeanwhile(agent: AgentUnderTest): Promise<void> {
  await agent.write("edit.yaml", podOf("edit", [shell("main", `echo old; ${stay}`)]));
  await agent.write("gone.yaml", podOf("gone", [shell("main", stay)]));
  await agent.write(
    "dies.yaml",
    podOf("dies", [shell("main", "sleep 1; exit 9")], { restartPolicy: "Never" }),
  );
  for (const name of ["edit", "gone"]) await agent.untilReady(name);
  await agent.untilPod("dies", "is running", (p) => p.status?.phase === "Running");
  await agent.kill();
  await agent.write("edit.yaml", podOf("edit", [shell("main", `echo new; ${stay}`)]));
  await agent.remove("gone.yaml");
  await agent.write("fresh.yaml", podOf("fresh", [shell("main", stay)]));
  await agent.start();
  await agent.untilGone("gone");
  await agent.untilLog("edit", "main", /^new\n/);
  await agent.untilReady("fresh");
  const dead = await agent.untilEnded("dies");
  assertEquals(statusOf(dead, "main").state?.terminated?.exitCode, 9);
  for (const name of ["edit", "dies", "fresh"]) await agent.remove(`${name}.yaml`);
  for (const name of ["edit", "dies", "fresh"]) await agent.untilGone(name);
}

async function checkRuntimeDeath(agent: AgentUnderTest): Promise<void> {
  const before = identities(await untilAllReady(agent));
  const old = containerdPid(agent)!;
  Deno.kill(old, "SIGKILL");
  await agent.write("new.yaml", podOf("new", [shell("main", stay)]));
  await agent.untilReady("new");
  assertNotEquals(containerdPid(agent), old);
  const pods = await agent.pods();
  assertEquals(
    identities(pods.filter((p) => names.includes(p.metadata!.name!))),
    before,
    "containers survive",
  );
  assertEquals((await agent.cli("status")).stdout.includes("Ready, RuntimeReady, NetworkReady"), true);

  const { containerID } = statusOf((await agent.pod("one"))!, "main");
  await agent.ctr("tasks", "kill", "--signal", "SIGKILL", containerID!.replace("containerd://", ""));
  await agent.untilPod("one", "is restarted", (p) => isReady(p) && statusOf(p, "main").restartCount === 1);
  await agent.remove("new.yaml");
  await agent.untilGone("new");
}

async function checkPowerCut(agent: AgentUnderTest): Promise<void> {
  const before = new Map((await untilAllReady(agent)).map((p) => [p.metadata!.name!, p]));
  await agent.kill();
  await cutPower(agent);
  await agent.start();
  await until("all pods run in new containers", async () => {
    const pods = await agent.pods();
    return pods.length === names.length && pods.every((p) =>
      isReady(p) &&
      statusOf(p, "main").containerID !== statusOf(before.get(p.metadata!.name!)!, "main").containerID
    );
  });
  const tasks = (await agent.ctr("tasks", "list")).split("\n").filter((line) => line.includes("RUNNING"));
  assertEquals(tasks.length, names.length * 3, "two containers and a sandbox each, no more");
}

async function checkSandboxDeath(agent: AgentUnderTest): Promise<void> {
  await agent.write("boxed.yaml", podOf("boxed", [shell("main", `echo begun; ${stay}`)]));
  const pod = await agent.untilReady("boxed");
  const id = statusOf(pod, "main").containerID!.replace("containerd://", "");
  const list = JSON.parse(await agent.ctr("containers", "info", id)) as {
    Labels: Record<string, string>;
    Spec: unknown;
  };
  const sandbox = /"io\.kubernetes\.cri\.sandbox-id":"([0-9a-f]+)"/.exec(JSON.stringify(list))![1]!;
  await agent.ctr("tasks", "kill", "--signal", "SIGKILL", sandbox);
  const after = await agent.untilPod(
    "boxed",
    "lives in a new sandbox",
    (p) => isReady(p) && statusOf(p, "main").containerID !== `containerd://${id}`,
  );
  assertEquals(statusOf(after, "main").restartCount, 1);
  assert(!(await agent.ctr("tasks", "list", "-q")).includes(id), "nothing of the old one runs");
  await agent.remove("boxed.yaml");
  await agent.untilGone("boxed");
}

async function checkBackOffSurvives(agent: AgentUnderTest): Promise<void> {
  await agent.write("crash.yaml", podOf("crash", [shell("main", "exit 1")]));
  const backsOff = (p: Pod) =>
    waitingReason(p, "main") === "CrashLoopBackOff" && statusOf(p, "main").restartCount === 1;
  await agent.untilPod("crash", "backs off", backsOff);
  await agent.kill();
  await agent.start();
  const pod = await agent.untilPod("crash", "still backs off", (p) => waitingReason(p, "main") !== undefined);
  assert(backsOff(pod), `it forgot: ${JSON.stringify(pod.status?.containerStatuses)}`);
  await agent.remove("crash.yaml");
  await agent.untilGone("crash");
}

Deno.test("what outlives the agent and its runtime", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await writeAll(agent);
  await t.step("a stop", () => checkLeaving(agent, agent.stop));
  await t.step("kill -9", () => checkLeaving(agent, agent.kill));
  await t.step("edits, removals and exits while it was dead are seen", () => checkMeanwhile(agent));
  await t.step("a back-off", () => checkBackOffSurvives(agent));
  await t.step("the death of containerd", () => checkRuntimeDeath(agent));
  await t.step("the death of a sandbox: the pod gets another", () => checkSandboxDeath(agent));
  await t.step("the death of everything at once: all pods come back", () => checkPowerCut(agent));
});
