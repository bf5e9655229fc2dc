import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import { createCri } from "../../../../plugins/cri/mod.ts";
import { type ContainerEventResponse, RuntimeServiceDefinition } from "../../../../plugins/rpc/gen/cri.ts";
import { bindService, type DeepPartial, type Handlers, serve } from "../../../../plugins/rpc/mod.ts";

/** Serves a runtime without containerd's own events and gives its events to `check`. */
async function withRuntime(
  handlers: Handlers<RuntimeServiceDefinition>,
  check: (cri: ReturnType<typeof createCri>) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const stop = new AbortController();
  const endpoint = `${directory}/s`;
  const server = await serve(endpoint, [bindService(RuntimeServiceDefinition, handlers)], {
    signal: stop.signal,
  });
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
