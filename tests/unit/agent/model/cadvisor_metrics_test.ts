/** /metrics/cadvisor: families and labels by which dashboards find pods and containers. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { cadvisorMetrics } from "../../../../agent/model/cadvisor_metrics.ts";
import { type CgroupReading, parseInterfaces } from "../../../../agent/model/cgroup_reading.ts";

const reading = (path: string, more: Partial<CgroupReading> = {}): CgroupReading => ({
  ...{ at: 5_000, path, cpu: 2e9, user: 1e9, system: 5e8, periods: 0, throttledPeriods: 0, throttled: 0 },
  ...{ memory: 4096, workingSet: 2048, rss: 1024, cache: 512, mapped: 0, swap: 0, failures: 0, pids: [7] },
  ...{ memoryPeak: 8192, kernel: 0, activeFile: 0, inactiveFile: 2048, pageFaults: 5, majorPageFaults: 1 },
  ...{ oomKills: 0, threads: 2, threadsMax: 0, io: [] },
  ...more,
});

const id = "a".repeat(64);
const network = parseInterfaces(
  "Inter-|   Receive  |  Transmit\n face |bytes packets\n" +
    "    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n vethab: 9 9\n",
);

const facts = {
  usage: {
    at: 5_000,
    node: { at: 5_000, cpu: 9e9, memory: 1, workingSet: 1 },
    pods: [{
      uid: "u",
      containers: [{
        ...{ id, uid: "u", name: "main", at: 1, cpu: 1, memory: 1, workingSet: 1 },
        disk: { bytes: 77, inodes: 1 },
      }],
    }],
  },
  readings: [{
    uid: "u",
    whole: reading("/kubepods/podu"),
    containers: new Map([[
      id,
      reading(`/kubepods/podu/${id}`, {
        periods: 10,
        throttledPeriods: 3,
        throttled: 1.5e9,
        limits: { cpuShares: 2, cpuQuota: 5000, cpuPeriod: 100_000, memory: 1 << 20 },
      }),
    ]]),
    network,
  }],
  pods: [{
    metadata: { name: "web", namespace: "default", uid: "u" },
    spec: { containers: [{ name: "main" }] },
    status: {
      containerStatuses: [{
        ...{ name: "main", image: "app:1", imageID: "", ready: true, restartCount: 0 },
        containerID: `containerd://${id}`,
        state: { running: { startedAt: "1970-01-01T00:00:02Z" } },
      }],
    },
  }],
  network: [],
  disk: { capacity: 1000, available: 400, inodes: 1, inodesFree: 1 },
  machine: { cpus: 2, memory: 1 << 30, ids: { boot_id: "b", machine_id: "m", system_uuid: "s" } },
};

const main =
  `container="main",image="app:1",name="${id}",namespace="default",pod="web",id="/kubepods/podu/${id}"`;
const whole = `container="",image="",name="",namespace="default",pod="web",id="/kubepods/podu"`;
const root = `container="",image="",name="",namespace="",pod="",id="/"`;

Deno.test("containers, their pod and the node are told, each under its labels", () => {
  const text = cadvisorMetrics(facts);
  for (
    const line of [
      `container_cpu_usage_seconds_total{${main},cpu="total"} 2 5000`,
      `container_cpu_usage_seconds_total{${whole},cpu="total"} 2 5000`,
      `container_cpu_usage_seconds_total{${root},cpu="total"} 9 5000`,
      `container_memory_working_set_bytes{${main}} 2048 5000`,
      `container_memory_rss{${main}} 1024 5000`,
      `container_memory_cache{${main}} 512 5000`,
      `container_cpu_cfs_throttled_seconds_total{${main}} 1.5 5000`,
      `container_spec_memory_limit_bytes{${main}} 1048576 5000`,
      `container_fs_usage_bytes{${main},device=""} 77 5000`,
      `container_fs_usage_bytes{${root},device=""} 600 5000`,
      `container_start_time_seconds{${main}} 2 5000`,
      `container_network_receive_bytes_total{${whole},interface="eth0"} 100 5000`,
      `container_network_transmit_packets_dropped_total{${whole},interface="eth0"} 8 5000`,
      `machine_cpu_cores{boot_id="b",machine_id="m",system_uuid="s"} 2`,
      `container_scrape_error 0`,
    ]
  ) assertStringIncludes(text, line.replace(`device=""`, `device=""`) + "\n");
  assert(!text.includes(`container_cpu_cfs_periods_total{${whole}`), "a pod without a CPU limit has periods");
  assert(!text.includes(`interface="lo"`) && !text.includes("vethab"));
});

Deno.test("a pod whose cgroup is gone is left out; each family is described once", () => {
  const text = cadvisorMetrics({ ...facts, readings: [] });
  assert(!text.includes(`pod="web"`));
  const names = cadvisorMetrics(facts).split("\n").filter((l) => l.startsWith("# TYPE"));
  assertEquals(new Set(names).size, names.length);
});
