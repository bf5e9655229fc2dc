/**
 * A pod's life on real containers: hooks, the order of starts and stops, restart rules, deadlines, and what is left of
 * them after kill -9. Containers tell what they do by lines in a file of the host. Not for: back-off (restarts_test.ts).
 */
import { assert, assertEquals } from "@std/assert";
import type { Container, LifecycleHandler, Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, statusOf } from "./pods.ts";

const shortBackOff = `
apiVersion: agent/v1alpha1
kind: AgentConfiguration
crashLoopBackOff: { initialPeriod: 500ms }
`;

/** Where the containers of one pod write to. */
interface Diary {
  /** Says what a container is doing, in its script. */
  says(what: string): string;
  /** The last word of a container that is told to end. */
  trap(what: string): string;
  container(name: string, script: string, more?: Partial<Container>): Container;
  pod(containers: Container[], spec?: Pod["spec"] | object): Pod;
  lines(): string[];
  set(flag: string): Promise<void>;
  /** When a container last wrote a file of its own, in ms. */
  writtenAt(name: string): number;
}

async function createDiary(agent: AgentUnderTest, name: string): Promise<Diary> {
  const path = `${agent.directory}/diary-${name}`;
  await Deno.mkdir(path);
  const volumeMounts = [{ name: "diary", mountPath: "/diary" }];
  const says = (what: string) => `echo ${what} >> /diary/lines`;
  const trap = (what: string) => `trap '${says(what)}; exit 0' TERM`;
  return {
    says,
    trap,
    container: (own, script, more = {}) => shell(own, script, { volumeMounts, ...more }),
    pod: (containers, spec = {}) =>
      podOf(name, containers, {
        terminationGracePeriodSeconds: 20,
        ...spec,
        volumes: [{ name: "diary", hostPath: { path } }],
      }),
    lines() {
      try {
        return Deno.readTextFileSync(`${path}/lines`).trim().split("\n");
      } catch {
        return [];
      }
    },
    writtenAt: (file) => Deno.statSync(`${path}/${file}`).mtime!.getTime(),
    set: (flag) => Deno.writeTextFile(`${path}/${flag}`, ""),
  };
}

/** Says that it has come, stays, and says when it is told to go. */
const visits = (d: Diary, name: string) =>
  `${d.trap(`-${name}`)}; ${d.says(`+${name}`)}; sleep 100000 & wait`;

const exec = (script: string): LifecycleHandler => ({ exec: { command: ["sh", "-c", script] } });

interface Told {
  message: string;
  /** In ms, to the second below. */
  at: number;
}

async function eventsOf(agent: AgentUnderTest, pod: string, reason: string, message = /./): Promise<Told[]> {
  const { items } = await agent.api<{
    items: { reason: string; message: string; lastTimestamp: string; involvedObject: { name: string } }[];
  }>("/events");
  return items.filter((e) => e.involvedObject.name === pod && e.reason === reason && message.test(e.message))
    .map((e) => ({ message: e.message, at: Date.parse(e.lastTimestamp) }));
}

