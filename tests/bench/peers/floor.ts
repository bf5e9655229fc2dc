/**
 * The floor: a client that makes the CRI calls for a pod one after the other and nothing else. No peer that starts pods
 * through CRI can be faster by much. Not for: anything a node agent is for.
 */
import { type BenchPod, COMMAND, CONTAINER, IMAGE } from "../pods.ts";
import { CONTAINER_NAME, type CriView, limit, openCri, POD_NAME } from "./cri.ts";
import type { Peer } from "./peer.ts";
import { startRuntime } from "./runtime.ts";

async function start(cri: CriView, directory: string, pod: BenchPod): Promise<void> {
  const labels = { [POD_NAME]: pod.name };
  const sandboxConfig = {
    metadata: { name: pod.name, namespace: "default", uid: pod.uid, attempt: 0 },
    hostname: pod.name,
    logDirectory: `${directory}/logs/${pod.uid}`,
    labels,
    linux: {},
  };
  const { podSandboxId } = await cri.runtime.runPodSandbox({ config: sandboxConfig }, limit());
  const config = {
    metadata: { name: CONTAINER, attempt: 0 },
    image: { image: IMAGE },
    command: COMMAND,
    labels: { ...labels, [CONTAINER_NAME]: CONTAINER },
    logPath: "0.log",
    linux: {},
  };
  const created = await cri.runtime.createContainer({ podSandboxId, config, sandboxConfig }, limit());
  await cri.runtime.startContainer({ containerId: created.containerId }, limit());
}

async function end(cri: CriView, pod: BenchPod): Promise<void> {
  const labelSelector = { [POD_NAME]: pod.name };
  const { containers } = await cri.runtime.listContainers({ filter: { labelSelector } }, limit());
  for (const { id } of containers) {
    await cri.runtime.stopContainer({ containerId: id, timeout: 10n }, limit());
  }
  const { items } = await cri.runtime.listPodSandbox({ filter: { labelSelector } }, limit());
  for (const { id } of items) {
    await cri.runtime.stopPodSandbox({ podSandboxId: id }, limit());
    for (const c of containers) await cri.runtime.removeContainer({ containerId: c.id }, limit());
    await cri.runtime.removePodSandbox({ podSandboxId: id }, limit());
  }
}

export async function createFloor(): Promise<Peer> {
  const runtime = await startRuntime();
  const cri = openCri(runtime.socket);
  return {
    name: "floor",
    restarts: false,
    add: async (pods) => void await Promise.all(pods.map((pod) => start(cri, runtime.directory, pod))),
    remove: async (pods) => void await Promise.all(pods.map((pod) => end(cri, pod))),
    // Its calls have returned.
    whenRunning: () => Promise.resolve(),
    async running() {
      const { containers } = await cri.runtime.listContainers({ filter: { state: { state: 1 } } }, limit());
      return new Map(containers.map((c) => [c.labels[POD_NAME] ?? "", [c.id]]));
    },
    async knows(pods) {
      const names = await cri.alive();
      return pods.some((pod) => names.has(pod.name));
    },
    containers: (pod) => cri.containers(pod.name),
    async exec(pod, cmd) {
      const [{ id } = { id: "" }] = await cri.containers(pod.name);
      const { exitCode } = await cri.runtime.execSync({ containerId: id, cmd, timeout: 60n }, limit());
      if (exitCode !== 0) throw new Error(`${cmd.join(" ")} ended with ${exitCode}`);
    },
    processOf: (pod) => cri.processOf(pod.name),
    async [Symbol.asyncDispose]() {
      cri.close();
      await runtime[Symbol.asyncDispose]();
    },
  };
}
