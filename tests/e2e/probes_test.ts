/** Probes on real containers: what they gate, what their failure brings, and that a new agent does not forget. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Container, Pod, Probe } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { startHealthServer } from "../fakes/grpc_health.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";

/** A directory on the host whose files tell the probes what to answer. */
interface Flags {
  readonly mount: Partial<Container>;
  readonly spec: { volumes: { name: string; hostPath: { path: string } }[] };
  set(name: string): Promise<void>;
  clear(name: string): Promise<void>;
  /** How often a probe that writes to this file has been run. */
  count(name: string): number;
}

async function createFlags(agent: AgentUnderTest): Promise<Flags> {
  const path = `${agent.directory}/flags`;
  await Deno.mkdir(path);
  return {
    mount: { volumeMounts: [{ name: "flags", mountPath: "/flags" }] },
    spec: { volumes: [{ name: "flags", hostPath: { path } }] },
    set: (name) => Deno.writeTextFile(`${path}/${name}`, ""),
    clear: (name) => Deno.remove(`${path}/${name}`),
    count(name) {
      try {
        return Deno.readTextFileSync(`${path}/${name}`).length;
      } catch {
        return 0;
      }
    },
  };
}

/** Succeeds while the flag is there; leaves a mark for each time it is run. */
const asks = (flag: string, more: Partial<Probe> = {}): Probe => ({
  exec: {
    command: [
      "sh",
      "-c",
      `printf x >> /flags/asked-${flag}; test -f /flags/${flag} || { echo no ${flag}; false; }`,
    ],
  },
  periodSeconds: 1,
  timeoutSeconds: 5,
  ...more,
});

interface Told {
  reason: string;
  message: string;
  involvedObject: { name: string };
}

async function eventsOf(agent: AgentUnderTest, name: string): Promise<Told[]> {
  const { items } = await agent.api<{ items: Told[] }>("/events");
  return items.filter((e) => e.involvedObject.name === name);
}

const untilAsked = (flags: Flags, flag: string, times: number) =>
  until(
    `${flag} is asked ${times} times more`,
    ((from) => () => flags.count(`asked-${flag}`) >= from + times)(
      flags.count(`asked-${flag}`),
    ),
  );

const readyPod = (flags: Flags) =>
  podOf("ready", [
    shell("main", stay, { ...flags.mount, readinessProbe: asks("ready", { failureThreshold: 2 }) }),
  ], flags.spec);

async function checkReadiness(agent: AgentUnderTest, flags: Flags): Promise<void> {
  await agent.write("ready.yaml", readyPod(flags));
  await untilAsked(flags, "ready", 2);
  const waiting = await agent.untilPod("ready", "runs", (p) => p.status?.phase === "Running");
  assertEquals([statusOf(waiting, "main").ready, statusOf(waiting, "main").started], [false, true]);
  const condition = waiting.status?.conditions?.find((c) => c.type === "Ready");
  assertEquals([condition?.reason, condition?.message], [
    "ContainersNotReady",
    "containers with unready status: [main]",
  ]);
  await flags.set("ready");
  const ready = await agent.untilReady("ready");
  await flags.clear("ready");
  const after = await agent.untilPod("ready", "is unready again", (p) => !isReady(p));
  assertEquals(
    statusOf(after, "main").containerID,
    statusOf(ready, "main").containerID,
    "nothing is restarted",
  );
  const told = (await eventsOf(agent, "ready")).find((e) => e.reason === "Unhealthy");
  assertEquals(told?.message, "Readiness probe failed: no ready\n");
  await flags.set("ready");
  await agent.untilReady("ready");
}

