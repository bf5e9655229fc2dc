/** Whole lives of pods on the fake runtime: what the worker does with plans, outcomes, wishes and nudges. */
import { assert, assertEquals } from "@std/assert";
import type { Container, Pod } from "../../../../agent/model/gen/v1.ts";
import type { SandboxSpec } from "../../../../agent/model/container.ts";
import type { Desired, DesiredPod } from "../../../../agent/model/wish.ts";
import { podKey } from "../../../../agent/model/wish.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import { defaultBackOff } from "../../../../agent/model/restart.ts";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import type { Storage } from "../../../../agent/ports.ts";
import { createStatusStore, type StatusStore } from "../../../../agent/status_store.ts";
import { createGate } from "../../../../agent/reconcile/gate.ts";
import { createReconciler, type Reconciler } from "../../../../agent/reconcile/reconciler.ts";
import { runRuntimeWatch } from "../../../../agent/reconcile/watch_runtime.ts";
import { probeOptions } from "../../../fakes/prober.ts";
import { createFakeRuntime, type FakeRuntime } from "../../../fakes/runtime.ts";

const objects = { configMaps: new Map(), secrets: new Map() };

const storage = (root: string, disk: string[]): Storage => ({
  async claim(uid) {
    disk.push("directory made");
    await Deno.mkdir(`${root}/pods/${uid}`, { recursive: true });
  },
  publish: () => Promise.resolve(new Map()),
  containerEdits: (_pod, container) => Promise.resolve({ owner: container.name }),
  async remove(uid) {
    disk.push("directory removed");
    await Deno.remove(`${root}/pods/${uid}`, { recursive: true });
  },
  known: () => Promise.resolve([]),
  keepResources: (uid, _container, given) =>
    Deno.writeTextFile(`${root}/pods/${uid}/given`, JSON.stringify(given)),
  keptResources: (uid) => Deno.readTextFile(`${root}/pods/${uid}/given`).then(JSON.parse, () => undefined),
  terminationMessage: () => Promise.resolve(undefined),
});

interface Bench {
  fake: FakeRuntime;
  store: StatusStore;
  reconciler: Reconciler;
  /** What came and went on the node's disk. */
  disk: string[];
  leave(): Promise<void>;
}

/** A reconciler on a fake runtime that outlives it. */
function createBench(root: string, fake: FakeRuntime): Bench {
  const host = createHost();
  const store = createStatusStore();
  const stop = new AbortController();
  const node = {
    nodeName: "n",
    clusterDomain: "",
    hostIPs: ["192.0.2.1"],
    runtimeName: "fake",
    podLogsDir: `${root}/pods-logs`,
    containerLogsDir: `${root}/containers`,
    backOff: defaultBackOff,
    allocatable: { cpu: 2, memory: 2 ** 31 },
    memoryCapacity: 2 ** 31,
  };
  const disk: string[] = [];
  const volumes = storage(root, disk);
  const { runtime, images } = fake;
  const reconciler = createReconciler({
    runtime,
    storage: volumes,
    store,
    log: silentLog,
    silenceMs: 300,
    apply: {
      host,
      runtime,
      storage: volumes,
      cgroups: {
        ensure: () => Promise.resolve(disk.push("cgroup made")).then(() => ""),
        remove: () => Promise.resolve(void disk.push("cgroup removed")),
      },
      images: {
        images,
        archives: { settled: () => Promise.resolve(), brought: () => false },
        pulls: createGate(2),
        nodeConfig: () => Promise.resolve(undefined),
      },
      node,
      dns: () => Promise.resolve({ servers: [], searches: [], options: [] }),
    },
    observe: { host, runtime, storage: volumes, logs: node, rootDir: root },
    probes: probeOptions(host, runtime),
  }, stop.signal);
  const watch = runRuntimeWatch({
    host,
    runtime,
    log: silentLog,
    nudge: (uid) => reconciler.nudge(uid),
    listed: (pods) => reconciler.takeOver(pods),
    relist: { withEvents: 60_000, withoutEvents: 1000 },
  }, stop.signal);
  const leave = async () => {
    stop.abort();
    await Promise.all([reconciler.finished(), watch]);
  };
  return { fake, store, reconciler, disk, leave };
}

