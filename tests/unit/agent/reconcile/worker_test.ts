/** One worker on the fake runtime: which wish it acts on. Whole lives of pods are in reconciler_test.ts. */
import { defaultCpuPolicy } from "../../../../agent/model/cpu.ts";
import { assertEquals } from "@std/assert";
import { silentLog } from "../../../../agent/lib/log.ts";
import type { ConfigMap, Pod } from "../../../../agent/model/gen/v1.ts";
import { noObjects, type Wish } from "../../../../agent/model/wish.ts";
import type { Storage } from "../../../../agent/ports.ts";
import { createStatusStore, type StatusStore } from "../../../../agent/status_store.ts";
import { createHost } from "../../../../agent/host.ts";
import { createGate } from "../../../../agent/lib/gate.ts";
import { idPool } from "./bench.ts";
import { createUserNamespaces } from "../../../../agent/reconcile/user_namespaces.ts";
import { createWorker, type Worker } from "../../../../agent/reconcile/worker.ts";
import { createFakeNetworks } from "../../../fakes/networks.ts";
import { type Answer, createFakeProber, probeOptions } from "../../../fakes/prober.ts";
import { createFakeRuntime, type FakeRuntime } from "../../../fakes/runtime.ts";

const id = { uid: "u1", namespace: "default", name: "web" };

const storage: Storage = {
  claim: () => Promise.resolve(),
  publish: () => Promise.resolve(new Map()),
  isStale: () => Promise.resolve(false),
  sweep: () => Promise.resolve(),
  containerEdits: () => Promise.resolve({ owner: "volumes" }),
  remove: () => Promise.resolve(),
  known: () => Promise.resolve([]),
  keepResources: () => Promise.resolve(),
  keptResources: () => Promise.resolve(undefined),
  keepNote: () => Promise.resolve(),
  notes: () => Promise.resolve(new Map()),
  terminationMessage: () => Promise.resolve(undefined),
  clear: () => Promise.resolve(),
  emptyDirUsage: () => Promise.resolve(new Map()),
  envFiles: () => Promise.resolve(new Map()),
};

async function withWorker(
  test: (fake: FakeRuntime, worker: Worker, store: StatusStore) => Promise<void>,
  fake = createFakeRuntime(),
  answer: Answer | undefined = undefined,
) {
  const root = await Deno.makeTempDir();
  const leave = new AbortController();
  const host = createHost();
  const store = createStatusStore();
  const { runtime, images } = fake;
  const node = {
    nodeName: "n",
    clusterDomain: "",
    hostIPs: ["192.0.2.1"],
    runtimeName: "fake",
    podLogsDir: `${root}/pods`,
    containerLogsDir: `${root}/containers`,
    backOff: { base: 0, cap: 0, resetAfter: 0 },
    allocatable: {},
    memoryCapacity: 2 ** 31,
    cpu: defaultCpuPolicy,
    hugePageSizes: [],
  };
  const networks = createFakeNetworks();
  const archives = { settled: () => Promise.resolve(), brought: () => false };
  const worker = createWorker(
    {
      store,
      log: silentLog,
      observe: { host, runtime, storage, networks, logs: node, rootDir: root },
      probes: probeOptions(host, runtime, answer),
      apply: {
        host,
        prober: createFakeProber(),
        runtime,
        storage,
        node,
        cgroups: {
          ensure: () => Promise.resolve(""),
          makeRoom: () => Promise.resolve(),
          usage: () => Promise.resolve(undefined),
          remove: () => Promise.resolve(),
        },
        dns: () => Promise.resolve({ dns: { servers: [], searches: [], options: [] }, warnings: [] }),
        networks,
        userNamespaces: createUserNamespaces({ runtime, pool: () => Promise.resolve(idPool) }),
        images: {
          images,
          archives,
          pulls: createGate(1),
          credentials: { keyrings: () => Promise.resolve({ keyrings: [], failures: [] }) },
        },
      },
    },
    id,
    leave.signal,
  );
  try {
    await test(fake, worker, store);
  } finally {
    leave.abort();
    await worker.finished;
    await Deno.remove(root, { recursive: true });
  }
}

const pod: Pod = {
  metadata: { name: "web", namespace: "default", uid: id.uid },
  spec: {
    containers: [{ name: "a", image: "a:1", envFrom: [{ configMapRef: { name: "colours" } }] }],
  },
};

function wishWith(sky: string): Wish {
  const colours: ConfigMap = { metadata: { name: "colours", namespace: "default" }, data: { SKY: sky } };
  return {
    kind: "present",
    pod: { pod, uid: id.uid, source: "file", origin: "web.yaml" },
    objects: { ...noObjects, configMaps: new Map([["default/colours", colours]]) },
  };
}

async function untilStarted(fake: FakeRuntime, times: number) {
  while (fake.callsOf("startContainer").length < times) await new Promise((r) => setTimeout(r, 5));
}

const skyOf = (fake: FakeRuntime) => fake.specOf("a").env.find((e) => e.name === "SKY")?.value;

Deno.test("variables of a changed ConfigMap restart nothing, and are there at the next start", () =>
  withWorker(async (fake, worker) => {
    worker.put(wishWith("blue"));
    await untilStarted(fake, 1);
    assertEquals(skyOf(fake), "blue");
    const looks = fake.callsOf("observe").length;
    worker.put(wishWith("grey"));
    worker.nudge();
    while (fake.callsOf("observe").length <= looks + 1) {
      worker.nudge();
      await new Promise((r) => setTimeout(r, 5));
    }
    assertEquals(fake.callsOf("startContainer").length, 1);
    fake.exit("a", 1);
    worker.nudge();
    await untilStarted(fake, 2);
    assertEquals(skyOf(fake), "grey");
  }));

