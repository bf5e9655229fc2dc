/** `agent debug` and `agent restart` of the built binary: what they leave as it is, and what a crash does not change. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, demoImage } from "./agent.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";
import { cliWith, inTerminal } from "./terminal.ts";

const mount = [{ name: "page", mountPath: "/page" }];

const ephemeral = (pod: Pod, name: string) =>
  pod.status?.ephemeralContainerStatuses?.find((status) => status.name === name);

const untilRuns = (agent: AgentUnderTest, name: string) =>
  agent.untilPod("web", `${name} runs`, (pod) => ephemeral(pod, name)?.state?.running !== undefined);

Deno.test("debug: ephemeral containers see their target, end once, outlive a crash and a restart, and go with the pod", async () => {
  await using agent = await createAgent();
  await agent.start();
  const app = shell("app", `date +%s%N >>/page/starts; ${stay}`, { volumeMounts: mount });
  await agent.write(
    "web.yaml",
    podOf("web", [app, shell("side", stay)], { volumes: [{ name: "page", emptyDir: {} }] }),
  );
  const before = await agent.untilReady("web");
  const idOf = (pod: Pod, name: string) => statusOf(pod, name).containerID;

  {
    const line = `debug -it web --image ${demoImage} --target app -c shell --profile sysadmin -- sh`;
    await using terminal = inTerminal(agent, line);
    await terminal.shows(/pressing enter/);
    await terminal.press("\r");
    await terminal.press("ps | grep -c 'sleep 10000[0]'; grep CapEff /proc/self/status; echo is $((6*7))\r");
    await terminal.shows(/is 42\r\n/);
    // The target's shell and its child, nothing of the other container.
    assertMatch(terminal.text(), /\n2\r\nCapEff:\s+0*[1-9a-f]/);
    await terminal.press("exit 5\r");
    assertEquals(await terminal.ended(), 5, terminal.text());
  }
  const script = new TextEncoder().encode("ps | grep -c 'sleep 10000[0]'; id -u >&2; exit 7\n");
  const piped = await cliWith(script, agent, ...["debug", "-qi", "web", "--image", demoImage, "--", "sh"]);
  assertEquals([piped.code, new TextDecoder().decode(piped.stdout), piped.stderr], [7, "0\n", "0\n"]);

  // What is written before anybody is attached is not lost.
  for (const how of ["-qi", "--attach"]) {
    const short = ["debug", "web", how, "-q", "--image", demoImage, "--", "sh", "-c", "echo said; exit 3"];
    const { code, stdout, stderr } = await cliWith(new Uint8Array(), agent, ...short);
    assertEquals([code, new TextDecoder().decode(stdout)], [3, "said\n"], `${how}: ${stderr}`);
  }

  const custom = `${agent.directory}/custom.yaml`;
  await Deno.writeTextFile(custom, `volumeMounts: ${JSON.stringify(mount)}\n`);
  const added = await agent.cli(
    ...["debug", "web", "--image", demoImage, "-c", "long", "--custom", custom, "--env", "WORD=hello"],
    ...["--", "sh", "-c", `echo $WORD; echo $WORD >/page/word; ${stay}`],
  );
  assertEquals(added, { code: 0, stdout: "", stderr: "" });
  const running = ephemeral(await untilRuns(agent, "long"), "long")!;
  await agent.untilLog("web", "long", /^hello\n$/);
  assertEquals(ephemeral((await agent.pod("web"))!, "shell")?.state?.terminated?.exitCode, 5);
  const taken = await agent.cli("debug", "web", "--image", demoImage, "-c", "app");
  assertEquals([taken.code, taken.stderr], [1, "Error: name: the pod has a container app already\n"]);

  const wrong = await agent.cli(
    "debug",
    "web",
    "--image",
    demoImage,
    "-c",
    "wrong",
    "--attach",
    "--",
    "no-such-program",
  );
  assertEquals(wrong.code, 1);
  assertMatch(wrong.stderr, /^Error: container wrong does not start: .*no-such-program/);

  await agent.kill();
  await agent.start();
  const adopted = await untilRuns(agent, "long");
  assertEquals(ephemeral(adopted, "long")?.containerID, running.containerID);
  assertEquals([idOf(adopted, "app"), idOf(adopted, "side")], [idOf(before, "app"), idOf(before, "side")]);
  assertEquals(ephemeral(adopted, "wrong")?.state?.terminated?.reason, "StartError");
  assertEquals(adopted.spec?.ephemeralContainers?.map((c) => c.name).includes("shell"), true);

  const one = await agent.cli("restart", "web/app", "--wait");
  assertEquals([one.code, one.stdout], [0, ""], one.stderr);
  const after = (await agent.pod("web"))!;
  assert(idOf(after, "app") !== idOf(before, "app"));
  assertEquals(idOf(after, "side"), idOf(before, "side"));
  const all = await agent.cli("restart", "web", "--wait");
  assertEquals(all.code, 0, all.stderr);
  const last = (await agent.pod("web"))!;
  assert(idOf(last, "app") !== idOf(after, "app") && idOf(last, "side") !== idOf(before, "side"));
  assertEquals(last.status?.podIP, before.status?.podIP);
  assertEquals(ephemeral(last, "long")?.containerID, running.containerID);
  const page = await agent.cli(
    "exec",
    "web",
    "-c",
    "long",
    "--",
    "sh",
    "-c",
    "cat /page/word; busybox wc -l </page/starts",
  );
  assertEquals(page.stdout, "hello\n3\n");
  const { stdout: events } = await agent.cli("events", "--for", "pod/web");
  assertMatch(events, /RestartRequested +pod\/web +.*agent restart.* asked to restart container app\n/);
  assertStringIncludes(events, "asked to restart all containers");

  await agent.remove("web.yaml");
  await agent.untilGone("web");
});
