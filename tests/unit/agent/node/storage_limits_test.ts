import { assertEquals, assertStringIncludes } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import type { Pod, PodSpec } from "../../../../agent/model/gen/v1.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import { createMetrics } from "../../../../agent/lib/metrics.ts";
import type { PodEnd } from "../../../../agent/model/end.ts";
import { runStorageLimits, type StorageLimitOptions } from "../../../../agent/node/storage_limits.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";
import { until } from "../../../fakes/until.ts";

const podOf = (uid: string, phase: string, spec: Partial<PodSpec>, reason?: string): Pod => ({
  metadata: { name: uid, namespace: "default", uid },
  spec: { containers: [{ name: "main" }], ...spec },
  status: { phase, ...(reason === undefined ? {} : { reason }) },
});
const limited: Partial<PodSpec> = { volumes: [{ name: "v", emptyDir: { sizeLimit: "10" } }] };

async function withWatch(test: (stage: ReturnType<typeof createStage>) => Promise<void>): Promise<void> {
  const stage = createStage();
  const stop = new AbortController();
  const running = runStorageLimits(stage.options, stop.signal);
  try {
    await test(stage);
  } finally {
    stop.abort();
    await running;
  }
}

function createStage() {
  const store = createStatusStore();
  const ended: [string, PodEnd][] = [];
  const restarted: string[] = [];
  const notes = new Map<string, string>();
  const used = new Map<string, number>();
  const calls = { measured: 0, stats: 0 };
  const metrics = createMetrics();
  const options: StorageLimitOptions = {
    host: createHost(),
    store,
    log: silentLog,
    metrics,
    podLogsDir: "/nonexistent",
    everyMs: 5,
    backOff: { base: 0, cap: 60_000 },
    runtime: {
      stats: () => {
        calls.stats++;
        const whole = { at: 0, cpu: 0, memory: 0, workingSet: 0 };
        return Promise.resolve([{
          ...whole,
          id: "c",
          uid: "u",
          name: "main",
          disk: { bytes: 11, inodes: 1 },
        }]);
      },
    },
    storage: {
      emptyDirUsage: (volumes) => {
        calls.measured++;
        const sizes = (
          uid: string,
        ): [string, Map<string, number>] => [uid, new Map([["v", used.get(uid) ?? 0]])];
        return Promise.resolve(new Map([...volumes.keys()].map(sizes)));
      },
      keepNote: (uid, name, text) => Promise.resolve(void notes.set(`${uid}/${name}`, text!)),
      notes: (uid) => {
        const text = notes.get(`${uid}/evictions`);
        return Promise.resolve(new Map(text === undefined ? [] : [["evictions", text]]));
      },
    },
    end: (uid, end) => Promise.resolve(void ended.push([uid, end])),
    restart: (uid) => restarted.push(uid) > 0,
  };
  return { store, ended, restarted, notes, used, calls, metrics, options };
}

Deno.test("a pod that exceeds a limit is ended once, with its eviction on record before", () =>
  withWatch(async ({ store, ended, notes, used, calls, metrics }) => {
    store.putPod(podOf("free", "Running", { volumes: [{ name: "v", emptyDir: {} }] }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    assertEquals(calls, { measured: 0, stats: 0 }, "nothing is measured for pods without limits");
    store.putPod(podOf("u", "Running", limited));
    await until("it is measured", () => calls.measured > 2);
    assertEquals(ended, []);
    used.set("u", 11);
    await until("it is ended", () => ended.length > 0);
    assertEquals(ended[0], ["u", {
      reason: "Evicted",
      message: 'Usage of EmptyDir volume "v" exceeds the limit "10". ',
    }]);
    assertEquals(JSON.parse(notes.get("u/evictions")!).count, 1);
    const before = calls.measured;
    await until("it is measured again while it stops", () => calls.measured > before + 2);
    assertEquals([ended.length, calls.stats], [1, 0]);
    store.putPod(podOf("u", "Running", { ...limited, hostname: "edited" }));
    await until("its next life is ended, too", () => ended.length === 2);
    assertEquals(JSON.parse(notes.get("u/evictions")!).count, 2);
    assertStringIncludes(metrics.render(), 'kubelet_evictions{eviction_signal="emptydirfs.limit"} 2');
  }));

Deno.test("the writable layer counts against a container's limit of ephemeral-storage", () =>
  withWatch(async ({ store, ended }) => {
    const resources = { limits: { "ephemeral-storage": "10" } };
    store.putPod(podOf("u", "Running", { containers: [{ name: "main", resources }] }));
    await until("it is ended", () => ended.length > 0);
    assertEquals(
      ended[0]?.[1].message,
      "Pod ephemeral local storage usage exceeds the total limit of containers 10. ",
    );
  }));

Deno.test("an evicted pod begins anew when its wait is over; one that rests, or was ended otherwise, does not", () =>
  withWatch(async ({ store, restarted, notes }) => {
    for (const uid of ["always", "never", "late"]) notes.set(`${uid}/evictions`, '{"count":1,"at":1000}');
    store.putPod(podOf("never", "Failed", { restartPolicy: "Never" }, "Evicted"));
    store.putPod(podOf("late", "Failed", {}, "DeadlineExceeded"));
    store.putPod(podOf("always", "Failed", {}, "Evicted"));
    await until("it begins anew", () => restarted.length > 0);
    store.putPod(podOf("always", "Pending", {}));
    assertEquals(new Set(restarted), new Set(["always"]));
  }));

Deno.test("an evicted pod of the API server is over: nobody asks for it again and again", () =>
  withWatch(async ({ store, restarted, notes, options, calls }) => {
    let looks = 0;
    const { notes: read } = options.storage;
    options.storage.notes = (uid) => (looks++, read(uid));
    const pod = podOf("api", "Failed", {}, "Evicted");
    const annotations = { "kubernetes.io/config.source": "api" };
    notes.set("api/evictions", '{"count":1,"at":1000}');
    store.putPod({ ...pod, metadata: { ...pod.metadata, annotations } });
    store.putPod(podOf("u", "Running", limited));
    await until("others are measured", () => calls.measured > 2);
    assertEquals([looks, restarted], [0, []]);
  }));
