/**
 * "Look again" hints from the runtime. containerd's own event stream comes first where it is served: in containerd 1.7
 * the events of GetContainerEvents are shared out among its readers, so that two readers each miss half.
 * Not for: the state itself, which is always observed.
 */
import { AgentError } from "../../agent/model/errors.ts";
import type { RuntimeEvent } from "../../agent/ports.ts";
import type { Envelope, EventsDefinition } from "../rpc/gen/containerd_events.ts";
import { ContainerDelete, TaskExit, TaskOOM } from "../rpc/gen/containerd_tasks.ts";
import { type Container, ContainerState, PodSandboxState } from "../rpc/gen/cri.ts";
import type { Client } from "../rpc/mod.ts";
import { type RuntimeClient, within } from "./client.ts";
import { isUnimplemented, toAgentError } from "./errors.ts";
import { INSTANCE, POD_UID } from "./labels.ts";
import type { Observer } from "./observer.ts";

/** containerd keeps what CRI makes in this namespace of its own. */
export const CRI_NAMESPACE = "k8s.io";
const TOPICS = ["/tasks/exit", "/tasks/oom", "/containers/delete"];

interface Parts {
  client: RuntimeClient;
  containerd: Client<EventsDefinition>;
  observer: Observer;
  instance: string;
}

/** @throws AgentError, with `retry` false where the runtime serves neither kind of events. */
export async function* readEvents(parts: Parts, signal: AbortSignal): AsyncIterable<RuntimeEvent> {
  for (const read of [readContainerdEvents, readCriEvents]) {
    try {
      return yield* read(parts, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!isUnimplemented(error)) throw toAgentError(error, "RuntimeUnavailable", signal);
    }
  }
  throw new AgentError("Unknown", "the runtime offers no events: look at intervals", { retry: false });
}

async function* readCriEvents({ client, observer, instance }: Parts, signal: AbortSignal) {
  for await (const event of client.getContainerEvents({}, { signal })) {
    const sandbox = event.podSandboxStatus;
    const own = sandbox === undefined ? undefined : sandbox.labels[INSTANCE] === instance;
    const uid = own === true ? sandbox?.labels[POD_UID] : observer.uidOf(event.containerId);
    if (uid !== undefined && own !== false) yield { uid };
  }
}

async function* readContainerdEvents(parts: Parts, signal: AbortSignal): AsyncIterable<RuntimeEvent> {
  const filters = TOPICS.map((topic) => `namespace==${CRI_NAMESPACE},topic=="${topic}"`);
  const reader = new AbortController();
  const both = AbortSignal.any([signal, reader.signal]);
  try {
    const stream = parts.containerd.subscribe({ filters }, { signal: both });
    yield* mapConcurrently(stream, (envelope) => toHint(parts, envelope, both), both);
  } finally {
    reader.abort();
  }
}

/** `undefined` when the event is not about this instance's pods. */
async function toHint(
  parts: Parts,
  envelope: Envelope,
  signal: AbortSignal,
): Promise<RuntimeEvent | undefined> {
  const value = envelope.event?.value ?? new Uint8Array();
  switch (envelope.topic) {
    case "/tasks/exit": {
      const exit = TaskExit.decode(value);
      const isExec = exit.id !== "" && exit.id !== exit.containerId;
      return isExec ? undefined : await exitHint(parts, exit.containerId, signal);
    }
    case "/tasks/oom":
      return known(parts, TaskOOM.decode(value).containerId);
    case "/containers/delete":
      return known(parts, ContainerDelete.decode(value).id);
    default:
      return undefined;
  }
}

function known({ observer }: Parts, id: string): RuntimeEvent | undefined {
  const uid = observer.uidOf(id);
  return uid === undefined ? undefined : { uid };
}

/** How long CRI may take to notice an exit that containerd has already told; the waits double from 2 ms. */
const NOTICE_LIMIT_MS = 60_000;
const LONGEST_WAIT_MS = 250;

/** The hint waits until CRI's lists show the exit: whoever looks because of it must see it, and no other hint comes. */
async function exitHint(parts: Parts, id: string, signal: AbortSignal): Promise<RuntimeEvent | undefined> {
  let uid = parts.observer.uidOf(id);
  for (let wait = 2, waited = 0; waited < NOTICE_LIMIT_MS; waited += wait) {
    const listed = await lookUp(parts.client, id, signal);
    if (listed === undefined) break;
    if (listed.labels[INSTANCE] !== parts.instance) return undefined;
    uid ??= listed.labels[POD_UID];
    if (!listed.alive) break;
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (signal.aborted) break;
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
  return uid === undefined ? undefined : { uid };
}

async function lookUp(client: RuntimeClient, id: string, signal: AbortSignal) {
  const { containers: [container] } = await client.listContainers({ filter: { id } }, within(signal));
  if (container !== undefined) return { labels: container.labels, alive: mayLive(container) };
  const { items: [sandbox] } = await client.listPodSandbox({ filter: { id } }, within(signal));
  return sandbox === undefined
    ? undefined
    : { labels: sandbox.labels, alive: sandbox.state === PodSandboxState.SANDBOX_READY };
}

/** Short-lived ones have ended before CRI calls them running. */
const mayLive = (c: Container): boolean =>
  c.state === ContainerState.CONTAINER_RUNNING || c.state === ContainerState.CONTAINER_CREATED;

/** Yields each result as it comes, so that one slow event does not hold up the others. Ends with its source or signal. */
async function* mapConcurrently<T, U>(
  source: AsyncIterable<T>,
  map: (item: T) => Promise<U | undefined>,
  signal: AbortSignal,
): AsyncIterable<U> {
  const results: U[] = [];
  let wake = (): void => {};
  let end: { error?: unknown } | undefined;
  const endWith = (error?: unknown): void => {
    end ??= { error };
    wake();
  };
  const take = async (item: T): Promise<void> => {
    const result = await map(item);
    if (result !== undefined) results.push(result);
    wake();
  };
  const pump = async (): Promise<void> => {
    for await (const item of source) take(item).catch(endWith);
  };
  pump().then(() => endWith(), endWith);
  const onAbort = (): void => endWith();
  signal.addEventListener("abort", onAbort, { once: true });
  while (end === undefined || results.length > 0) {
    const next = results.shift();
    if (next !== undefined) yield next;
    else await new Promise<void>((resolve) => wake = resolve);
  }
  signal.removeEventListener("abort", onAbort);
  if (end.error !== undefined) throw end.error;
}
