/**
 * The agent as a user runs it: the built binary with a containerd of its own, told by manifests, seen over its socket.
 * Not for: assertions about it.
 */
import { errorText } from "../../../agent/model/errors.ts";
import type { Pod } from "../../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent } from "../../e2e/agent.ts";
import { type BenchPod, CONTAINER, ONE_LOG_FILE } from "../pods.ts";
import { openCri } from "./cri.ts";
import type { Peer } from "./peer.ts";

const fileOf = (pod: BenchPod): string => `${pod.name}.json`;

/** Ready containers count, so that a status from before a restart of the agent is not taken for a new one. */
export function runningContainers(pods: readonly Pod[]): Map<string, string[]> {
  const running = pods.filter((pod) => pod.status?.phase === "Running").map((pod) => {
    const ready = (pod.status?.containerStatuses ?? []).filter((c) => c.ready);
    return [
      pod.metadata?.name ?? "",
      ready.map((c) => (c.containerID ?? "").replace(/^\w+:\/\//, "")),
    ] as const;
  });
  return new Map(running.filter(([, ids]) => ids.length > 0).map(([name, ids]) => [name, [...ids]]));
}

/** Follows its watch: asking again and again would take the CPU that the start of the pod needs. */
async function whenRunning(socket: string, name: string): Promise<void> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const response = await fetch("http://127.0.0.1/pods?watch=true", { client });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the watch of pods ended before ${name} ran`);
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    const pods = lines.map((line) => (JSON.parse(line) as { object: Pod }).object);
    if (runningContainers(pods).has(name)) return void await reader.cancel();
  }
}

/** None while it has just been started and refuses to tell half the truth. */
async function shownPods(agent: AgentUnderTest): Promise<Pod[]> {
  try {
    return await agent.pods();
  } catch (error) {
    if (/: 503 /.test(errorText(error))) return [];
    throw error;
  }
}

export async function createAgentPeer(): Promise<Peer> {
  const agent: AgentUnderTest = await createAgent({ verbosity: 0, config: ONE_LOG_FILE }); // debug messages cost what users do not pay
  await agent.start();
  const { runtime } = await agent.api<{ runtime: { endpoint: string } }>("/status");
  const cri = openCri(runtime.endpoint.replace(/^unix:\/\//, ""));
  return {
    name: "agent",
    restarts: true,
    resident: { pid: agent.pid, stop: agent.stop, start: () => agent.start() },
    async add(pods) {
      for (const pod of pods) await agent.write(fileOf(pod), JSON.stringify(pod.spec));
    },
    async remove(pods) {
      for (const pod of pods) await agent.remove(fileOf(pod));
    },
    whenRunning: (pod) => whenRunning(agent.socket, pod.name),
    running: async () => runningContainers(await shownPods(agent)),
    async knows(pods) {
      const names = new Set((await shownPods(agent)).map((p) => p.metadata?.name));
      if (pods.some((pod) => names.has(pod.name))) return true;
      const left = await cri.alive();
      return pods.some((pod) => left.has(pod.name));
    },
    containers: (pod) => cri.containers(pod.name),
    async exec(pod, command) {
      const { code, stderr } = await agent.cli("exec", pod.name, "--", ...command);
      if (code !== 0) throw new Error(`agent exec ended with ${code}: ${stderr}`);
    },
    processOf: (pod) => cri.processOf(pod.name),
    async putConfigMap(name, text) {
      await agent.write(`${name}.json`, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name },
        data: { text },
      });
    },
    logs: ({ name }) => [
      ...["--unix-socket", agent.socket],
      `http://localhost/containerLogs/default/${name}/${CONTAINER}`,
    ],
    async [Symbol.asyncDispose]() {
      cri.close();
      await agent[Symbol.asyncDispose]();
    },
  };
}
