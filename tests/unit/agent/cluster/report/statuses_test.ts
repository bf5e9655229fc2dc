import { assertEquals, assertRejects } from "@std/assert";
import { watchPods } from "../../../../../agent/cluster/pods/pods.ts";
import { createStatusReport, type StatusReport } from "../../../../../agent/cluster/report/statuses.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { Pod, PodStatus } from "../../../../../agent/model/gen/v1.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { unknownTo133 } from "../../../../fakes/cluster/older.ts";
import { kinds, type Settings } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { administrator, connected, never } from "../connected.ts";

const node = { commonName: "system:node:box", organizations: ["system:nodes"] };

interface Bench {
  cluster: Cluster;
  report: StatusReport;
  create(name: string, more?: Record<string, unknown>): Promise<string>;
  remove(name: string, grace: number): Promise<void>;
  pod(name: string): Pod | undefined;
  /** Methods of the requests about statuses and deletions of the node. */
  sent(): string[];
}

async function withReport(
  test: (bench: Bench) => Promise<void>,
  settings: Partial<Settings> = {},
): Promise<void> {
  await using cluster = await startCluster({ settings });
  using api = await connected(cluster, { subject: node });
  using admin = await connected(cluster, { subject: administrator });
  const stop = new AbortController();
  const report = createStatusReport({ api, log: silentLog, rate: { qps: 0, burst: 0 }, random: () => 0 });
  const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
  let shown: ReadonlySet<string> = new Set();
  const watching = watchPods({
    api,
    nodeName: "box",
    log: silentLog,
    pause,
    restored: () => report.retry(),
    changed(pods) {
      report.shown([...pods.values()].map((p) => p.pod));
      shown = new Set([...pods.values()].map((p) => p.uid));
    },
  }, stop.signal);
  const running = report.run(stop.signal);
  const path = "/api/v1/namespaces/default/pods";
  try {
    await test({
      cluster,
      report,
      async create(name, more = {}) {
        const spec = { nodeName: "box", containers: [{ name: "c", image: "c:1" }], ...more };
        const body = { apiVersion: "v1", kind: "Pod", metadata: { name }, spec };
        const pod = await admin.ask({ method: "POST", path, body, signal: never() }) as Pod;
        await until("it is shown", () => shown.has(pod.metadata!.uid!));
        return pod.metadata!.uid!;
      },
      async remove(name, gracePeriodSeconds) {
        const body = { gracePeriodSeconds };
        await admin.ask({ method: "DELETE", path: `${path}/${name}`, body, signal: never() });
      },
      pod: (name) => cluster.world.store.get(kinds.pod, "default", name) as Pod | undefined,
      sent: () =>
        cluster.requests.filter((r) => r.user === "system:node:box" && r.method !== "GET").map((r) =>
          r.method
        ),
    });
  } finally {
    stop.abort();
    await Promise.all([watching, running]);
  }
}

const running = (restartCount = 0): PodStatus => ({
  phase: "Running",
  conditions: [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }],
  podIP: "10.0.0.7",
  podIPs: [{ ip: "10.0.0.7" }],
  containerStatuses: [{
    name: "c",
    image: "c:1",
    imageID: "",
    ready: true,
    restartCount,
    state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
  }],
});
const succeeded = (): PodStatus => ({
  ...running(),
  phase: "Succeeded",
  conditions: [{ type: "Ready", status: "False", lastTransitionTime: "2026-01-01T00:00:09Z" }],
  containerStatuses: [{
    ...running().containerStatuses![0]!,
    ready: false,
    state: { terminated: { exitCode: 0, reason: "Completed" } },
  }],
});

const stored = (name: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name,
    namespace: "default",
    uid: name,
    resourceVersion: "",
    creationTimestamp: "2026-01-01T00:00:00Z",
  },
  spec: { nodeName: "box", containers: [{ name: "c" }] },
  status: { phase: "Running" },
});

const restarts = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.restartCount;

Deno.test("a status is told once; what does not change costs no request", () =>
  withReport(async ({ report, create, pod, sent }) => {
    const uid = await create("web");
    report.put(uid, running());
    await until("it is told", () => pod("web")?.status?.phase === "Running");
    await report.told(uid, never());
    assertEquals(pod("web")?.status?.podIPs, [{ ip: "10.0.0.7" }]);
    report.put(uid, running());
    report.put(uid, running(1));
    await until("the next is told", () => restarts(pod("web")) === 1);
    await report.told(uid, never());
    assertEquals(sent(), ["PATCH", "PATCH"]);
  }));

Deno.test("what was said before the API server had shown its pods is told when it does", async () => {
  await using cluster = await startCluster();
  using api = await connected(cluster, { subject: node });
  const stop = new AbortController();
  const report = createStatusReport({ api, log: silentLog, rate: { qps: 0, burst: 0 }, random: () => 0 });
  const work = report.run(stop.signal);
  const [pod, deletionTimestamp] = [
    cluster.world.store.put(kinds.pod, stored("web")),
    "2026-01-01T00:00:00Z",
  ];
  const { uid } = pod.metadata;
  report.put(uid, succeeded());
  report.put("nobody's", running());
  report.departed(uid);
  let known = false;
  const told = Promise.all([report.told(uid, never()), report.told("nobody's", never())]).then(() =>
    known = true
  );
  await report.told("who never was here", never());
  assertEquals(known, false);
  report.shown([cluster.world.store.put(kinds.pod, {
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp, deletionGracePeriodSeconds: 30 },
  }) as unknown as Pod]);
  await told;
  await until("it is gone", () => cluster.world.store.get(kinds.pod, "default", "web") === undefined);
  const last = cluster.requests.filter((r) => r.method !== "GET").map((r) => r.method);
  assertEquals(last, ["PATCH", "DELETE"]);
  stop.abort();
  await work;
});