async function checkLiveness(agent: AgentUnderTest, flags: Flags): Promise<void> {
  const livenessProbe = asks("alive", { failureThreshold: 2, terminationGracePeriodSeconds: 1 });
  await flags.set("alive");
  // The first process of a container ignores TERM unless it asks for it.
  const deafOnce = "[ -e /flags/again ] && trap 'exit 0' TERM; touch /flags/again; sleep 100000 & wait";
  await agent.write(
    "live.yaml",
    podOf("live", [shell("main", deafOnce, { ...flags.mount, livenessProbe })], {
      ...flags.spec,
      terminationGracePeriodSeconds: 600,
    }),
  );
  const before = await agent.untilReady("live");
  await untilAsked(flags, "alive", 3);
  assertEquals(statusOf((await agent.pod("live"))!, "main").restartCount, 0);
  await flags.clear("alive");
  const after = await agent.untilPod("live", "is restarted", (p) => statusOf(p, "main").restartCount === 1);
  assertEquals(statusOf(after, "main").lastState?.terminated?.exitCode, 137);
  assertEquals(after.status?.podIP, before.status?.podIP);
  const told = (await eventsOf(agent, "live")).map((e) => `${e.reason}: ${e.message}`);
  assert(told.includes("Unhealthy: Liveness probe failed: no alive\n"), told.join("\n"));
  assert(told.includes("Killing: Container main failed liveness probe, will be restarted"), told.join("\n"));
  await flags.set("alive");
  await agent.remove("live.yaml");
}

async function checkStartup(agent: AgentUnderTest, flags: Flags): Promise<void> {
  const slow = shell("main", stay, {
    ...flags.mount,
    startupProbe: asks("started", { failureThreshold: 100 }),
    livenessProbe: asks("started-too", { failureThreshold: 1, periodSeconds: 60 }),
  });
  const sidecar = shell("side", stay, {
    ...flags.mount,
    restartPolicy: "Always",
    startupProbe: asks("side", { failureThreshold: 100 }),
  });
  await agent.write(
    "slow.yaml",
    podOf("slow", [slow], flags.spec),
    podOf("ordered", [shell("main", stay)], { ...flags.spec, initContainers: [sidecar] }),
  );
  await untilAsked(flags, "started", 3);
  await untilAsked(flags, "side", 3);
  const held = await agent.untilPod("slow", "runs", (p) => p.status?.phase === "Running");
  const { started, ready, restartCount } = statusOf(held, "main");
  assertEquals([started, ready, restartCount, flags.count("asked-started-too")], [false, false, 0, 0]);
  const ordered = (await agent.pod("ordered"))!;
  assertEquals(statusOf(ordered, "side").started, false);
  assertEquals(statusOf(ordered, "main").state?.waiting?.reason, "PodInitializing");
  for (const flag of ["started-too", "started", "side"]) await flags.set(flag);
  await Promise.all([agent.untilReady("slow"), agent.untilReady("ordered")]);
  await until("liveness is asked", () => flags.count("asked-started-too") > 0);
  assertEquals(statusOf((await agent.pod("slow"))!, "main").restartCount, 0);
}

const webPod = (): Pod =>
  podOf("web", [
    shell("main", "mkdir /www; echo hello > /www/index.html; httpd -p 8080 -h /www; " + stay, {
      ports: [{ name: "http", containerPort: 8080 }],
      readinessProbe: { httpGet: { port: "http" }, periodSeconds: 1 },
      livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, initialDelaySeconds: 1 },
    }),
    shell("stuck", stay, {
      readinessProbe: { exec: { command: ["sleep", "3000"] }, periodSeconds: 1, timeoutSeconds: 1 },
    }),
    shell("lost", stay, { readinessProbe: { httpGet: { port: 8080, path: "/missing" }, periodSeconds: 1 } }),
  ]);

async function checkNetwork(agent: AgentUnderTest): Promise<void> {
  await agent.write("web.yaml", webPod());
  const pod = await agent.untilPod("web", "the server is ready", (p) => statusOf(p, "main").ready);
  const told = (text: string) =>
    until(text, async () => (await eventsOf(agent, "web")).some((e) => e.message === text));
  await told("Readiness probe failed: HTTP probe failed with statuscode: 404");
  await told('Readiness probe failed: command "sleep 3000" timed out after 1s');
  assertEquals([statusOf(pod, "lost").ready, isReady(pod)], [false, false]);
  assertMatch((await agent.cli("get", "pods")).stdout, /^web +1\/3 +Running +0 /m);
  const story = (await agent.cli("describe", "pod", "web")).stdout;
  assertMatch(story, /Liveness: +tcp-socket :8080 .*\n +Last Result: +success \d+s ago \(\d+ in a row\)/);
  assertMatch(
    story,
    /Last Result: +failure \d+s ago \(.* in a row\): HTTP probe failed with statuscode: 404/,
  );
}

