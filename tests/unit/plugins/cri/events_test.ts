import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import { createCri } from "../../../../plugins/cri/mod.ts";
import { EventsDefinition } from "../../../../plugins/rpc/gen/containerd_events.ts";
import { TaskExit } from "../../../../plugins/rpc/gen/containerd_tasks.ts";
import {
  type ContainerEventResponse,
  ContainerState,
  RuntimeServiceDefinition,
} from "../../../../plugins/rpc/gen/cri.ts";
import { bindService, type DeepPartial, type Handlers, serve } from "../../../../plugins/rpc/mod.ts";

/** Serves a runtime, with containerd's own events where some are given, and gives its client to `check`. */
async function withRuntime(
  handlers: Handlers<RuntimeServiceDefinition>,
  check: (cri: ReturnType<typeof createCri>) => Promise<void>,
  containerd: Handlers<EventsDefinition> = {},
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const stop = new AbortController();
  const endpoint = `${directory}/s`;
  const services = [
    bindService(RuntimeServiceDefinition, handlers),
    ...(containerd.subscribe === undefined ? [] : [bindService(EventsDefinition, containerd)]),
  ];
  const server = await serve(endpoint, services, { signal: stop.signal });
  const cri = createCri({ endpoint, instance: "one" });
  try {
    await check(cri);
  } finally {
    cri.close();
    stop.abort();
    await server.finished;
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("events: a runtime with CRI's own events gives those of our pods", async () => {
  const event = (instance: string, uid: string): DeepPartial<ContainerEventResponse> => ({
    containerId: `c-${uid}`,
    podSandboxStatus: { labels: { "agent/instance": instance, "io.kubernetes.pod.uid": uid } },
  });
  async function* getContainerEvents() {
    yield event("one", "u1");
    yield event("two", "u2");
    yield { containerId: "unknown" };
    yield await Promise.resolve(event("one", "u3"));
  }
  await withRuntime({ getContainerEvents }, async ({ runtime }) => {
    const seen = [];
    for await (const hint of runtime.events(AbortSignal.timeout(10_000))) seen.push(hint);
    assertEquals(seen, [{ uid: "u1" }, { uid: "u3" }]);
  });
});

Deno.test("events: a runtime with none says that trying again cannot help", async () => {
  await withRuntime({}, async ({ runtime }) => {
    const error = await assertRejects(async () => {
      for await (const _ of runtime.events(AbortSignal.timeout(10_000)));
    }, AgentError);
    assertEquals([error.retry, error.reason], [false, "Unknown"]);
  });
});

Deno.test("events: the exit of a container that CRI does not even call running yet is told when CRI shows it", async () => {
  const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = ContainerState;
  const states = [CONTAINER_CREATED, CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_RUNNING];
  const labels = { "agent/instance": "one", "io.kubernetes.pod.uid": "u1" };
  let shown: ContainerState = CONTAINER_CREATED;
  async function* subscribe(_: unknown, { signal }: { signal: AbortSignal }) {
    const value = TaskExit.encode(TaskExit.fromPartial({ containerId: "c1", id: "c1" })).finish();
    yield { topic: "/tasks/exit", event: { typeUrl: "", value } };
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }
  const listContainers = () => {
    shown = states.shift() ?? CONTAINER_EXITED;
    return Promise.resolve({ containers: [{ id: "c1", labels, state: shown }] });
  };
  await withRuntime({ listContainers }, async ({ runtime }) => {
    for await (const hint of runtime.events(AbortSignal.timeout(10_000))) {
      assertEquals([hint, shown], [{ uid: "u1" }, CONTAINER_EXITED]);
      return;
    }
    throw new Error("no hint came");
  }, { subscribe });
});