async function withBench(test: (bench: Bench, root: string) => Promise<void>, fake = createFakeRuntime()) {
  const root = await Deno.makeTempDir();
  const bench = createBench(root, fake);
  try {
    await test(bench, root);
  } finally {
    await bench.leave();
    await Deno.remove(root, { recursive: true });
  }
}

const container = (name: string, image = `${name}:1`): Container => ({
  name,
  image,
  imagePullPolicy: "IfNotPresent",
});

const podOf = (name: string, containers: Container[], more: object = {}, uid = name): DesiredPod => {
  const pod: Pod = {
    metadata: { name, namespace: "default", uid },
    spec: { restartPolicy: "Always", terminationGracePeriodSeconds: 1, containers, ...more },
  };
  return { pod, uid, source: "file", origin: `${name}.yaml` };
};

const desired = (...pods: DesiredPod[]): Desired => ({
  pods: new Map(pods.map((p) => [podKey(p.pod), p])),
  objects,
  problems: [],
  complete: true,
});

/** Waits for a condition of the store, told by its changes. */
async function until(bench: Bench, what: string, condition: () => boolean): Promise<void> {
  if (condition()) return;
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`never: ${what}: ${JSON.stringify(bench.store.pods())}`)),
        5000,
      );
      bench.store.subscribe(() => condition() && resolve(), stop.signal);
    });
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

const status = (bench: Bench, name: string) =>
  bench.store.pods().find((p) => p.metadata?.name === name)?.status;
const isReady = (bench: Bench, name: string) =>
  status(bench, name)?.conditions?.find((c) => c.type === "Ready")?.status === "True";
const stateOf = (bench: Bench, name: string, c: string) =>
  status(bench, name)?.containerStatuses?.find((s) => s.name === c);

Deno.test("a pod is started, shown as running, and removed without a trace", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a"), container("b")])));
    await until(b, "ready", () => isReady(b, "web"));
    assertEquals(status(b, "web")?.phase, "Running");
    assertEquals(b.fake.callsOf("runPodSandbox").length, 1);
    b.reconciler.update(desired());
    await until(b, "gone", () => b.store.pods().length === 0);
    assertEquals(b.fake.pods(), []);
  }));

Deno.test("a pod's directory comes before and goes after all else, so that a crash in between is found", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
    assertEquals(b.disk.slice(0, 2), ["directory made", "cgroup made"]);
    b.disk.length = 0;
    b.reconciler.update(desired());
    await until(b, "gone", () => b.store.pods().length === 0);
    assertEquals(b.disk, ["cgroup removed", "directory removed"]);
  }));

Deno.test("the link to a log goes before its container: what is left of a removal that was cut off still tells of it", () =>
  withBench(async (b, root) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
    const links = () => [...Deno.readDirSync(`${root}/containers`)].length;
    assertEquals(links(), 1);
    b.fake.fail("removeContainer", new AgentError("KillContainerError", "cut off"));
    const removing = () => b.fake.callsOf("removeContainer").length > 0;
    b.reconciler.update(desired());
    while (!removing()) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals(links(), 0);
    await until(b, "gone", () => b.store.pods().length === 0);
  }));

Deno.test("a new image of one container leaves the other and the sandbox alone", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a"), container("b")])));
    await until(b, "ready", () => isReady(b, "web"));
    const other = stateOf(b, "web", "b")?.containerID;
    b.reconciler.update(desired(podOf("web", [container("a", "a:2"), container("b")])));
    await until(b, "new image", () => stateOf(b, "web", "a")?.image === "a:2" && isReady(b, "web"));
    assertEquals(stateOf(b, "web", "b")?.containerID, other);
    assertEquals(b.fake.callsOf("runPodSandbox").length, 1);
    assertEquals(stateOf(b, "web", "a")?.restartCount, 1);
  }));