async function checkHooks(agent: AgentUnderTest): Promise<void> {
  const d = await createDiary(agent, "hooks");
  const bye = `#!/bin/sh\n${d.says("bye-$HTTP_X_WHY")}\necho Status: 404\necho\n`;
  const server = `mkdir -p /www/cgi-bin; printf '${bye.replaceAll("\n", "\\n")}' > /www/cgi-bin/bye
    chmod +x /www/cgi-bin/bye; httpd -p 8080 -h /www; ${visits(d, "web")}`;
  // Who was knocked at tells of it in its own time: the end waits for that, and is in vain where nobody knocks.
  const last = `until grep -q knocked /diary/lines; do sleep 0.05; done; ${d.says("-tcp")}; exit 0`;
  const listener = `nc -l -p 7070 -e sh -c '${d.says("knocked")}' &
    trap '${last}' TERM; ${d.says("+tcp")}; sleep 100000 & wait $!`;
  await agent.write(
    "hooks.yaml",
    d.pod([
      d.container("first", visits(d, "first"), {
        lifecycle: {
          postStart: exec(`until grep -q +first /diary/lines; do sleep 0.05; done; ${d.says("started")}`),
          preStop: exec(`sleep 0.3; ${d.says("stopping")}`),
        },
      }),
      d.container("web", server, {
        ports: [{ name: "http", containerPort: 8080 }],
        lifecycle: {
          preStop: {
            httpGet: { port: "http", path: "/cgi-bin/bye", httpHeaders: [{ name: "X-Why", value: "end" }] },
          },
        },
      }),
      d.container("tcp", listener, {
        lifecycle: { preStop: { tcpSocket: { port: 7070 } } },
      }),
      d.container(
        "sleeper",
        `trap 'touch /diary/sleeper-end; exit 0' TERM; ${d.says("+sleeper")}; sleep 100000 & wait`,
        { lifecycle: { preStop: { sleep: { seconds: 2 } } } },
      ),
    ]),
  );
  await agent.untilReady("hooks");
  await until("all have come", () => d.lines().filter((l) => l.startsWith("+")).length === 4);
  assertEquals(
    d.lines().slice(0, 2),
    ["+first", "started"],
    "nobody else starts before the postStart hook has run",
  );
  await agent.remove("hooks.yaml");
  await agent.untilGone("hooks");
  const lines = d.lines();
  const before = (a: string, b: string) =>
    assert(lines.indexOf(a) >= 0 && lines.indexOf(a) < lines.indexOf(b), `${a} before ${b} in ${lines}`);
  before("stopping", "-first");
  before("bye-end", "-web");
  before("knocked", "-tcp");
  const [{ at }] = await eventsOf(agent, "hooks", "Killing", /sleeper/) as [Told];
  const slept = d.writtenAt("sleeper-end") - at;
  assert(slept >= 2000, `the stop signal came after the sleep: ${slept} ms`);
}

async function checkFailingHooks(agent: AgentUnderTest): Promise<void> {
  const d = await createDiary(agent, "badhooks");
  await agent.write(
    "badhooks.yaml",
    d.pod([d.container("main", visits(d, "main"), {
      lifecycle: { postStart: exec("echo secret; exit 7"), preStop: exec("exit 8") },
    })], { restartPolicy: "Never" }),
  );
  const pod = await agent.untilEnded("badhooks");
  assertEquals(
    [pod.status?.phase, statusOf(pod, "main").restartCount],
    ["Succeeded", 0],
    "it ended well when told to",
  );
  const told = async (reason: string) => (await eventsOf(agent, "badhooks", reason)).map((e) => e.message);
  assertEquals(await told("FailedPostStartHook"), [
    "PostStartHook failed: the command ended with exit code 7",
  ]);
  assertEquals(await told("FailedPreStopHook"), [
    "PreStopHook failed: the command ended with exit code 8",
  ]);
  await agent.remove("badhooks.yaml");
}

async function checkEndlessHooks(agent: AgentUnderTest): Promise<void> {
  const d = await createDiary(agent, "endless");
  const stays = (name: string) =>
    d.container(name, `trap 'touch /diary/${name}-told' TERM; ${d.says("+")}; while :; do sleep 0.1; done`, {
      restartPolicy: "Always",
      lifecycle: { preStop: exec(`while :; do touch /diary/${name}-hook; sleep 0.1; done`) },
    });
  const spec = { initContainers: [stays("s1"), stays("s2")], terminationGracePeriodSeconds: 2 };
  await agent.write("endless.yaml", d.pod([d.container("main", visits(d, "main"))], spec));
  await agent.untilReady("endless");
  await until("all have come", () => d.lines().length === 3);
  await agent.remove("endless.yaml");
  await agent.untilGone("endless");
  const told = d.writtenAt("s1-told");
  assert(Math.abs(told - d.writtenAt("s2-told")) < 1000, "both were told together");
  for (const name of ["s1", "s2"]) {
    const beyond = d.writtenAt(`${name}-hook`) - told;
    assert(beyond > 1000, `the hook of ${name} went on until its container was killed: ${beyond} ms`);
  }
}

