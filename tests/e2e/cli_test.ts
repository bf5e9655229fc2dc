/** The command line against a running agent: what it prints, writes and returns. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, binary, createAgent, output } from "./agent.ts";
import { until } from "./containerd.ts";
import { configMap, podOf, shell, stay } from "./pods.ts";

async function writeInput(agent: AgentUnderTest, name: string, ...documents: object[]): Promise<string> {
  const path = `${agent.directory}/${name}`;
  await Deno.writeTextFile(path, documents.map((d) => JSON.stringify(d, null, 1)).join("\n---\n"));
  return path;
}

/** Runs a command that must succeed. */
async function good(agent: AgentUnderTest, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await agent.cli(...args);
  assertEquals(code, 0, `agent ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** Runs a command that must fail with this status, and returns what it complained. */
async function bad(agent: AgentUnderTest, status: number, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await agent.cli(...args);
  assertEquals(code, status, `agent ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout + stderr;
}

async function checkApply(agent: AgentUnderTest): Promise<void> {
  const web = podOf("web", [
    shell("main", `echo first; echo second; ${stay}`),
    shell("side", `echo aside; ${stay}`),
  ]);
  const path = await writeInput(agent, "web.json", configMap("settings", { a: "1" }), web);
  assertMatch(await good(agent, "apply", "-f", path, "--dry-run"), /web/);
  assertEquals([...Deno.readDirSync(agent.manifests)].length, 0, "a dry run writes nothing");
  const said = await agent.cli("apply", "-f", path, "--wait");
  assertEquals(said.code, 0, said.stderr);
  assertMatch(await good(agent, "get", "pods"), /^web +2\/2 +Running +0 /m);

  const broken = await writeInput(agent, "broken.json", { ...web, spec: { containers: [{ nmae: "x" }] } });
  const before = [...Deno.readDirSync(agent.manifests)].map((e) => e.name).sort();
  assertMatch(await bad(agent, 1, "apply", "-f", broken), /broken\.json:\d+.*nmae/);
  assertEquals([...Deno.readDirSync(agent.manifests)].map((e) => e.name).sort(), before);
  assertMatch(await bad(agent, 1, "check", broken), /broken\.json:\d+:\d+:.*nmae.*name/);
  assertMatch(await good(agent, "check", path), /No problems/);
  const { problems } = JSON.parse(await bad(agent, 1, "check", "-o", "json", broken)) as {
    problems: { field: string; line: number }[];
  };
  assert(problems.some((p) => p.field.includes("containers[0]") && p.line > 0), JSON.stringify(problems));
  assertStringIncludes(await bad(agent, 2, "apply"), "-f FILE");
}

async function checkGet(agent: AgentUnderTest): Promise<void> {
  await agent.untilReady("web");
  const pod = JSON.parse(await good(agent, "get", "pod", "web", "-o", "json")) as Pod;
  assertEquals([pod.kind, pod.metadata?.name, pod.status?.phase], ["Pod", "web", "Running"]);
  const list = JSON.parse(await good(agent, "get", "pods", "-o", "json")) as { kind: string; items: Pod[] };
  assertEquals([list.kind, list.items.length], ["List", 1]);
  assertMatch(await good(agent, "get", "pods", "web", "-o", "yaml"), /^kind: Pod$/m);
  assertEquals(await good(agent, "get", "pods", "-o", "name"), "pod/web\n");
  assertStringIncludes(await good(agent, "get", "pods", "-o", "wide"), pod.status!.podIP!);
  assertEquals(await good(agent, "get", "cm", "-o", "name"), "configmap/settings\n");
  assertMatch(await good(agent, "get", "events"), /Started container main/);
  assertMatch(await bad(agent, 1, "get", "pod", "nowhere"), /"nowhere" not found/);
  assertMatch(await bad(agent, 2, "get", "nonsense"), /nonsense/);
  const described = await good(agent, "describe", "pod", "web");
  for (const part of ["web", "main", "side", pod.status!.podIP!, "Started container side"]) {
    assertStringIncludes(described, part);
  }
  const status = await good(agent, "status");
  assertMatch(status, /^Problems +none$/m);
  assertMatch(status, /^default +web +2\/2 +Running /m);
  const images = await good(agent, "images");
  assertMatch(images, /^localhost\/agent\/demo +1 /m);
}

async function checkLogs(agent: AgentUnderTest): Promise<void> {
  await agent.untilLog("web", "main", /second\n/);
  const defaulted = await agent.cli("logs", "web");
  assertEquals([defaulted.stdout, defaulted.code], ["first\nsecond\n", 0]);
  assertMatch(defaulted.stderr, /Defaulted container "main" out of: main, side/);
  assertEquals(await good(agent, "logs", "web", "-c", "side"), "aside\n");
  assertEquals(await good(agent, "logs", "web", "-c", "main", "--tail=1"), "second\n");
  assertMatch(
    await good(agent, "logs", "web", "-c", "main", "--timestamps"),
    /^\d{4}-\d\d-\d\dT\S+Z first\n/,
  );
  assertEquals(await good(agent, "logs", "web", "-c", "main", "--since=1h"), "first\nsecond\n");
  assertMatch(await bad(agent, 1, "logs", "web", "-c", "none"), /main, side/);
  assertMatch(await bad(agent, 1, "logs", "nowhere"), /nowhere/);
  assertMatch(await bad(agent, 1, "logs", "web", "-c", "main", "--previous"), /previous/);

  const gate = `${agent.directory}/gate`;
  await Deno.mkdir(gate);
  const script = "echo begin; until [ -e /gate/open ]; do sleep 0.05; done; echo end";
  await agent.write(
    "follow.yaml",
    podOf("follow", [shell("main", script, { volumeMounts: [{ name: "gate", mountPath: "/gate" }] })], {
      restartPolicy: "Never",
      volumes: [{ name: "gate", hostPath: { path: gate } }],
    }),
  );
  await agent.untilReady("follow");
  await using follower = agent.cliSpawn("logs", "-f", "follow");
  await until("the follower has the beginning", () => follower.stdout() === "begin\n");
  await Deno.writeTextFile(`${gate}/open`, "");
  assertEquals((await follower.status).code, 0, "it ends with the container");
  assertEquals(follower.stdout(), "begin\nend\n");
  await agent.remove("follow.yaml");
}

async function checkWatch(agent: AgentUnderTest): Promise<void> {
  await agent.untilGone("follow");
  await using watcher = agent.cliSpawn("get", "pods", "-w");
  await until("it shows what is there", () => watcher.stdout().includes("web"));
  await agent.write("passing.yaml", podOf("passing", [shell("main", stay)]));
  await until("it shows what comes", () => /^passing +1\/1 +Running /m.test(watcher.stdout()));
  await agent.remove("passing.yaml");
  await until("it shows what goes", () => /^passing +\S+ +Terminating /m.test(watcher.stdout()));
  await agent.untilGone("passing");
}

async function checkDelete(agent: AgentUnderTest): Promise<void> {
  assertEquals((await agent.cli("delete", "pod", "web", "--wait")).code, 0);
  assertEquals(await agent.pods(), []);
  assertEquals(await good(agent, "get", "cm", "-o", "name"), "configmap/settings\n", "its neighbour stays");
  await good(agent, "delete", "cm", "settings");
  await until("it is gone", async () => (await agent.cli("get", "cm", "-o", "name")).stdout === "");
  assertMatch(await bad(agent, 1, "delete", "pod", "web"), /default\/web is described by no file/);
  assertEquals([...Deno.readDirSync(agent.manifests)], []);
}

async function checkOthers(agent: AgentUnderTest): Promise<void> {
  const version = await output(binary, ["version"]);
  assertMatch(version.stdout, /^agent \d+\.\d+\.\d+ \(commit \S+, deno \d+\.\d+\.\d+, \S+\)/);
  assertMatch(
    (await output(binary, ["config", ...agent.flags])).stdout,
    new RegExp(`^rootDir +${agent.root} +flag --root-dir$`, "m"),
  );
  for (const shellName of ["bash", "zsh", "fish"]) {
    assertStringIncludes(await good(agent, "completion", shellName), "agent");
  }
  const typo = await bad(agent, 2, "statsu");
  assertStringIncludes(typo, "status");
  assertMatch(await bad(agent, 2, "get", "pods", "--nonsense"), /--nonsense/);
}

Deno.test("the command line", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step("apply and check", () => checkApply(agent));
  await t.step("get, describe, status, images", () => checkGet(agent));
  await t.step("logs", () => checkLogs(agent));
  await t.step("get -w", () => checkWatch(agent));
  await t.step("delete", () => checkDelete(agent));
  await t.step("version, config, completion, typing errors", () => checkOthers(agent));
  await t.step("without an agent it says where it looked", async () => {
    await agent.stop();
    assertStringIncludes(await bad(agent, 1, "status"), agent.socket);
  });
});