Deno.test("events name the container, and whether it is an init container", () =>
  withBench(async (b) => {
    const pod = podOf("web", [container("a")], { initContainers: [container("first")] });
    b.reconciler.update(desired(pod));
    await until(b, "init runs", () => b.fake.callsOf("startContainer").length === 1);
    b.fake.exit("first", 0);
    await until(b, "ready", () => isReady(b, "web"));
    const started = b.store.events().filter((e) => e.reason === "Started").map((e) => e.fieldPath);
    assertEquals(started, ["spec.initContainers{first}", "spec.containers{a}"]);
  }));

Deno.test("an exit is followed by a restart at once, the next one by back-off", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
    b.fake.exit("a", 1);
    await until(b, "restarted", () => stateOf(b, "web", "a")?.restartCount === 1 && isReady(b, "web"));
    b.fake.exit("a", 1);
    await until(b, "back-off", () => stateOf(b, "web", "a")?.state?.waiting?.reason === "CrashLoopBackOff");
    assert(b.store.events().some((e) => e.reason === "BackOff"));
  }));

Deno.test("an agent that comes back adopts what runs and starts nothing", async () => {
  const fake = createFakeRuntime();
  const pod = podOf("web", [container("a")]);
  await withBench(async (b) => {
    b.reconciler.update(desired(pod));
    await until(b, "ready", () => isReady(b, "web"));
  }, fake);
  await withBench(async (b) => {
    b.reconciler.update(desired(pod));
    await b.reconciler.recover();
    await until(b, "ready", () => isReady(b, "web"));
    assertEquals(fake.callsOf("runPodSandbox").length, 1);
    assertEquals(fake.callsOf("createContainer").length, 1);
  }, fake);
});

Deno.test("resources that were changed in place are changed back by the next agent, which was not there", async () => {
  const fake = createFakeRuntime();
  const root = await Deno.makeTempDir();
  const pod = (memory: string) =>
    desired(podOf("web", [{ ...container("a"), resources: { limits: { memory } } }]));
  const given = () => fake.callsOf("updateContainerResources").length;
  const runUntil = async (b: Bench, wish: Desired, times: number) => {
    b.reconciler.update(wish);
    await until(b, `changed ${times} times`, () => isReady(b, "web") && given() === times);
  };
  const first = createBench(root, fake);
  await runUntil(first, pod("32Mi"), 0);
  await runUntil(first, pod("48Mi"), 1);
  await first.leave();
  const second = createBench(root, fake);
  await runUntil(second, pod("32Mi"), 2);
  await second.leave();
  const third = createBench(root, fake);
  await runUntil(third, pod("32Mi"), 2);
  await third.leave();
  assertEquals(fake.callsOf("createContainer").length, 1);
  await Deno.remove(root, { recursive: true });
});

Deno.test("what nobody wants any more is removed after recovery, and only when all sources have spoken", async () => {
  const fake = createFakeRuntime();
  await withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "ready", () => isReady(b, "web"));
  }, fake);
  await withBench(async (b) => {
    b.reconciler.update({ ...desired(), complete: false });
    await b.reconciler.recover();
    assertEquals(fake.pods().length, 1);
    b.reconciler.update(desired(podOf("other", [container("c")])));
    await until(b, "other is ready", () => isReady(b, "other"));
    while (fake.pods().length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(fake.pods().map((p) => p.name), ["other"]);
  }, fake);
});

