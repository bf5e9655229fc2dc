/**
 * The CRI adapter on a real containerd, for what the contract cannot ask of a fake: what a container sees inside,
 * crashes of the runtime, other owners' objects. Needs root, containerd, runc, CNI plugins, busybox.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../agent/model/errors.ts";
import type { ContainerSpec, SandboxSpec } from "../../agent/model/container.ts";
import { createCri, type Cri } from "../../plugins/cri/mod.ts";
import { createContainerSpec, createSandboxSpec } from "../contract/specs.ts";
import { type PrivateContainerd, startPrivateContainerd, until } from "./containerd.ts";
import { BUSYBOX_IMAGE, writeImageArchive } from "../../tools/busybox_image.ts";
import { startRegistry } from "./registry.ts";

const within = (): AbortSignal => AbortSignal.timeout(30_000);

interface Stage extends AsyncDisposable {
  containerd: PrivateContainerd;
  cri: Cri;
  open(instance: string): Cri;
  sandbox(choices?: Parameters<typeof createSandboxSpec>[0]): SandboxSpec;
}

async function openStage(): Promise<Stage> {
  const containerd = await startPrivateContainerd();
  const opened: Cri[] = [];
  const open = (instance: string): Cri => {
    const cri = createCri({ endpoint: `unix://${containerd.endpoint}`, instance });
    opened.push(cri);
    return cri;
  };
  const cri = open("one");
  const archive = await writeImageArchive(containerd.directory, "base.tar", { tags: [BUSYBOX_IMAGE] });
  await cri.images.importArchive(archive, within());
  return {
    containerd,
    cri,
    open,
    sandbox: (choices) =>
      createSandboxSpec({ ...choices, logDirectory: `${containerd.directory}/logs/${crypto.randomUUID()}` }),
    [Symbol.asyncDispose]: async () => {
      for (const each of opened) each.close();
      await containerd[Symbol.asyncDispose]();
    },
  };
}

/** For what is awaited later: its failure must not go unheard meanwhile. */
function failureOf(promise: Promise<unknown>): Promise<AgentError | undefined> {
  return promise.then(() => undefined, (error) => {
    if (error instanceof AgentError) return error;
    throw error;
  });
}

async function start(cri: Cri, spec: ContainerSpec): Promise<string> {
  const id = await cri.runtime.createContainer(spec, within());
  await cri.runtime.startContainer(id, within());
  return id;
}

async function untilExited(cri: Cri, uid: string, id: string): Promise<number> {
  let code: number | undefined;
  await until(`container ${id} has exited`, async () => {
    const container = (await cri.runtime.observe(uid, within()))[0]?.containers.find((c) => c.id === id);
    code = container?.state === "exited" ? container.exitCode : undefined;
    return code !== undefined;
  });
  return code!;
}

/** Runs a script to its end and returns its log without the CRI log format's prefix. */
async function output(stage: Stage, spec: ContainerSpec): Promise<string[]> {
  const id = await start(stage.cri, spec);
  await untilExited(stage.cri, spec.sandbox.uid, id);
  const log = await Deno.readTextFile(`${spec.sandbox.logDirectory}/${spec.logPath}`);
  return log.trimEnd().split("\n").map((line) => line.replace(/^\S+ std(out|err) [FP] /, ""));
}

Deno.test("what a spec says, the container sees", async () => {
  await using stage = await openStage();
  const { cri } = stage;
  const volume = `${stage.containerd.directory}/volume`;
  await Deno.mkdir(volume);
  await Deno.writeTextFile(`${volume}/file`, "from the volume");
  const sandbox = stage.sandbox({
    name: "seen",
    spec: {
      securityContext: { runAsUser: 1234, runAsGroup: 1234, fsGroup: 5000, supplementalGroups: [6000] },
    },
  });
  const sandboxId = await cri.runtime.runPodSandbox(sandbox, within());
  const script = [
    "id -u; id -G; hostname; echo $GREETING; pwd; cat /volume/file; echo",
    "grep -E '^(NoNewPrivs|CapEff|Seccomp):' /proc/self/status",
    "touch /volume/x 2>/dev/null || echo read-only volume",
    "touch /tmp/x 2>/dev/null || echo read-only root",
    "cat /etc/resolv.conf",
  ].join("\n");
  const base = createContainerSpec(sandbox, sandboxId, BUSYBOX_IMAGE, {
    script,
    container: {
      workingDir: "/volume",
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
        seccompProfile: { type: "RuntimeDefault" },
      },
    },
  });
  const mounts = [{ hostPath: volume, containerPath: "/volume", readonly: true }];
  const lines = await output(stage, { ...base, edits: { owner: "test", mounts } });
  assertEquals(lines, [
    "1234",
    "1234 5000 6000",
    "seen",
    "hello",
    "/volume",
    "from the volume",
    "CapEff:\t0000000000000000",
    "NoNewPrivs:\t1",
    "Seccomp:\t2",
    "read-only volume",
    "read-only root",
    "search example.test",
    "nameserver 10.0.0.10",
    "options ndots:5",
  ]);
});