Deno.test("while one status is under way the newest alone waits, and comes after it", () =>
  withReport(async ({ cluster, report, create, pod, sent }) => {
    const uid = await create("web");
    cluster.faults.add({ when: (r) => r.method === "PATCH", times: 1, delay: 100 });
    report.put(uid, running());
    await until("the first is under way", () => sent().length === 1);
    for (let count = 1; count <= 20; count++) report.put(uid, running(count));
    await report.told(uid, never());
    assertEquals([restarts(pod("web")), sent()], [20, ["PATCH", "PATCH"]]);
  }));

Deno.test("an API server that keeps less than it is told is not told again and again", () =>
  withReport(async ({ report, create, pod, sent }) => {
    const uid = await create("web");
    report.put(uid, { ...running(), observedGeneration: 1 });
    await report.told(uid, never());
    report.put(uid, { ...running(1), observedGeneration: 1 });
    await until("it knows the rest", () => restarts(pod("web")) === 1);
    await report.told(uid, never());
    assertEquals([sent(), pod("web")?.status?.observedGeneration], [["PATCH", "PATCH"], undefined]);
  }, { unknownFields: unknownTo133 }));

Deno.test("a failing API server is asked again, and gets the newest", () =>
  withReport(async ({ cluster, report, create, pod }) => {
    const uid = await create("web");
    cluster.faults.add({ when: (r) => r.method === "PATCH", times: 2, answer: { status: 500 } });
    report.put(uid, running());
    await until("it was refused", () => cluster.requests.filter((r) => r.method === "PATCH").length > 0);
    report.put(uid, running(3));
    await until("it knows", () => restarts(pod("web")) === 3);
  }));

Deno.test("a status that the API server takes for wrong is not told again, nor waited for", () =>
  withReport(async ({ cluster, report, create, pod, sent }) => {
    const uid = await create("web");
    const mend = cluster.faults.add({ when: (r) => r.method === "PATCH", answer: { status: 422 } });
    report.put(uid, running(1));
    await report.told(uid, never());
    mend();
    report.put(uid, running(2));
    await until("the next is told", () => restarts(pod("web")) === 2);
    assertEquals(sent(), ["PATCH", "PATCH"]);
  }));

Deno.test("while it cannot be reached statuses wait; when it is back what differs is told, and no more", () =>
  withReport(async ({ cluster, report, create, pod, sent }) => {
    const [a, b] = [await create("a"), await create("b")];
    report.put(a, running());
    report.put(b, running());
    await Promise.all([report.told(a, never()), report.told(b, never())]);
    await cluster.pause();
    report.put(a, running(1));
    report.put(b, running(1));
    report.put(b, running());
    await cluster.resume();
    await until("it knows", () => restarts(pod("a")) === 1);
    await Promise.all([report.told(a, never()), report.told(b, never())]);
    assertEquals(sent(), ["PATCH", "PATCH", "PATCH"]);
  }));

Deno.test("a pod that ends is deleted when nothing of it is left, after its last status", () =>
  withReport(async ({ cluster, report, create, remove, pod, sent }) => {
    const uid = await create("web");
    report.put(uid, running());
    await report.told(uid, never());
    await remove("web", 30);
    assertEquals(typeof pod("web")?.metadata?.deletionTimestamp, "string");
    cluster.faults.add({ when: (r) => r.method === "PATCH", times: 1, answer: { status: 503 } });
    const last: Pod[] = [];
    using _end = disposable(cluster.world.store.subscribe(({ object, gone }) => {
      if (gone && object.kind === "Pod") last.push(object as unknown as Pod);
    }));
    report.put(uid, succeeded());
    report.departed(uid);
    await until("it is gone", () => pod("web") === undefined);
    assertEquals(last.map((p) => p.status?.phase), ["Succeeded"]);
    assertEquals(sent().at(-1), "DELETE");
  }));

Deno.test("a pod that departs before anybody wants it to end is deleted when that is wanted, unless it came back", () =>
  withReport(async ({ report, create, remove, pod, sent }) => {
    const [a, b] = [await create("a"), await create("b")];
    for (const uid of [a, b]) report.departed(uid);
    report.put(b, running());
    await report.told(b, never());
    await remove("a", 30);
    await remove("b", 30);
    await until("it is gone", () => pod("a") === undefined);
    assertEquals([pod("b")?.status?.phase, sent()], ["Running", ["PATCH", "DELETE"]]);
  }));

Deno.test("nobody waits for what is not shown any more; a pod of the same name is another", () =>
  withReport(async ({ cluster, report, create, remove, pod }) => {
    const uid = await create("web");
    const mend = cluster.faults.add({ when: (r) => r.method === "PATCH", answer: { status: 403 } });
    report.put(uid, running(7));
    const told = report.told(uid, never());
    await until("it was refused", () => cluster.requests.some((r) => r.method === "PATCH"));
    await remove("web", 0);
    await told;
    mend();
    const other = await create("web");
    report.put(other, running());
    await report.told(other, never());
    assertEquals([restarts(pod("web")), pod("web")?.metadata?.uid], [0, other]);
    await assertRejects(() => report.told(other, AbortSignal.abort(new Error("left"))), Error, "left");
  }));

const disposable = (end: () => void): Disposable => ({ [Symbol.dispose]: end });