Deno.test("a sandbox that appears after its pod was forgotten is removed", () =>
  withBench(async (b) => {
    b.reconciler.update(desired());
    await b.reconciler.recover();
    const late = createFakeRuntime();
    await withBench(async (other) => {
      other.reconciler.update(desired(podOf("late", [container("a")])));
      await until(other, "ready", () => isReady(other, "late"));
    }, late);
    const [call] = late.callsOf("runPodSandbox");
    await b.fake.runtime.runPodSandbox(call!.args[0] as SandboxSpec, new AbortController().signal);
    assertEquals(b.fake.pods().map((p) => p.uid), ["late"]);
    b.reconciler.takeOver(b.fake.pods());
    while (b.fake.pods().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }));

Deno.test("a failed pull is shown and a mended manifest is tried at once", () =>
  withBench(async (b) => {
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "typo:1")])));
    await until(b, "back-off", () => stateOf(b, "web", "a")?.state?.waiting?.reason === "ImagePullBackOff");
    b.reconciler.update(desired(podOf("web", [container("a", "right:1")])));
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("a pod that waits in back-off tries again at once when its image has come, and only then", () =>
  withBench(async (b) => {
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "late:1")])));
    await until(b, "back-off", () => stateOf(b, "web", "a")?.state?.waiting?.reason === "ImagePullBackOff");
    const release = b.fake.hold("images.pull");
    const looked = async (nudge: () => void) => {
      const before = b.fake.callsOf("observe").length;
      nudge();
      while (b.fake.callsOf("observe").length === before) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await looked(() => b.reconciler.retryImages((image) => image === "other:1"));
    await looked(() => b.reconciler.nudge());
    assertEquals(b.fake.callsOf("images.pull").length, 1);
    b.reconciler.retryImages((image) => image === "late:1");
    release();
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("a pull that fails after its image came another way is no reason to wait", () =>
  withBench(async (b) => {
    const release = b.fake.hold("images.pull");
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "late:1")])));
    while (b.fake.held("images.pull") === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    b.reconciler.retryImages(() => true);
    release();
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("an edit whose image cannot be had ends nothing, says so, and takes effect when it can", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a", "good:1")])));
    await until(b, "ready", () => isReady(b, "web"));
    b.fake.fail("images.pull", new AgentError("ErrImagePull", "no such image"));
    b.reconciler.update(desired(podOf("web", [container("a", "typo:1")])));
    await until(b, "told", () => b.store.problems().length > 0);
    assertEquals(
      b.store.problems()[0]?.message,
      "the running container stays until this can start: no such image",
    );
    assertEquals(stateOf(b, "web", "a")?.image, "good:1");
    assert(isReady(b, "web"));
    b.reconciler.update(desired(podOf("web", [container("a", "better:1")])));
    await until(b, "replaced", () => stateOf(b, "web", "a")?.image === "better:1" && isReady(b, "web"));
    await until(b, "no problem", () => b.store.problems().length === 0);
  }));

Deno.test("a newer wish abandons a pull that hangs", () =>
  withBench(async (b) => {
    const release = b.fake.hold("images.pull");
    b.reconciler.update(desired(podOf("web", [container("a", "slow:1")])));
    while (b.fake.held("images.pull") === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    b.reconciler.update(desired());
    await until(b, "gone", () => b.store.pods().length === 0);
    release();
  }));

Deno.test("a pod whose name is held by another uid waits until that one is gone", () =>
  withBench(async (b) => {
    b.reconciler.update(desired(podOf("web", [container("a")], {}, "one")));
    await until(b, "ready", () => isReady(b, "web"));
    b.reconciler.update(desired(podOf("web", [container("a")], {}, "two")));
    await until(b, "second is ready", () => b.store.pods()[0]?.metadata?.uid === "two" && isReady(b, "web"));
    assertEquals(b.fake.pods().map((p) => p.uid), ["two"]);
  }));

Deno.test("a step that fails is tried again and shown meanwhile", () =>
  withBench(async (b) => {
    b.fake.fail("runPodSandbox", new AgentError("CreatePodSandboxError", "no network"));
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "shown", () => status(b, "web")?.message === "no network");
    await until(b, "ready", () => isReady(b, "web"));
  }));

Deno.test("a pod is shown as Unknown while the runtime hangs, and as it is when it answers", () =>
  withBench(async (b) => {
    const release = b.fake.hold("observe");
    b.reconciler.update(desired(podOf("web", [container("a")])));
    await until(b, "shown", () => status(b, "web")?.phase === "Unknown");
    assertEquals(status(b, "web")?.message, "the runtime has not answered yet");
    release();
    await until(b, "ready", () => isReady(b, "web"));
  }));