/** A server beside the pod, on the node's own address, which the pod has with hostNetwork. */
async function checkGrpc(agent: AgentUnderTest): Promise<void> {
  let status = 2;
  const server = await startHealthServer((service) => service === "shop" ? status : 3, "0.0.0.0");
  try {
    const readinessProbe = { grpc: { port: server.port, service: "shop" }, periodSeconds: 1 };
    const pod = podOf("grpc", [shell("main", stay, { readinessProbe })], { hostNetwork: true });
    await agent.write("grpc.yaml", pod);
    const text = 'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")';
    await until(text, async () => (await eventsOf(agent, "grpc")).some((e) => e.message === text));
    assertEquals(isReady((await agent.pod("grpc"))!), false);
    status = 1;
    await agent.untilReady("grpc");
  } finally {
    server.stop();
    await agent.remove("grpc.yaml");
  }
}

/** Started and ready, by container, of all pods that a look shows. */
const verdictsOf = (pods: Pod[]): Record<string, string> =>
  Object.fromEntries(
    pods.flatMap((p) =>
      [...p.status?.initContainerStatuses ?? [], ...p.status?.containerStatuses ?? []].map((c) => [
        `${p.metadata?.name}/${c.name}`,
        `${c.started ? "started" : "held"} ${c.ready ? "ready" : "unready"}`,
      ])
    ),
  );

/** The world cannot tell what probes have said: each container stays as it was until its probes say otherwise. */
async function checkNewAgent(agent: AgentUnderTest, flags: Flags): Promise<void> {
  const held = shell("main", stay, {
    ...flags.mount,
    startupProbe: asks("never", { failureThreshold: 1000 }),
  });
  await agent.write("held.yaml", podOf("held", [held], flags.spec));
  await untilAsked(flags, "never", 1);
  await flags.clear("ready");
  await agent.untilPod("ready", "is unready", (p) => !isReady(p));
  const before = verdictsOf(await agent.pods());
  assertEquals(
    [before["held/main"], before["ready/main"], before["slow/main"], before["web/main"], before["web/lost"]],
    ["held unready", "started unready", "started ready", "started ready", "started unready"],
  );
  for (const end of [agent.kill, agent.stop]) {
    await end();
    await agent.start();
    const from = [flags.count("asked-never"), flags.count("asked-ready")];
    const [never, ready] = from as [number, number];
    await until("the new agent asks", async () => {
      const seen = verdictsOf(await agent.pods());
      for (const [name, verdict] of Object.entries(seen)) assertEquals(verdict, before[name], name);
      return Object.keys(seen).length === Object.keys(before).length &&
        flags.count("asked-never") >= never + 2 && flags.count("asked-ready") >= ready + 2;
    });
  }
  await flags.set("ready");
  await flags.set("never");
  await Promise.all([agent.untilReady("ready"), agent.untilReady("held")]);
  const restarts = (await agent.pods()).flatMap((p) =>
    p.status?.containerStatuses?.map((c) => c.restartCount)
  );
  assertEquals(new Set(restarts), new Set([0]));
}

// grpc-js keeps timers and sockets beyond the test.
Deno.test({ name: "probes", sanitizeOps: false, sanitizeResources: false }, async (t) => {
  await using agent = await createAgent();
  await agent.start();
  const flags = await createFlags(agent);
  await t.step("readiness comes and goes, and restarts nothing", () => checkReadiness(agent, flags));
  await t.step(
    "a failed liveness probe restarts, with the probe's own grace",
    () => checkLiveness(agent, flags),
  );
  await t.step(
    "liveness and a sidecar's successors wait for the startup probe",
    () => checkStartup(agent, flags),
  );
  await t.step("a web server is asked on the pod's address", () => checkNetwork(agent));
  await t.step("a grpc server is asked for its health", () => checkGrpc(agent));
  await t.step("an agent that is killed or stopped changes no readiness", () => checkNewAgent(agent, flags));
});