Deno.test("limits reach the cgroup, at creation and later; without one there is none", async () => {
  await using stage = await openStage();
  const { cri } = stage;
  const sandbox = stage.sandbox();
  const sandboxId = await cri.runtime.runPodSandbox(sandbox, within());
  const linux = { cpuShares: 256, cpuPeriod: 100_000, cpuQuota: 50_000, memoryLimit: 64 << 20 };
  const id = await start(cri, createContainerSpec(sandbox, sandboxId, BUSYBOX_IMAGE, { linux }));
  const limits = async (): Promise<number[]> => {
    const pid = await pidOf(stage, id);
    return [await cgroupValue(pid, "cpu"), await cgroupValue(pid, "memory")];
  };
  assertEquals(await limits(), [50_000, 64 << 20]);
  await cri.runtime.updateContainerResources(id, { memoryLimit: 128 * 2 ** 20 }, within());
  assertEquals(await limits(), [-1, 128 << 20]);
});

async function pidOf(stage: Stage, id: string): Promise<number> {
  const line = (await stage.containerd.ctr("tasks", "list")).split("\n").find((l) => l.startsWith(id));
  return Number(line?.split(/\s+/)[1]);
}

/** CPU quota in microseconds per 100 ms (-1: none) or memory limit in bytes, from cgroup v1 or v2. */
async function cgroupValue(pid: number, controller: "cpu" | "memory"): Promise<number> {
  const lines = (await Deno.readTextFile(`/proc/${pid}/cgroup`)).trim().split("\n");
  const v1 = lines.find((l) => l.split(":")[1]!.split(",").includes(controller));
  const path = (v1 ?? lines.find((l) => l.startsWith("0::")))!.split(":").slice(2).join(":");
  const file =
    { cpu: ["cpu.cfs_quota_us", "cpu.max"], memory: ["memory.limit_in_bytes", "memory.max"] }[controller];
  const text = v1 === undefined
    ? await Deno.readTextFile(`/sys/fs/cgroup${path}/${file[1]}`)
    : await Deno.readTextFile(`/sys/fs/cgroup/${controller}${path}/${file[0]}`);
  return text.startsWith("max") ? -1 : parseInt(text);
}

Deno.test("what a runtime refuses is said in its own words, briefly, and a container that fails to start has exited", async () => {
  await using stage = await openStage();
  const { cri } = stage;
  const sandbox = stage.sandbox();
  const sandboxId = await cri.runtime.runPodSandbox(sandbox, within());
  const spec = { ...createContainerSpec(sandbox, sandboxId, BUSYBOX_IMAGE), command: ["/nope"] };
  const id = await cri.runtime.createContainer(spec, within());
  const error = await assertRejects(() => cri.runtime.startContainer(id, within()), AgentError, "/nope");
  assertEquals(error.reason, "RunContainerError");
  assert(!/rpc error|: unknown$/.test(error.message), error.message);
  assert(await untilExited(cri, sandbox.uid, id) !== 0);
});

Deno.test("a container that is killed for want of memory says so", async () => {
  await using stage = await openStage();
  const { cri } = stage;
  const sandbox = stage.sandbox();
  const sandboxId = await cri.runtime.runPodSandbox(sandbox, within());
  const script = "exec dd if=/dev/zero of=/dev/null bs=100M count=100";
  const linux = { memoryLimit: 8 << 20 };
  const id = await start(cri, createContainerSpec(sandbox, sandboxId, BUSYBOX_IMAGE, { script, linux }));
  assertEquals(await untilExited(cri, sandbox.uid, id), 137);
  await until("its reason is OOMKilled", async () => {
    const [pod] = await cri.runtime.observe(sandbox.uid, within());
    return pod?.containers[0]?.reason === "OOMKilled";
  });
});

