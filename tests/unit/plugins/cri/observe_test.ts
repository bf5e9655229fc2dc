import { assertEquals } from "@std/assert";
import { createObserver } from "../../../../plugins/cri/observer.ts";
import type { RuntimeClient } from "../../../../plugins/cri/client.ts";
import {
  Container,
  ContainerState,
  ContainerStatus,
  ContainerStatusResponse,
  ListContainersResponse,
  ListPodSandboxResponse,
  PodSandbox,
  PodSandboxState,
  PodSandboxStatusResponse,
} from "../../../../plugins/rpc/gen/cri.ts";
import { Code, RpcError } from "../../../../plugins/rpc/mod.ts";

const { CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED } = ContainerState;
const signal = new AbortController().signal;
const labels = {
  "io.kubernetes.pod.uid": "u1",
  "io.kubernetes.pod.name": "web",
  "io.kubernetes.pod.namespace": "default",
};

/** A runtime with one pod of one container, whose answers a test changes; `asked` counts the status calls. */
function subject() {
  const sandbox = PodSandbox.fromPartial({
    id: "s1",
    labels,
    createdAt: 5_000_000n,
    metadata: { attempt: 1 },
  });
  const container = Container.fromPartial({
    id: "c1",
    podSandboxId: "s1",
    labels,
    metadata: { name: "main" },
  });
  const status = ContainerStatus.fromPartial({ id: "c1", logPath: "/log" });
  const asked = { sandbox: 0, container: 0 };
  let gone = false;
  const client = {
    listPodSandbox: () => Promise.resolve(ListPodSandboxResponse.fromPartial({ items: [sandbox] })),
    listContainers: () => Promise.resolve(ListContainersResponse.fromPartial({ containers: [container] })),
    podSandboxStatus: () => {
      asked.sandbox++;
      const network = { ip: "10.0.0.2", additionalIps: [{ ip: "fd00::2" }] };
      return Promise.resolve(PodSandboxStatusResponse.fromPartial({ status: { id: "s1", network } }));
    },
    containerStatus: () => {
      asked.container++;
      if (gone) return Promise.reject(new RpcError(Code.NOT_FOUND, "gone"));
      return Promise.resolve(
        ContainerStatusResponse.fromPartial({ status: { ...status, state: container.state } }),
      );
    },
  } as unknown as RuntimeClient;
  const observer = createObserver(client, "one");
  return { sandbox, container, status, asked, observer, remove: () => gone = true };
}

Deno.test("observe: addresses, times and exits in our words", async () => {
  const { observer, container, status } = subject();
  container.state = CONTAINER_EXITED;
  Object.assign(status, {
    startedAt: 7_000_000n,
    finishedAt: 9_999_999n,
    exitCode: 137,
    reason: "OOMKilled",
  });
  const [pod] = await observer.observe(undefined, signal);
  assertEquals(pod?.sandboxes, [
    {
      id: "s1",
      attempt: 1,
      ready: true,
      createdAt: 5,
      ips: ["10.0.0.2", "fd00::2"],
      hash: "",
      runtimeHandler: "",
    },
  ]);
  const [seen] = pod?.containers ?? [];
  assertEquals([seen?.startedAt, seen?.finishedAt, seen?.exitCode, seen?.signal], [7, 9, 137, 9]);
  assertEquals([seen?.reason, seen?.logPath, seen?.graceSeconds], ["OOMKilled", "/log", 30]);
});

Deno.test("observe: the user of a container, where the runtime tells", async () => {
  const { observer, status } = subject();
  status.user = { linux: { uid: 1000n, gid: 2000n, supplementalGroups: [2000n, 3000n] } };
  const [seen] = (await observer.observe("u1", signal))[0]!.containers;
  assertEquals(seen?.user, { uid: 1000, gid: 2000, supplementalGroups: [2000, 3000] });
});

Deno.test("observe: a running container has no exit, a created one no start", async () => {
  const { observer, container, status } = subject();
  container.state = CONTAINER_CREATED;
  const [created] = (await observer.observe("u1", signal))[0]!.containers;
  assertEquals([created?.state, created?.startedAt], ["created", undefined]);
  container.state = CONTAINER_RUNNING;
  status.startedAt = 7_000_000n;
  const [running] = (await observer.observe("u1", signal))[0]!.containers;
  assertEquals([running?.state, running?.exitCode, running?.finishedAt], ["running", undefined, undefined]);
});

Deno.test("observe: each state is asked once, and a change is seen", async () => {
  const { observer, container, sandbox, asked } = subject();
  container.state = CONTAINER_RUNNING;
  for (let look = 0; look < 3; look++) await observer.observe("u1", signal);
  assertEquals(asked, { sandbox: 1, container: 1 });
  container.state = CONTAINER_EXITED;
  sandbox.state = PodSandboxState.SANDBOX_NOTREADY;
  for (let look = 0; look < 3; look++) {
    const [pod] = await observer.observe("u1", signal);
    assertEquals([pod?.containers[0]?.state, pod?.sandboxes[0]?.ips], ["exited", []]);
  }
  assertEquals(asked, { sandbox: 1, container: 2 });
});

Deno.test("observe: a kill is asked again while the runtime may still learn that it was for want of memory", async () => {
  const { observer, container, status, asked } = subject();
  container.state = CONTAINER_EXITED;
  Object.assign(status, { exitCode: 137, reason: "Error", finishedAt: BigInt(Date.now()) * 1_000_000n });
  await observer.observe("u1", signal);
  status.reason = "OOMKilled";
  const [seen] = (await observer.observe("u1", signal))[0]!.containers;
  assertEquals([seen?.reason, asked.container], ["OOMKilled", 2]);
  await observer.observe("u1", signal);
  assertEquals(asked.container, 2);
});

Deno.test("observe: what goes away between the list and its status is not there", async () => {
  const { observer, remove } = subject();
  remove();
  assertEquals((await observer.observe("u1", signal))[0]?.containers, []);
});

Deno.test("uidOf: known from observation and creation, forgotten with the object", async () => {
  const { observer, container } = subject();
  observer.remember("c9", "u9");
  assertEquals([observer.uidOf("c9"), observer.uidOf("c1")], ["u9", undefined]);
  await observer.observe("u1", signal);
  assertEquals([observer.uidOf("c9"), observer.uidOf("c1"), observer.uidOf("s1")], ["u9", "u1", "u1"]);
  await observer.observe(undefined, signal);
  assertEquals(observer.uidOf("c9"), undefined);
  container.id = "c2";
  await observer.observe("u1", signal);
  assertEquals([observer.uidOf("c1"), observer.uidOf("c2")], [undefined, "u1"]);
});
