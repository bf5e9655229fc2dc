import { assertEquals } from "@std/assert";
import { createUsageMeter, podDisks } from "../../../../agent/node/usage.ts";
import type { ContainerUsage, Usage } from "../../../../agent/model/usage.ts";
import { createFakeHost } from "../../../fakes/host.ts";

const signal = new AbortController().signal;
const pod = {
  metadata: { name: "web", namespace: "default", uid: "u1" },
  spec: { containers: [{ name: "main" }], volumes: [{ name: "cache", emptyDir: {} }] },
};

function createStage() {
  const host = createFakeHost({
    files: {
      "/proc/stat": "cpu  100 20 30 4000 500 6 7 80 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n",
      "/proc/meminfo":
        "MemTotal: 1000 kB\nMemFree: 400 kB\nInactive(file): 150 kB\nAnonPages: 90 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n",
      "/logs/default_web_u1/main/0.log": "x".repeat(30),
      "/logs/default_web_u1/main/0.log.20260101-000000": "x".repeat(12),
    },
  });
  const calls = { stats: 0, disks: 0, system: 0 };
  const whole: Usage = { at: 0, cpu: 5, memory: 6, workingSet: 7 };
  const container: ContainerUsage = { ...whole, id: "c1", uid: "u1", name: "main" };
  const meter = createUsageMeter({
    host,
    runtime: {
      stats: () => Promise.resolve([{ ...container, at: host.now(), cpu: ++calls.stats * 1e9 }]),
    },
    cgroups: {
      usage: () => Promise.resolve(whole),
      system: () => {
        calls.system++;
        return Promise.resolve([]);
      },
    },
    storage: {
      emptyDirUsage: (_volumes, unit) =>
        Promise.resolve(new Map([["u1", new Map([["cache", unit === "bytes" ? ++calls.disks : 9]])]])),
    },
    pods: () => [pod],
    podLogsDir: "/logs",
    rootDir: "/",
  });
  return { host, meter, calls };
}

Deno.test("the node's usage is that of all processors, and of memory without file pages that lie idle", async () => {
  const { meter, host, calls } = createStage();
  const { node, pods } = await meter.look(signal);
  assertEquals(node, {
    at: host.now(),
    cpu: (100 + 20 + 30 + 6 + 7) * 1e7,
    memory: 600 * 1024,
    workingSet: 450 * 1024,
    rss: 90 * 1024,
    swap: 30 * 1024,
  });
  assertEquals(calls.system, 0, "only who asks for all of it looks at the node's own cgroups");
  assertEquals(pods.map((p) => [p.uid, p.whole?.cpu, p.containers.map((c) => c.name)]), [["u1", 5, [
    "main",
  ]]]);
});

Deno.test("a first question waits a second for its second look; the next takes the last look, unless it is old", async () => {
  const { meter, host, calls } = createStage();
  const windowOf = async () => {
    const { before, now } = await meter.measure(signal);
    return now.at - before.at;
  };
  const first = windowOf();
  const same = meter.measure(signal);
  await host.settle();
  await host.advance(1000);
  assertEquals(await first, 1000);
  await same;
  assertEquals(calls.stats, 2, "who asks meanwhile gets the same answer");
  await host.advance(30_000);
  assertEquals(await windowOf(), 30_000);
  assertEquals(calls.stats, 3);
  await host.advance(121_000);
  const late = windowOf();
  await host.settle();
  await host.advance(1000);
  assertEquals(await late, 1000);
});

Deno.test("logs and emptyDirs are measured at most once a minute", async () => {
  const { meter, host, calls } = createStage();
  const disk = (await meter.disks(signal)).get("u1");
  assertEquals([...disk!.logs, ...disk!.emptyDirs], [["main", 42], ["cache", 1]]);
  const files = (await meter.files(signal)).get("u1");
  assertEquals([...files!.logs, ...files!.emptyDirs], [["main", 2], ["cache", 9]]);
  await host.advance(59_000);
  await meter.disks(signal);
  assertEquals(calls.disks, 1);
  await host.advance(2000);
  await meter.disks(signal);
  assertEquals(calls.disks, 2);
});

Deno.test("a pod whose volumes cannot be measured hides no other", async () => {
  const host = createFakeHost();
  const asked: string[] = [];
  const emptyDirUsage = (volumes: ReadonlyMap<string, readonly string[]>) => {
    asked.push([...volumes.keys()].join("+"));
    if (volumes.has("vast")) return Promise.reject(new Error("it took too long"));
    return Promise.resolve(new Map([...volumes.keys()].map((uid) => [uid, new Map([["cache", 7]])])));
  };
  const of = (uid: string) => ({ ...pod, metadata: { ...pod.metadata, uid } });
  const disks = await podDisks(
    { host, storage: { emptyDirUsage }, podLogsDir: "/logs" },
    [of("vast"), of("u1")],
    "bytes",
    signal,
  );
  assertEquals(asked, ["vast+u1", "vast", "u1"]);
  assertEquals([disks.get("u1")?.emptyDirs.get("cache"), disks.get("vast")?.emptyDirs.size], [7, 0]);
});