Deno.test("images come from a registry, with a password where it asks; refusals and aborts say so", async () => {
  await using stage = await openStage();
  const auth = { username: "me", password: "secret" };
  await using registry = startRegistry({
    images: { "team/web:1": { config: { User: "1234" }, files: { "/etc/pulled": "yes" } } },
    auth,
  });
  const { images } = stage.cri;
  const name = `${registry.address}/team/web:1`;
  const refused = await assertRejects(() => images.pull(name, undefined, within()), AgentError, "401");
  assertEquals(refused.reason, "ErrImagePull");
  assert(!refused.message.includes(auth.password));
  const absent = `${registry.address}/team/absent:1`;
  const missing = await assertRejects(() => images.pull(absent, auth, within()), AgentError, "not found");
  assertEquals(missing.reason, "ErrImagePull");

  const release = registry.holdLayers();
  const stop = new AbortController();
  const aborted = failureOf(images.pull(name, auth, stop.signal));
  await until("the layer is asked for", () => registry.held() > 0);
  stop.abort();
  assertEquals((await aborted)?.reason, "Aborted");
  release();

  const reference = await images.pull(name, auth, within());
  const status = await images.status(name, within());
  assertEquals([status?.id, status?.user, status?.repoTags, status?.pinned], [
    reference,
    "1234",
    [name],
    false,
  ]);
});

Deno.test("another instance's pods are neither seen nor taken", async () => {
  await using stage = await openStage();
  const other = stage.open("two");
  const sandbox = stage.sandbox();
  const id = await other.runtime.runPodSandbox(sandbox, within());
  assertEquals(await stage.cri.runtime.observe(undefined, within()), []);
  const error = await assertRejects(
    () => stage.cri.runtime.runPodSandbox(sandbox, within()),
    AgentError,
    '"two"',
  );
  assertEquals(error.reason, "CreatePodSandboxError");
  assertEquals((await other.runtime.observe(undefined, within()))[0]?.sandboxes[0]?.id, id);
});

Deno.test("a creation that was broken off can be repeated until it succeeds, and leaves one sandbox", async () => {
  await using stage = await openStage();
  const { cri } = stage;
  const sandbox = stage.sandbox();
  for (const delay of [5, 20, 60]) {
    await assertRejects(() => cri.runtime.runPodSandbox(sandbox, AbortSignal.timeout(delay)), AgentError);
  }
  let id = "";
  await until("the sandbox runs", async () => {
    try {
      id = await cri.runtime.runPodSandbox(sandbox, within());
    } catch (error) {
      assert(error instanceof AgentError && error.reason === "CreatePodSandboxError", String(error));
    }
    return id !== "";
  });
  const [pod] = await cri.runtime.observe(sandbox.uid, within());
  assertEquals(pod?.sandboxes.map((s) => [s.id, s.ready]), [[id, true]]);
});

Deno.test("when the runtime crashes, calls say that it is away, events break, and all is found again after it", async () => {
  await using stage = await openStage();
  const { cri, containerd } = stage;
  const sandbox = stage.sandbox();
  const sandboxId = await cri.runtime.runPodSandbox(sandbox, within());
  const running = await start(cri, createContainerSpec(sandbox, sandboxId, BUSYBOX_IMAGE));
  const dies = await start(cri, createContainerSpec(sandbox, sandboxId, BUSYBOX_IMAGE, { name: "dies" }));
  const before = await cri.runtime.observe(sandbox.uid, within());
  const broken = failureOf((async () => {
    for await (const _ of cri.runtime.events(within()));
  })());

  const pid = await pidOf(stage, dies);
  await containerd.kill();
  assertEquals((await broken)?.reason, "RuntimeUnavailable");
  const away = await assertRejects(() => cri.runtime.observe(undefined, within()), AgentError);
  assertEquals(away.reason, "RuntimeUnavailable");
  Deno.kill(pid, "SIGKILL");
  await containerd.start();
  await until(
    "the runtime is ready",
    () => cri.runtime.status(within()).then((s) => s.runtimeReady, () => false),
  );
  assertEquals(await untilExited(cri, sandbox.uid, dies), 137);
  const [after] = await cri.runtime.observe(sandbox.uid, within());
  assertEquals(after?.sandboxes, before[0]?.sandboxes);
  assertEquals(
    after?.containers.find((c) => c.id === running),
    before[0]?.containers.find((c) => c.id === running),
  );
});
