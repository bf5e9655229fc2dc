/** One worker on the fake runtime: which wish it acts on. Whole lives of pods are in reconciler_test.ts. */
import { assertEquals } from "@std/assert";
import { silentLog } from "../../../../agent/lib/log.ts";
import type { ConfigMap, Pod } from "../../../../agent/model/gen/v1.ts";
import type { Wish } from "../../../../agent/model/wish.ts";
import type { Storage } from "../../../../agent/ports.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";
import { createHost } from "../../../../agent/host.ts";
import { createGate } from "../../../../agent/reconcile/gate.ts";
import { createWorker, type Worker } from "../../../../agent/reconcile/worker.ts";
import { createFakeRuntime, type FakeRuntime } from "../../../fakes/runtime.ts";

const id = { uid: "u1", namespace: "default", name: "web" };

const storage: Storage = {
  claim: () => Promise.resolve(),
  publish: () => Promise.resolve(new Map()),
  containerEdits: () => Promise.resolve({ owner: "volumes" }),
  remove: () => Promise.resolve(),
  known: () => Promise.resolve([]),
  terminationMessage: () => Promise.resolve(undefined),
};

async function withWorker(test: (fake: FakeRuntime, worker: Worker) => Promise<void>) {
  const root = await Deno.makeTempDir();
  const leave = new AbortController();
  const host = createHost();
  const fake = createFakeRuntime();
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
  };
  const archives = { settled: () => Promise.resolve(), brought: () => false };
  const worker = createWorker(
    {
      store: createStatusStore(),
      log: silentLog,
      observe: { host, runtime, storage, logs: node, rootDir: root },
      apply: {
        host,
        runtime,
        storage,
        node,
        cgroups: { ensure: () => Promise.resolve(""), remove: () => Promise.resolve() },
        dns: () => Promise.resolve({ servers: [], searches: [], options: [] }),
        images: { images, archives, pulls: createGate(1), nodeConfig: () => Promise.resolve(undefined) },
      },
    },
    id,
    leave.signal,
  );
  try {
    await test(fake, worker);
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
    objects: { configMaps: new Map([["default/colours", colours]]), secrets: new Map() },
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
