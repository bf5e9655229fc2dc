import { assertEquals } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { nodeMetrics, podMetrics, resourceMetrics } from "../../../../agent/model/resource_metrics.ts";
import { nanoCores, type NodeUsage, type Usage } from "../../../../agent/model/usage.ts";

const start = Date.UTC(2026, 0, 1);
const used = (at: number, cpu: number, memory = 4096): Usage => ({
  at,
  cpu,
  memory: memory * 2,
  workingSet: memory,
  swap: 64,
  swapLimit: 128,
});

const look = (at: number, cpu: number): NodeUsage => ({
  at,
  node: used(at, cpu * 10, 2 ** 20),
  pods: [{
    uid: "u1",
    whole: used(at, cpu * 2, 2 ** 14),
    containers: [{ id: "c1", uid: "u1", name: "main", ...used(at, cpu), disk: { bytes: 100, inodes: 3 } }],
  }],
});
const measured = { before: look(start, 1e9), now: look(start + 2000, 1.5e9) };
const web: Pod = {
  metadata: { name: "web", namespace: "default", uid: "u1" },
  spec: {
    containers: [{ name: "main" }],
    volumes: [{ name: "m", emptyDir: { medium: "Memory" } }, { name: "d", emptyDir: {} }],
  },
  status: {
    startTime: "2025-12-31T00:00:00Z",
    containerStatuses: [{
      name: "main",
      image: "",
      imageID: "",
      ready: true,
      restartCount: 0,
      state: { running: { startedAt: "2025-12-31T00:00:01Z" } },
    }],
  },
};
const idle: Pod = { metadata: { name: "idle", namespace: "default", uid: "u2" }, spec: { containers: [] } };

Deno.test("cores are the processor time between two looks at the same thing", () => {
  assertEquals(nanoCores(used(0, 0), used(1000, 5e8)), 5e8);
  assertEquals(nanoCores(used(0, 1e9), used(2500, 6e9)), 2e9);
  assertEquals(nanoCores(undefined, used(1000, 5)), undefined);
  assertEquals(nanoCores(used(0, 9), used(1000, 5)), undefined, "it was started anew");
  assertEquals(nanoCores(used(1000, 5), used(1000, 5)), undefined);
});

Deno.test("metrics of pods and of the node name the window they are of", () => {
  assertEquals(podMetrics(measured, [web, idle]), [{
    metadata: { name: "web", namespace: "default" },
    timestamp: "2026-01-01T00:00:02.000Z",
    window: "2s",
    containers: [{ name: "main", usage: { cpu: "250000000n", memory: "4Ki" } }],
  }]);
  assertEquals(nodeMetrics(measured, "box", { cpu: 4, memory: 2 ** 30 }), {
    metadata: { name: "box" },
    timestamp: "2026-01-01T00:00:02.000Z",
    window: "2s",
    usage: { cpu: "2500000000n", memory: "1024Ki" },
    allocatable: { cpu: "4000000000n", memory: "1048576Ki" },
  });
});

Deno.test("/metrics/resource speaks as the kubelet's", () => {
  const lines = resourceMetrics(measured.now, [web, idle]).split("\n").filter((line) =>
    !line.startsWith("#")
  );
  const at = start + 2000;
  assertEquals(lines, [
    `container_cpu_usage_seconds_total{container="main",namespace="default",pod="web"} 1.5 ${at}`,
    `container_memory_working_set_bytes{container="main",namespace="default",pod="web"} 4096 ${at}`,
    `container_start_time_seconds{container="main",namespace="default",pod="web"} 1767139201 ${at}`,
    `container_swap_limit_bytes{container="main",namespace="default",pod="web"} 128 ${at}`,
    `container_swap_usage_bytes{container="main",namespace="default",pod="web"} 64 ${at}`,
    `node_cpu_usage_seconds_total 15 ${at}`,
    `node_memory_working_set_bytes 1048576 ${at}`,
    `node_swap_usage_bytes 64 ${at}`,
    `pod_cpu_usage_seconds_total{namespace="default",pod="web"} 3 ${at}`,
    `pod_memory_working_set_bytes{namespace="default",pod="web"} 16384 ${at}`,
    `pod_swap_usage_bytes{namespace="default",pod="web"} 64 ${at}`,
    "resource_scrape_error 0",
    "",
  ]);
});
