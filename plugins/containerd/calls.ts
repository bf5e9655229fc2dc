/**
 * The few CRI calls that keeping a containerd takes: does it answer, is it still connected, end all its pods. Not for:
 * pods' lives; those are in plugins/cri.
 */
import { ContainerState, PodSandboxState, RuntimeServiceDefinition } from "../rpc/gen/cri.ts";
import { type Channel, type Client, createChannel, createClient } from "../rpc/mod.ts";

type RuntimeClient = Client<RuntimeServiceDefinition>;

const POD_END_MS = 30_000;

async function withClient<T>(
  socket: string,
  use: (client: RuntimeClient, channel: Channel) => Promise<T>,
): Promise<T> {
  const channel = createChannel(socket);
  try {
    return await use(createClient(RuntimeServiceDefinition, channel), channel);
  } finally {
    channel.close();
  }
}

/**
 * Whether CRI answers before the signal aborts, and says that it is ready: a containerd whose CRI plugin failed listens
 * too, and one that hangs accepts connections.
 */
export function answers(socket: string, signal: AbortSignal): Promise<boolean> {
  return withClient(socket, async (client) => {
    const { status } = await client.status({}, { signal });
    return status?.conditions.some((c) => c.type === "RuntimeReady" && c.status) ?? false;
  }).catch(() => false);
}

/** Ids of all sandboxes and containers that CRI lists, and those of them that have ended and never run again. */
export function recordedIds(
  socket: string,
  signal: AbortSignal,
): Promise<{ all: Set<string>; ended: Set<string> }> {
  return withClient(socket, async (client) => {
    const [{ items }, { containers }] = await Promise.all([
      client.listPodSandbox({}, { signal }),
      client.listContainers({}, { signal }),
    ]);
    const ended = [
      ...items.filter((s) => s.state === PodSandboxState.SANDBOX_NOTREADY),
      ...containers.filter((c) => c.state === ContainerState.CONTAINER_EXITED),
    ];
    const idsOf = (list: { id: string }[]) => new Set(list.map(({ id }) => id));
    return { all: idsOf([...items, ...containers]), ended: idsOf(ended) };
  });
}

/** Resolves when the server behind the socket closes an idle connection: at once when it dies. Or with the signal. */
export function untilClosed(socket: string, signal: AbortSignal): Promise<void> {
  return withClient(socket, async (_, channel) => {
    const close = () => channel.close();
    signal.addEventListener("abort", close);
    try {
      if (signal.aborted) return;
      let closed: Promise<unknown> | undefined;
      await channel.withLink(({ connection }) => closed = connection.closed);
      await closed;
    } finally {
      signal.removeEventListener("abort", close);
    }
  }).catch(() => undefined);
}

/** Stops and removes every pod, whoever made it, so that networks are torn down by their plugins. Failures are left. */
export function endPods(socket: string, signal: AbortSignal): Promise<void> {
  return withClient(socket, async (client) => {
    const call = { signal, timeoutMs: POD_END_MS };
    const { items } = await client.listPodSandbox({}, call);
    await Promise.allSettled(items.map(async ({ id }) => {
      await client.stopPodSandbox({ podSandboxId: id }, call);
      await client.removePodSandbox({ podSandboxId: id }, call);
    }));
  }).catch(() => undefined);
}
