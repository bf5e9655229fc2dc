/**
 * What every implementation of the Runtime and Images ports does, whatever stands behind it.
 */
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { AgentError, type Reason } from "../../agent/model/errors.ts";
import type { ObservedContainer, ObservedPod } from "../../agent/model/observed.ts";
import type { Images, Runtime } from "../../agent/ports.ts";
import { createContainerSpec, createSandboxSpec } from "./specs.ts";

export interface RuntimeSubject {
  runtime: Runtime;
  images: Images;
  /** An image that is present and has a shell. */
  image: string;
  /** An archive that brings one image, and that image's name. */
  archive: { path: string; name: string };
  [Symbol.asyncDispose](): Promise<void>;
}

const LIMIT_MS = 30_000;

export function testRuntime(name: string, ignore: boolean, open: () => Promise<RuntimeSubject>): void {
  Deno.test({
    name: `runtime contract: ${name}`,
    ignore,
    fn: async (t) => {
      await using subject = await open();
      for (const [what, check] of Object.entries(CHECKS)) {
        await t.step(what, () => check(subject));
      }
    },
  });
}

type Check = (subject: RuntimeSubject) => Promise<void>;

const within = (): AbortSignal => AbortSignal.timeout(LIMIT_MS);

async function observeOne(runtime: Runtime, uid: string): Promise<ObservedPod> {
  const pods = await runtime.observe(uid, within());
  assertEquals(pods.length, 1);
  return pods[0]!;
}

/** A process that was only just started may not have set its trap, and as PID 1 it then never hears of SIGTERM. */
async function untilListening(runtime: Runtime, id: string): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  while ((await runtime.execSync(id, ["test", "-e", "/tmp/listens"], 5, within())).exitCode !== 0) {
    if (performance.now() > end) throw new Error("the container's process never listened");
  }
}

