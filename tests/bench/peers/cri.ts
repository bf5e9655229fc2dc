/**
 * The one observer of all peers that use CRI: what containerd itself says of a pod, with its own time stamps, asked
 * after the fact so that looking costs the peer nothing. Not for: making pods (floor.ts).
 */
import {
  ContainerState,
  ImageServiceDefinition,
  PodSandboxState,
  RuntimeServiceDefinition,
} from "../../../plugins/rpc/gen/cri.ts";
import { type Client, createChannel, createClient } from "../../../plugins/rpc/mod.ts";
import { CONTAINER } from "../pods.ts";
import type { ContainerTimes } from "./peer.ts";

export const limit = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(60_000) });
export const POD_NAME = "io.kubernetes.pod.name";
export const CONTAINER_NAME = "io.kubernetes.container.name";

export interface CriView {
  runtime: Client<RuntimeServiceDefinition>;
  images: Client<ImageServiceDefinition>;
  containers(podName: string): Promise<ContainerTimes[]>;
  /** Names of the pods that have a sandbox that is ready, or a container that runs. */
  alive(): Promise<Set<string>>;
  /** Of the newest container. */
  processOf(podName: string): Promise<number>;
  close(): void;
}

export function openCri(socket: string): CriView {
  const channel = createChannel(socket);
  const runtime = createClient(RuntimeServiceDefinition, channel);
  const list = async (podName: string) => {
    const labelSelector = { [POD_NAME]: podName, [CONTAINER_NAME]: CONTAINER };
    const { containers } = await runtime.listContainers({ filter: { labelSelector } }, limit());
    return containers.sort((a, b) => Number(b.createdAt - a.createdAt));
  };
  const times = async (id: string): Promise<ContainerTimes> => {
    const { status } = await runtime.containerStatus({ containerId: id }, limit());
    const ms = (ns: bigint | undefined): number => Number(ns ?? 0n) / 1e6;
    const finishedAt = ms(status?.finishedAt);
    return {
      id,
      createdAt: ms(status?.createdAt),
      startedAt: ms(status?.startedAt),
      finishedAt: finishedAt > 0 ? finishedAt : undefined,
    };
  };
  return {
    runtime,
    images: createClient(ImageServiceDefinition, channel),
    containers: async (podName) => Promise.all((await list(podName)).map((c) => times(c.id))),
    async alive() {
      const [{ items }, { containers }] = await Promise.all([
        runtime.listPodSandbox({ filter: { state: { state: PodSandboxState.SANDBOX_READY } } }, limit()),
        runtime.listContainers({ filter: { state: { state: ContainerState.CONTAINER_RUNNING } } }, limit()),
      ]);
      return new Set([...items, ...containers].map((o) => o.labels[POD_NAME] ?? ""));
    },
    async processOf(podName) {
      const [newest] = await list(podName);
      if (newest === undefined) throw new Error(`pod ${podName} has no container`);
      const { info } = await runtime.containerStatus({ containerId: newest.id, verbose: true }, limit());
      const { pid } = JSON.parse(info["info"] ?? "{}") as { pid?: number };
      if (pid === undefined) throw new Error(`the runtime does not tell the process of ${newest.id}`);
      return pid;
    },
    close: () => channel.close(),
  };
}