async function checkSidecars(agent: AgentUnderTest): Promise<void> {
  const restartPolicy = "Always";
  const orders = await Promise.all(["removed", "completed"].map(async (name) => {
    const d = await createDiary(agent, name);
    const leaves = "until [ -e /diary/go ]; do sleep 0.05; done";
    await agent.write(
      `${name}.yaml`,
      d.pod([
        d.container(
          "app",
          name === "removed" ? visits(d, "app") : `${d.says("+app")}; ${leaves}; ${d.says("-app")}`,
        ),
      ], {
        restartPolicy: "Never",
        initContainers: [
          d.container("s1", visits(d, "s1"), { restartPolicy }),
          d.container("init", d.says("init")),
          d.container("s2", `sleep 0.5; ${visits(d, "s2")}`, {
            restartPolicy,
            startupProbe: { exec: { command: ["grep", "-q", "+s2", "/diary/lines"] }, periodSeconds: 1 },
          }),
        ],
      }),
    );
    await agent.untilReady(name);
    await until(`${name} is complete`, () => d.lines().includes("+app"));
    if (name === "removed") await agent.remove("removed.yaml");
    else await d.set("go");
    await (name === "removed"
      ? agent.untilGone(name)
      : agent.untilPod(name, "is over", (p) =>
        p.status?.phase === "Succeeded" && statusOf(p, "s1").state?.terminated !== undefined));
    return d.lines();
  }));
  for (const order of orders) assertEquals(order, ["+s1", "init", "+s2", "+app", "-app", "-s2", "-s1"]);
  await agent.remove("completed.yaml");
}

async function checkRules(agent: AgentUnderTest): Promise<void> {
  const d = await createDiary(agent, "rules");
  const script = `${d.says("main")}; case $(grep -c main /diary/lines) in 1) exit 3;; 2) exit 42;; esac; ${
    visits(d, "main")
  }`;
  await agent.write(
    "rules.yaml",
    d.pod([
      d.container("main", script, {
        restartPolicy: "Never",
        restartPolicyRules: [
          { action: "Restart", exitCodes: { operator: "In", values: [3] } },
          { action: "RestartAllContainers", exitCodes: { operator: "NotIn", values: [0, 1, 3] } },
        ],
      }),
      d.container("other", "trap 'exit 0' TERM; sleep 100000 & wait"),
      d.container("again", "trap 'exit 0' TERM; until [ -e /diary/again ]; do sleep 0.05; done; exit 1", {
        restartPolicy: "OnFailure",
      }),
    ], { restartPolicy: "Never", initContainers: [d.container("init", d.says("init"))] }),
  );
  const first = await agent.untilPod("rules", "has an address", (p) => p.status?.podIP !== undefined);
  const pod = await agent.untilPod(
    "rules",
    "has restarted in place",
    (p) => statusOf(p, "main").restartCount === 2 && statusOf(p, "main").state?.running !== undefined,
  );
  const counts = ["init", "main", "other", "again"].map((name) => statusOf(pod, name).restartCount);
  assertEquals(counts, [1, 2, 1, 1]);
  assertEquals(d.lines().slice(0, 5), ["init", "main", "main", "init", "main"]);
  assertEquals(pod.status?.podIP, first.status?.podIP, "the sandbox stays");
  await d.set("again");
  await agent.untilPod("rules", "restarts by its own policy", (p) => statusOf(p, "again").restartCount >= 2);
  await agent.remove("rules.yaml");
  await agent.untilGone("rules");
}

async function checkDeadline(agent: AgentUnderTest): Promise<void> {
  const d = await createDiary(agent, "deadline");
  const pod = (activeDeadlineSeconds: number) =>
    d.pod([d.container("main", visits(d, "main"))], { activeDeadlineSeconds });
  await agent.write("deadline.yaml", pod(4));
  const { status } = await agent.untilReady("deadline");
  await agent.kill();
  await agent.start();
  const ended = await agent.untilEnded("deadline");
  assertEquals([ended.status?.phase, ended.status?.reason], ["Failed", "DeadlineExceeded"]);
  assertEquals(ended.status?.startTime, status?.startTime, "the start time has outlived the agent");
  const lasted = Date.now() - Date.parse(status!.startTime!);
  assert(lasted >= 4000 && lasted < 8000, `ended after ${lasted} ms`);
  assertEquals(d.lines(), ["+main", "-main"]);
  await agent.kill();
  await agent.start();
  assertEquals((await agent.untilEnded("deadline")).status?.reason, "DeadlineExceeded");
  await agent.write("deadline.yaml", pod(3600));
  await agent.untilReady("deadline");
  await until("an edit has given it a new life", () => d.lines().length > 2);
  assertEquals(d.lines(), ["+main", "-main", "+main"]);
  await agent.remove("deadline.yaml");
}