function probedWish(probe: object, restartPolicy: string): Wish {
  const wish = wishWith("blue");
  if (wish.kind === "absent") throw new Error("unreachable");
  const spec = { ...pod.spec!, restartPolicy, containers: [{ ...pod.spec!.containers[0]!, ...probe }] };
  return { ...wish, pod: { ...wish.pod, pod: { ...pod, spec } } };
}

const dying = { exec: { command: ["check"] }, periodSeconds: 0.01, failureThreshold: 2 };

Deno.test("a failed liveness probe ends its container with the probe's grace, and another follows, also after exit 0", async () => {
  let failing = true;
  const onExec = () => ({ exitCode: failing ? 1 : 0, output: "deaf" });
  await withWorker(async (fake, worker, store) => {
    // In the order of their first time: a probe may fail once more before its container has ended.
    const told = new Set<string>();
    const stop = new AbortController();
    store.subscribe((change) => {
      if (change.kind === "event") told.add(`${change.event.reason}: ${change.event.message}`);
    }, stop.signal);
    worker.put(probedWish({ livenessProbe: { ...dying, terminationGracePeriodSeconds: 7 } }, "OnFailure"));
    await untilStarted(fake, 1);
    while (fake.callsOf("stopContainer").length === 0) await new Promise((r) => setTimeout(r, 5));
    failing = false;
    await untilStarted(fake, 2);
    assertEquals(fake.callsOf("stopContainer").map((c) => c.args[1]), [7]);
    stop.abort();
    assertEquals([...told].filter((e) => /^(Unhealthy|Killing)/.test(e)), [
      "Unhealthy: Liveness probe failed: deaf",
      "Killing: Container a failed liveness probe, will be restarted",
    ]);
    assertEquals(store.pods()[0]?.status?.phase, "Running");
  }, createFakeRuntime({ onExec, stopCode: 0 }));
});

Deno.test("a pod becomes ready when its probe says so, and an agent that comes back does not take that away", async () => {
  let code = 1;
  const fake = createFakeRuntime({ onExec: () => ({ exitCode: code, output: "" }) });
  const wish = probedWish({ readinessProbe: dying }, "Always");
  const readiness = (store: StatusStore) => store.pods()[0]?.status?.containerStatuses?.[0]?.ready;
  const isReady = async (store: StatusStore, wanted: boolean) => {
    while (readiness(store) !== wanted) await new Promise((r) => setTimeout(r, 2));
  };
  await withWorker(async (_fake, worker, store) => {
    worker.put(wish);
    await untilStarted(fake, 1);
    await isReady(store, false);
    code = 0;
    await isReady(store, true);
  }, fake);
  await withWorker(async (_fake, worker, store) => {
    const seen: unknown[] = [];
    const stop = new AbortController();
    store.subscribe((change) => change.kind === "pod" && seen.push(readiness(store)), stop.signal);
    worker.put(wish);
    await isReady(store, true);
    code = 1;
    await isReady(store, false);
    stop.abort();
    assertEquals(seen, [true, false]);
  }, fake);
  assertEquals(fake.callsOf("startContainer").length, 1);
});

Deno.test("a second removal with a shorter grace cuts the first one short", () =>
  withWorker(async (fake, worker) => {
    const wish = wishWith("blue");
    if (wish.kind === "absent") throw new Error("unreachable");
    const preStop = { exec: { command: ["bye"] } };
    const spec = {
      ...pod.spec!,
      terminationGracePeriodSeconds: 99,
      containers: [{ ...pod.spec!.containers[0]!, lifecycle: { preStop } }],
    };
    worker.put({ ...wish, pod: { ...wish.pod, pod: { ...pod, spec } } });
    await untilStarted(fake, 1);
    const release = fake.hold("execSync");
    worker.put({ kind: "absent", uid: id.uid, key: "default/web" });
    while (fake.held("execSync") === 0) await new Promise((r) => setTimeout(r, 1));
    worker.put({ kind: "absent", uid: id.uid, key: "default/web", graceSeconds: 3 });
    assertEquals(await worker.finished, "gone");
    release();
    assertEquals(fake.callsOf("execSync").map((c) => c.args[2]), [101]);
    assertEquals(fake.callsOf("stopContainer").map((c) => c.args[1]), [3]);
  }));

Deno.test("while the runtime hangs, what probes over the network say is shown all the same", async () => {
  let outcome: "success" | "failure" = "failure";
  const readinessProbe = {
    tcpSocket: { port: 80, host: "192.0.2.9" },
    periodSeconds: 0.01,
    failureThreshold: 1,
  };
  const ready = (store: StatusStore) => store.pods()[0]?.status?.containerStatuses?.[0]?.ready;
  const isReady = async (store: StatusStore, wanted: boolean) => {
    while (ready(store) !== wanted) await new Promise((r) => setTimeout(r, 2));
  };
  await withWorker(
    async (fake, worker, store) => {
      worker.put(probedWish({ readinessProbe }, "Always"));
      await untilStarted(fake, 1);
      await isReady(store, false);
      const wake = fake.hold("observe");
      worker.nudge();
      while (fake.held("observe") === 0) await new Promise((r) => setTimeout(r, 2));
      outcome = "success";
      await isReady(store, true);
      outcome = "failure";
      await isReady(store, false);
      assertEquals(fake.held("observe"), 1, "it still hangs");
      wake();
    },
    createFakeRuntime(),
    () => ({ outcome, message: "" }),
  );
});