/** Observes until the pod's only container is in this state. */
async function untilState(
  runtime: Runtime,
  uid: string,
  state: ObservedContainer["state"],
): Promise<ObservedContainer> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const container = (await observeOne(runtime, uid)).containers[0];
    if (container?.state === state) return container;
    if (performance.now() > end) {
      throw new Error(`the container never was ${state}: ${JSON.stringify(container)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function removePod(runtime: Runtime, sandboxId: string): Promise<void> {
  await runtime.stopPodSandbox(sandboxId, within());
  await runtime.removePodSandbox(sandboxId, within());
}

async function assertReason(promise: Promise<unknown>, reason: Reason): Promise<AgentError> {
  const error = await assertRejects(() => promise, AgentError);
  assertEquals(error.reason, reason, error.message);
  return error;
}

/** A stream that has not begun yet misses what happens: pods end, one after the other, until the first hint comes. */
async function causeEventsUntil(live: Promise<void>, runtime: Runtime, image: string): Promise<void> {
  let seen = false;
  live.then(() => seen = true);
  while (!seen) {
    const spec = createSandboxSpec({ name: "noise" });
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const container = createContainerSpec(spec, sandboxId, image, { script: "exit 0" });
    await runtime.startContainer(await runtime.createContainer(container, within()), within());
    await untilState(runtime, spec.uid, "exited");
    await removePod(runtime, sandboxId);
  }
}

const CHECKS: Record<string, Check> = {
  "is ready and says what it is": async ({ runtime }) => {
    const version = await runtime.version(within());
    assert(version.name !== "" && version.version !== "");
    const status = await runtime.status(within());
    assertEquals([status.runtimeReady, status.networkReady], [true, true], status.message);
  },

  "a pod lives from sandbox to removal, and observation follows": async ({ runtime, image }) => {
    const spec = createSandboxSpec({ hash: "sandbox-hash" });
    const before = Date.now() - 1;
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const [sandbox] = (await observeOne(runtime, spec.uid)).sandboxes;
    assertEquals(
      [sandbox?.id, sandbox?.ready, sandbox?.attempt, sandbox?.hash],
      [sandboxId, true, 0, "sandbox-hash"],
    );
    assertEquals(sandbox?.ips.length, 1);
    assertGreater(sandbox?.createdAt ?? 0, before - 1000);

    const id = await runtime.createContainer(createContainerSpec(spec, sandboxId, image), within());
    const created = await untilState(runtime, spec.uid, "created");
    assertEquals([created.id, created.name, created.startedAt], [id, "main", undefined]);

    await runtime.startContainer(id, within());
    const running = await untilState(runtime, spec.uid, "running");
    assertGreater(running.startedAt ?? 0, before);
    assertEquals([running.finishedAt, running.exitCode], [undefined, undefined]);

    await untilListening(runtime, id);
    await runtime.stopContainer(id, 10, within());
    const exited = await untilState(runtime, spec.uid, "exited");
    assertEquals([exited.exitCode, exited.startedAt], [143, running.startedAt]);
    assert((exited.finishedAt ?? 0) >= (exited.startedAt ?? 0));

    await runtime.removeContainer(id, within());
    assertEquals((await observeOne(runtime, spec.uid)).containers, []);
    await runtime.stopPodSandbox(sandboxId, within());
    const stopped = (await observeOne(runtime, spec.uid)).sandboxes[0];
    assertEquals([stopped?.ready, stopped?.ips], [false, []]);
    await runtime.removePodSandbox(sandboxId, within());
    assertEquals(await runtime.observe(spec.uid, within()), []);
  },

  "what the spec says of a container is read back": async ({ runtime, image }) => {
    const spec = createSandboxSpec({ name: "notes", spec: { terminationGracePeriodSeconds: 7 } });
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const resources = { requests: { cpu: "100m" }, limits: { memory: "64Mi" } };
    const container = createContainerSpec(spec, sandboxId, image, {
      attempt: 4,
      hash: "abc",
      backOff: 20_000,
      container: { resources },
    });
    await runtime.createContainer(container, within());
    const pod = await observeOne(runtime, spec.uid);
    assertEquals([pod.namespace, pod.name, pod.uid, pod.hasDirectory], ["default", "notes", spec.uid, false]);
    const seen = pod.containers[0]!;
    assertEquals([seen.attempt, seen.hash, seen.backOff, seen.graceSeconds], [4, "abc", 20_000, 7]);
    assertEquals([seen.resources, seen.image, seen.sandboxId], [resources, image, sandboxId]);
    assertEquals(seen.logPath, `${spec.logDirectory}/main/4.log`);
    await removePod(runtime, sandboxId);
  },

  "stats tell of running containers, and of no others": async ({ runtime, image }) => {
    const spec = createSandboxSpec({ name: "measured" });
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const id = await runtime.createContainer(createContainerSpec(spec, sandboxId, image), within());
    const own = async () => (await runtime.stats(within())).filter((s) => s.uid === spec.uid);
    assertEquals(await own(), []);
    await runtime.startContainer(id, within());
    await untilListening(runtime, id);
    const [stats, ...others] = await own();
    assertEquals([stats?.id, stats?.name, others.length], [id, "main", 0]);
    assertGreater(stats!.cpu, 100_000);
    assertGreater(stats!.workingSet, 1024);
    assert(stats!.memory >= stats!.workingSet && Math.abs(Date.now() - stats!.at) < 60_000);
    await runtime.stopContainer(id, 10, within());
    assertEquals(await own(), []);
    await removePod(runtime, sandboxId);
  },

  "exit codes arrive with their reasons": async ({ runtime, image }) => {
    for (const [code, reason] of [[0, "Completed"], [3, "Error"]] as const) {
      const spec = createSandboxSpec();
      const sandboxId = await runtime.runPodSandbox(spec, within());
      const container = createContainerSpec(spec, sandboxId, image, { script: `exit ${code}` });
      await runtime.startContainer(await runtime.createContainer(container, within()), within());
      const exited = await untilState(runtime, spec.uid, "exited");
      assertEquals([exited.exitCode, exited.reason], [code, reason]);
      await removePod(runtime, sandboxId);
    }
  },

  "commands run in a container to their end, or to their timeout": async ({ runtime, image }) => {
    const spec = createSandboxSpec();
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const id = await runtime.createContainer(createContainerSpec(spec, sandboxId, image), within());
    await runtime.startContainer(id, within());
    const exec = (script: string, seconds = 10) =>
      runtime.execSync(id, ["sh", "-c", script], seconds, within());
    assertEquals(await exec("echo err >&2; echo out; exit 3"), { exitCode: 3, output: "out\nerr\n" });
    const began = performance.now();
    assertEquals(await exec("sleep 1000", 1), { exitCode: undefined, output: "" });
    assert(performance.now() - began < 10_000);
    await runtime.stopContainer(id, 1, within());
    await untilState(runtime, spec.uid, "exited");
    await assertRejects(() => exec("true"), AgentError);
    await removePod(runtime, sandboxId);
  },

  "attempts are listed newest first": async ({ runtime, image }) => {
    const spec = createSandboxSpec();
    const sandboxId = await runtime.runPodSandbox(spec, within());
    for (const attempt of [0, 1, 2]) {
      await runtime.createContainer(createContainerSpec(spec, sandboxId, image, { attempt }), within());
    }
    const { containers } = await observeOne(runtime, spec.uid);
    assertEquals(containers.map((c) => c.attempt), [2, 1, 0]);
    await removePod(runtime, sandboxId);
  },

  "one pod is observed alone, all of them together": async ({ runtime }) => {
    const specs = [createSandboxSpec({ name: "a" }), createSandboxSpec({ name: "b" })];
    const ids = await Promise.all(specs.map((spec) => runtime.runPodSandbox(spec, within())));
    assertEquals((await observeOne(runtime, specs[0]!.uid)).name, "a");
    const all = await runtime.observe(undefined, within());
    assertEquals(all.map((p) => p.uid).sort(), specs.map((s) => s.uid).sort());
    for (const id of ids) await removePod(runtime, id);
    assertEquals(await runtime.observe(undefined, within()), []);
  },

  "a pod on the host's network has no address of its own": async ({ runtime }) => {
    const spec = createSandboxSpec({ spec: { hostNetwork: true } });
    const id = await runtime.runPodSandbox(spec, within());
    const [sandbox] = (await observeOne(runtime, spec.uid)).sandboxes;
    assertEquals([sandbox?.ready, sandbox?.ips], [true, []]);
    await removePod(runtime, id);
  },

  "creating the same twice ends with one; a changed one takes the place": async ({ runtime, image }) => {
    const spec = createSandboxSpec();
    const sandboxId = await runtime.runPodSandbox(spec, within());
    assertEquals(await runtime.runPodSandbox(spec, within()), sandboxId);
    const container = createContainerSpec(spec, sandboxId, image);
    const id = await runtime.createContainer(container, within());
    assertEquals(await runtime.createContainer(container, within()), id);
    const changed = await runtime.createContainer({ ...container, hash: "c2" }, within());
    assert(changed !== id);
    assertEquals((await observeOne(runtime, spec.uid)).containers.map((c) => c.id), [changed]);
    await runtime.startContainer(changed, within());
    await assertReason(runtime.createContainer(container, within()), "CreateContainerError");

    const other = await runtime.runPodSandbox({ ...spec, hash: "h2" }, within());
    assert(other !== sandboxId);
    const pod = await observeOne(runtime, spec.uid);
    assertEquals([pod.sandboxes.map((s) => s.id), pod.containers], [[other], []]);
    await removePod(runtime, other);
  },

  "removing a sandbox takes running containers with it": async ({ runtime, image }) => {
    const spec = createSandboxSpec();
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const id = await runtime.createContainer(createContainerSpec(spec, sandboxId, image), within());
    await runtime.startContainer(id, within());
    await runtime.removePodSandbox(sandboxId, within());
    assertEquals(await runtime.observe(spec.uid, within()), []);
  },

  "ending what is not there is no failure": async ({ runtime }) => {
    const id = "f".repeat(64);
    await runtime.stopContainer(id, 1, within());
    await runtime.removeContainer(id, within());
    await runtime.stopPodSandbox(id, within());
    await runtime.removePodSandbox(id, within());
  },

  "what cannot be created or started says why": async ({ runtime, image }) => {
    const spec = createSandboxSpec();
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const absent = createContainerSpec(spec, sandboxId, "docker.io/library/absent:1");
    await assertReason(runtime.createContainer(absent, within()), "CreateContainerError");
    await assertReason(runtime.startContainer("f".repeat(64), within()), "RunContainerError");
    await runtime.stopPodSandbox(sandboxId, within());
    const late = createContainerSpec(spec, sandboxId, image);
    await assertReason(runtime.createContainer(late, within()), "CreateContainerError");
    await runtime.removePodSandbox(sandboxId, within());
  },

  "an aborted call is no runtime failure": async ({ runtime }) => {
    const spec = createSandboxSpec();
    await assertReason(runtime.runPodSandbox(spec, AbortSignal.abort()), "Aborted");
    assertEquals(await runtime.observe(spec.uid, within()), []);
  },

  "an exit is hinted at, and observation already shows it": async ({ runtime, image }) => {
    const spec = createSandboxSpec();
    const sandboxId = await runtime.runPodSandbox(spec, within());
    const id = await runtime.createContainer(createContainerSpec(spec, sandboxId, image), within());
    await runtime.startContainer(id, within());
    await observeOne(runtime, spec.uid);
    const stop = new AbortController();
    const states: string[] = [];
    const live = Promise.withResolvers<void>();
    const watch = (async () => {
      for await (const event of runtime.events(AbortSignal.any([stop.signal, within()]))) {
        live.resolve();
        if (event.uid !== spec.uid) continue;
        const state = (await observeOne(runtime, spec.uid)).containers[0]?.state ?? "none";
        states.push(state);
        if (state === "exited") return;
      }
    })();
    await causeEventsUntil(live.promise, runtime, image);
    await untilListening(runtime, id);
    await runtime.stopContainer(id, 10, within());
    await watch;
    stop.abort();
    assertEquals(states, ["exited"]);
    await removePod(runtime, sandboxId);
  },

  "a stream of events ends with its signal": async ({ runtime }) => {
    const stop = new AbortController();
    const ended = (async () => {
      for await (const _ of runtime.events(stop.signal));
    })();
    stop.abort();
    await ended;
  },

  "images are found by any of their names, imported ones are pinned, removed ones are gone": async (
    subject,
  ) => {
    const { images, archive, image } = subject;
    const present = await images.status(image, within());
    assert(present !== undefined);
    assertEquals((await images.status(present.id, within()))?.id, present.id);
    assert((await images.list(within())).some((i) => i.id === present.id));
    assertEquals(await images.status("docker.io/library/absent:1", within()), undefined);

    assertEquals(await images.importArchive(archive.path, within()), [archive.name]);
    const imported = await images.status(archive.name, within());
    assertEquals([imported?.repoTags, imported?.pinned], [[archive.name], true]);
    await images.remove(archive.name, within());
    assertEquals(await images.status(archive.name, within()), undefined);
    await images.remove(archive.name, within());
  },

  "a pull that fails says so": async ({ images }) => {
    await assertReason(images.pull("127.0.0.1:1/absent:1", undefined, within()), "ErrImagePull");
    const invalid = await assertReason(images.pull("UPPER CASE", undefined, within()), "InvalidImageName");
    assertEquals(invalid.retry, false);
  },
};
