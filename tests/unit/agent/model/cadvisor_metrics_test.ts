/** /metrics/cadvisor: families and labels by which dashboards find pods and containers. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { cadvisorMetrics } from "../../../../agent/model/cadvisor_metrics.ts";
import { type CgroupReading, parseInterfaces } from "../../../../agent/model/cgroup_reading.ts";

const reading = (path: string, more: Partial<CgroupReading> = {}): CgroupReading => ({
  ...{ at: 5_000, path, cpu: 2e9, user: 1e9, system: 5e8, periods: 0, throttledPeriods: 0, throttled: 0 },
  ...{ memory: 4096, workingSet: 2048, rss: 1024, cache: 512, mapped: 0, swap: 0, failures: 0, pids: [7] },
  ...{ memoryPeak: 8192, kernel: 0, activeFile: 0, inactiveFile: 2048, pageFaults: 5, majorPageFaults: 1 },
  ...{ oomKills: 0, threads: 2, threadsMax: 99, io: [] },
  ...more,
});

const stall = (total: number) => ({ avg10: 0, avg60: 0, avg300: 0, total });
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
        io: [
          { device: "253:0", bytes: { Read: 4096, Write: 512 }, operations: { Read: 3, Write: 1 } },
          { device: "7:1", bytes: { Read: 1 }, operations: {} },
        ],
        pressure: { cpu: { some: stall(2e6), full: stall(5e5) }, memory: undefined, io: undefined },
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
  node: {
    ...{
      at: 5_000,
      bootedAt: 1_000,
      pageFaults: 6,
      majorPageFaults: 2,
      network: [],
      tasks: { now: 70, most: 99 },
    },
    ...{
      swap: { used: 3, free: 4 },
      io: [{ device: "253:0", bytes: { Read: 9 }, operations: { Read: 8 } }],
      pressure: { cpu: undefined, memory: undefined, io: undefined },
    },
  },
  system: [{ name: "pods" as const, reading: reading("/kubepods") }],
  fileDescriptors: new Map([[id, 11]]),
  disk: { device: "/dev/vda1", capacity: { capacity: 1000, available: 400, inodes: 10, inodesFree: 4 } },
  devices: new Map([["253:0", "/dev/vda"]]),
  machine: {
    cpus: 2,
    cores: 1,
    memory: 1 << 30,
    kernel: "6.1",
    system: "Debian",
    ids: { boot_id: "b", machine_id: "m", system_uuid: "s" },
  },
};

const main =
  `container="main",image="app:1",name="${id}",namespace="default",pod="web",id="/kubepods/podu/${id}"`;
const whole = `container="",image="",name="",namespace="default",pod="web",id="/kubepods/podu"`;
const all = `container="",image="",name="",namespace="",pod="",id="/kubepods"`;
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
      `container_fs_usage_bytes{${main},device="/dev/vda1"} 77 5000`,
      `container_fs_usage_bytes{${root},device="/dev/vda1"} 600 5000`,
      `container_fs_limit_bytes{${root},device="/dev/vda1"} 1000 5000`,
      `container_fs_inodes_free{${root},device="/dev/vda1"} 4 5000`,
      `container_fs_reads_total{${main},device="/dev/vda"} 3 5000`,
      `container_fs_writes_bytes_total{${main},device="/dev/vda"} 512 5000`,
      `container_fs_reads_bytes_total{${main},device="7:1"} 1 5000`,
      `container_blkio_device_usage_total{${main},device="/dev/vda",major="253",minor="0",operation="Write"} 512 5000`,
      `container_pressure_cpu_waiting_seconds_total{${main}} 2 5000`,
      `container_pressure_cpu_stalled_seconds_total{${main}} 0.5 5000`,
      `container_memory_failures_total{${main},failure_type="pgfault",scope="hierarchy"} 5 5000`,
      `container_processes{${main}} 1 5000`,
      `container_threads{${main}} 2 5000`,
      `container_threads_max{${main}} 99 5000`,
      `container_file_descriptors{${main}} 11 5000`,
      `container_memory_usage_bytes{${all}} 4096 5000`,
      `container_memory_swap{${root}} 3 5000`,
      `container_fs_reads_total{${root},device="/dev/vda"} 8 5000`,
      `container_spec_memory_limit_bytes{${root}} 1073741824 5000`,
      `machine_cpu_physical_cores{boot_id="b",machine_id="m",system_uuid="s"} 1`,
      `machine_swap_bytes{boot_id="b",machine_id="m",system_uuid="s"} 7`,
      `container_start_time_seconds{${main}} 2 5000`,
      `container_network_receive_bytes_total{${whole},interface="eth0"} 100 5000`,
      `container_network_transmit_packets_dropped_total{${whole},interface="eth0"} 8 5000`,
      `machine_cpu_cores{boot_id="b",machine_id="m",system_uuid="s"} 2`,
      `container_scrape_error 0`,
    ]
  ) assertStringIncludes(text, line + "\n");
  assert(!text.includes(`container_cpu_cfs_periods_total{${whole}`), "a pod without a CPU limit has periods");
  assert(!text.includes(`interface="lo"`) && !text.includes("vethab"));
});

Deno.test("a pod whose cgroup is gone is left out; each family is described once", () => {
  const text = cadvisorMetrics({ ...facts, readings: [] });
  assert(!text.includes(`pod="web"`));
  const names = cadvisorMetrics(facts).split("\n").filter((l) => l.startsWith("# TYPE"));
  assertEquals(new Set(names).size, names.length);
});

/** What kube-prometheus-stack's dashboards, rules and alerts read of this page. */
const scraped = [
  ...["cpu_usage_seconds_total", "cpu_cfs_periods_total", "cpu_cfs_throttled_periods_total"],
  ...["memory_rss", "memory_cache", "memory_swap", "memory_usage_bytes", "memory_working_set_bytes"],
  ...["memory_failcnt", "memory_max_usage_bytes", "memory_mapped_file", "oom_events_total"],
  ...["fs_reads_total", "fs_writes_total", "fs_reads_bytes_total", "fs_writes_bytes_total", "fs_usage_bytes"],
  ...[
    "fs_limit_bytes",
    "blkio_device_usage_total",
    "processes",
    "threads",
    "start_time_seconds",
    "last_seen",
  ],
  ...["network_receive_bytes_total", "network_transmit_bytes_total", "network_receive_packets_total"],
  ...["network_transmit_packets_total", "network_receive_packets_dropped_total"],
  ...["network_transmit_packets_dropped_total", "network_receive_errors_total", "spec_cpu_quota"],
  ...["spec_cpu_period", "spec_cpu_shares", "spec_memory_limit_bytes", "pressure_cpu_waiting_seconds_total"],
];

Deno.test("every family that is commonly scraped is there, and no sample is told twice", () => {
  const lines = cadvisorMetrics(facts).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const series = lines.map((line) => line.replace(/ .*$/, ""));
  assertEquals(series.filter((s, i) => series.indexOf(s) !== i), []);
  const families = new Set(series.map((s) => s.replace(/\{.*$/, "")));
  assertEquals(scraped.filter((name) => !families.has(`container_${name}`)), []);
});
