/** A runtime that hangs, drips, babbles or hangs up: the node says so, nothing of the agent waits for it, all goes on. */
import { assertEquals, assertMatch } from "@std/assert";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { type PrivateContainerd, startPrivateContainerd, until } from "./containerd.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";
import { createUnreliableSocket, type UnreliableSocket } from "./unreliable_socket.ts";

const config = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
nodeStatusUpdateFrequency: 500ms
`;

interface Stage {
  agent: AgentUnderTest;
  containerd: PrivateContainerd;
  socket: UnreliableSocket;
  /** What the pod's probe is answered. */
  answer: { status: number };
}

const pod = (name: string, port: number) =>
  podOf(name, [shell("main", stay, {
    readinessProbe: { httpGet: { host: "127.0.0.1", port }, periodSeconds: 1, failureThreshold: 1 },
  })]);

const readyCondition = async (agent: AgentUnderTest) => {
  const { conditions } = await agent.api<
    { conditions: { type: string; status: string; message?: string }[] }
  >(
    "/status",
  );
  return conditions.find((c) => c.type === "Ready")!;
};

const untilNode = (agent: AgentUnderTest, status: string) =>
  until(`the node's Ready is ${status}`, async () => (await readyCondition(agent)).status === status);

/** Probes over the network go on, and what they say is shown, without a word of the runtime. */
async function checkProbesGoOn({ agent, answer }: Stage): Promise<void> {
  answer.status = 500;
  await agent.untilPod("web", "is unready", (p) => !isReady(p));
  answer.status = 200;
  await agent.untilReady("web");
}

async function checkStall(stage: Stage, port: number): Promise<void> {
  const { agent, socket } = stage;
  const before = identityOf(await agent.untilReady("web"));
  socket.behave("stalls");
  await checkProbesGoOn(stage);
  await agent.write("late.yaml", pod("late", port));
  await until("the late pod is shown", async () => /^late /m.test((await agent.cli("get", "pods")).stdout));
  socket.behave("drips");
  await agent.untilReady("late");
  assertEquals(identityOf((await agent.pod("web"))!), before);
}

async function checkBabble({ agent, socket }: Stage): Promise<void> {
  const before = identityOf(await agent.untilReady("web"));
  for (const manner of ["babbles", "hangs up"] as const) {
    socket.behave(manner);
    await untilNode(agent, "False");
    assertMatch((await readyCondition(agent)).message ?? "", /^container runtime is down: ./);
    socket.behave("passes");
    await untilNode(agent, "True");
  }
  await agent.untilReady("late");
  assertEquals(identityOf(await agent.untilReady("web")), before);
}

async function checkStopped(stage: Stage): Promise<void> {
  const { agent, containerd } = stage;
  const before = identityOf(await agent.untilReady("web"));
  containerd.signal("SIGSTOP");
  try {
    await agent.remove("late.yaml");
    await checkProbesGoOn(stage);
    await untilNode(agent, "False");
    const status = await agent.cli("status");
    assertMatch(status.stdout, /container runtime is down: no answer within 10 s/);
    assertMatch((await agent.cli("get", "pods")).stdout, /^web +1\/1 +Running +0 /m);
  } finally {
    containerd.signal("SIGCONT");
  }
  await untilNode(agent, "True");
  await agent.untilGone("late");
  assertEquals(identityOf(await agent.untilReady("web")), before);
}

Deno.test("a wedged runtime", async (t) => {
  const answer = { status: 200 };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response(null, { status: answer.status }),
  );
  try {
    await using containerd = await startPrivateContainerd();
    await using socket = createUnreliableSocket(
      `${containerd.directory}/unreliable.sock`,
      containerd.endpoint,
    );
    await using agent = await createAgent({ config });
    await agent.start(["--container-runtime-endpoint", `unix://${socket.path}`]);
    const stage = { agent, containerd, socket, answer };
    await agent.write("web.yaml", pod("web", server.addr.port));
    await t.step(
      "that stalls holds up neither probes nor API, and one that drips makes pods",
      () => checkStall(stage, server.addr.port),
    );
    await t.step(
      "that babbles or hangs up makes the node not ready, until it speaks again",
      () => checkBabble(stage),
    );
    await t.step(
      "that is stopped makes the node not ready, and all goes on when it wakes",
      () => checkStopped(stage),
    );
  } finally {
    await server.shutdown();
  }
});