async function checkLostSandbox(agent: AgentUnderTest): Promise<void> {
  const d = await createDiary(agent, "lost");
  await agent.write(
    "lost.yaml",
    d.pod([d.container("main", visits(d, "main"))], {
      initContainers: [
        d.container("init", d.says("init")),
        d.container("side", visits(d, "side"), { restartPolicy: "Always" }),
      ],
    }),
  );
  const pod = await agent.untilReady("lost");
  await until("all have come", () => d.lines().length === 3);
  const info = JSON.parse(
    await agent.ctr("containers", "info", statusOf(pod, "main").containerID!.replace("containerd://", "")),
  );
  await agent.ctr(
    "tasks",
    "kill",
    "--signal",
    "SIGKILL",
    info.Spec.annotations["io.kubernetes.cri.sandbox-id"],
  );
  const again = await agent.untilPod(
    "lost",
    "is back",
    (p) => statusOf(p, "main").restartCount === 1 && statusOf(p, "main").state?.running !== undefined,
  );
  assertEquals(["init", "side", "main"].map((name) => statusOf(again, name).restartCount), [1, 1, 1]);
  await until("all have come again", () => d.lines().filter((l) => !l.startsWith("-")).length === 6);
  const came = d.lines().filter((l) => !l.startsWith("-"));
  assertEquals(came, ["init", "+side", "+main", "init", "+side", "+main"]);
  await agent.remove("lost.yaml");
}

async function checkKilledInHook(agent: AgentUnderTest): Promise<void> {
  const d = await createDiary(agent, "cut");
  const waits = `${d.says("begin")}; until [ -e /diary/go ]; do sleep 0.05; done; ${d.says("end")}`;
  await agent.write(
    "cut.yaml",
    d.pod([d.container("main", visits(d, "main"), { lifecycle: { preStop: exec(waits) } })]),
  );
  await agent.untilReady("cut");
  await until("it has come", () => d.lines().length === 1);
  await agent.remove("cut.yaml");
  await until("the hook has begun", () => d.lines().includes("begin"));
  await agent.kill();
  await agent.start();
  await until("the hook has begun again", () => d.lines().filter((l) => l === "begin").length === 2);
  assert(!d.lines().includes("-main"), "no stop signal before the hook has ended");
  await d.set("go");
  await until("it has been told to go", () => d.lines().includes("-main"));
  assert(d.lines().indexOf("end") < d.lines().indexOf("-main"));
}

Deno.test("lives of pods", async (t) => {
  await using agent = await createAgent({ config: shortBackOff });
  await agent.start();
  const step = (name: string, check: (agent: AgentUnderTest) => Promise<void>) =>
    t.step(name, () => check(agent));
  await step("lifecycle hooks: postStart and preStop by exec, httpGet, tcpSocket and sleep", checkHooks);
  await step("a lifecycle hook that fails is told, and the stop goes on", checkFailingHooks);
  await step("preStop hooks that never end go on to the kill, of all sidecars together", checkEndlessHooks);
  await step(
    "sidecars (initContainers with restartPolicy Always) start in order and stop last, in reverse",
    checkSidecars,
  );
  await step("restartPolicy and restartPolicyRules of single containers, exitCodes In and NotIn", checkRules);
  await step("activeDeadlineSeconds outlive the agent; an edit gives a new life", checkDeadline);
  await step("initContainers run again after a sandbox was lost", checkLostSandbox);
  await step(
    "kill -9 in the middle of a preStop hook: the next agent runs it again, then stops",
    checkKilledInHook,
  );
});
