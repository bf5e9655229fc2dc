/** /stats/summary: fields and their meaning are the kubelet's. */
import { assert, assertEquals } from "@std/assert";
import { type CgroupReading, parseInterfaces } from "../../../../agent/model/cgroup_reading.ts";
import { parsePressure } from "../../../../agent/model/cgroup_parse.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { statsSummary, type SummaryFacts } from "../../../../agent/model/stats_summary.ts";
import type { NodeUsage, Usage } from "../../../../agent/model/usage.ts";

const start = Date.UTC(2026, 0, 1);
const time = "2026-01-01T00:00:02Z";
const at = start + 2000;
const used = (at: number, cpu: number, memory = 4096): Usage => ({
  ...{ at, cpu, memory: memory * 2, workingSet: memory, rss: 7 },
});
const stall = (total: number) => ({ avg10: 0.5, avg60: 0, avg300: 0, total });
const pressure = parsePressure(
  "some avg10=0.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=4",
);
const psi = { full: stall(4), some: stall(9) };

const reading = (path: string, more: Partial<CgroupReading> = {}): CgroupReading => ({
  ...{ ...used(at, 5e8), rss: 7, path, user: 0, system: 0, periods: 0, throttledPeriods: 0, throttled: 0 },
  ...{
    memoryPeak: 0,
    cache: 0,
    mapped: 0,
    kernel: 0,
    activeFile: 0,
    inactiveFile: 0,
    swap: 5,
    swapLimit: 25,
  },
  ...{
    pageFaults: 33,
    majorPageFaults: 2,
    failures: 0,
    oomKills: 0,
    pids: [1, 2],
    threads: 3,
    threadsMax: 0,
  },
  ...{
    io: [],
    limits: { cpuShares: 2, memory: 10_000 },
    pressure: { cpu: pressure, memory: pressure, io: pressure },
  },
  ...more,
});

const look = (at: number, cpu: number): NodeUsage => ({
  at,
  node: used(at, cpu * 10, 2 ** 20),
  pods: [{
    uid: "u1",
    whole: used(at, cpu * 2, 2 ** 14),
    containers: [{ id: "c1", uid: "u1", name: "main", ...used(at, cpu), disk: { bytes: 100, inodes: 3 } }],
  }],
  system: [{ name: "pods", startedAt: start - 1800_000, reading: reading("/kubepods", { at, cpu }) }],
});
const measured = { before: look(start, 1e9), now: look(at, 1.5e9) };
const web: Pod = {
  metadata: { name: "web", namespace: "default", uid: "u1" },
  spec: {
    containers: [{ name: "main" }],
    volumes: [{ name: "m", emptyDir: { medium: "Memory" } }, { name: "d", emptyDir: {} }],
  },
  status: {
    startTime: "2025-12-31T00:00:00Z",
    containerStatuses: [{
      ...{
        name: "main",
        image: "",
        imageID: "",
        ready: true,
        restartCount: 0,
        containerID: "containerd://c1",
      },
      state: { running: { startedAt: "2025-12-31T00:00:01Z" } },
    }],
  },
};
const idle: Pod = { metadata: { name: "idle", namespace: "default", uid: "u2" }, spec: { containers: [] } };
const network = parseInterfaces(
  "h\nh\n  eth0: 10 1 3 0 0 0 0 0 20 2 4 0 0 0 0 0\n  net1: 1 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0\n",
);
const disk = { capacity: 1000, available: 600, free: 700, inodes: 50, inodesFree: 20 };

const facts: SummaryFacts = {
  node: {
    nodeName: "box",
    memoryCapacity: 2 ** 21,
    startedAt: start - 60_000,
    reading: {
      ...{ at, bootedAt: start - 3600_000, pageFaults: 1000, majorPageFaults: 10, network },
      ...{ swap: { used: 100, free: 300 }, tasks: { now: 150, most: 4096 }, io: [] },
      pressure: { cpu: pressure, memory: pressure, io: undefined },
    },
    disk,
    images: { images: { at, bytes: 70, inodes: 9, disk }, containers: { at, bytes: 80, disk } },
  },
  readings: new Map([["u1", {
    uid: "u1",
    whole: reading("/kubepods/podu1", { pids: [] }),
    containers: new Map([["c1", reading("/kubepods/podu1/c1")], ["pause", reading("/kubepods/podu1/pause")]]),
    network,
  }]]),
  disks: new Map([["u1", { emptyDirs: new Map([["m", 7], ["d", 11]]), logs: new Map([["main", 13]]) }]]),
  files: new Map([["u1", { emptyDirs: new Map([["m", 1], ["d", 2]]), logs: new Map([["main", 1]]) }]]),
  volumes: new Map([["u1", [{
    ...{ name: "shop", claim: "sold", at: start + 1000 },
    stats: { bytes: { total: 9, used: 4, available: 5 }, condition: { abnormal: true, message: "" } },
  }]]]),
};
const summaryOf = (more: Partial<SummaryFacts> = {}, when = measured) =>
  // deno-lint-ignore no-explicit-any -- as a client reads it
  statsSummary(when, [web, idle], { ...facts, ...more }) as any;

const fs = { time, availableBytes: 600, capacityBytes: 1000 };
const inodes = { inodesFree: 20, inodes: 50 };
const faults = { pageFaults: 33, majorPageFaults: 2, psi };
const swap = { time, swapAvailableBytes: 20, swapUsageBytes: 5 };
const eth0 = { name: "eth0", rxBytes: 10, rxErrors: 3, txBytes: 20, txErrors: 4 };
const net1 = { name: "net1", rxBytes: 1, rxErrors: 0, txBytes: 2, txErrors: 0 };

Deno.test("the node: its own numbers, file systems, programs, threads, swap, network, pressure", () => {
  assertEquals(summaryOf().node, {
    nodeName: "box",
    systemContainers: [{
      name: "pods",
      startTime: "2025-12-31T23:30:00Z",
      cpu: { time, usageNanoCores: 2.5e8, usageCoreNanoSeconds: 1.5e9, psi },
      memory: {
        ...{ time, availableBytes: 5904, usageBytes: 8192, workingSetBytes: 4096, rssBytes: 7, ...faults },
      },
      io: { time, psi },
      swap,
    }],
    startTime: "2025-12-31T23:00:00Z",
    cpu: { time, usageNanoCores: 2.5e9, usageCoreNanoSeconds: 15e9, psi },
    memory: {
      ...{ time, availableBytes: 2 ** 20, usageBytes: 2 ** 21, workingSetBytes: 2 ** 20, rssBytes: 7 },
      ...{ pageFaults: 1000, majorPageFaults: 10, psi },
    },
    io: { time },
    swap: { time, swapAvailableBytes: 300, swapUsageBytes: 100 },
    network: { time, ...eth0, interfaces: [eth0, net1] },
    fs: { ...fs, usedBytes: 300, ...inodes, inodesUsed: 30 },
    runtime: {
      imageFs: { ...fs, usedBytes: 70, ...inodes, inodesUsed: 9 },
      containerFs: { ...fs, usedBytes: 80, ...inodes },
    },
    rlimit: { time, maxpid: 4096, curproc: 150 },
  });
});

Deno.test("a pod: ephemeral storage is layers, logs and volumes on disk; processes are its containers'", () => {
  assertEquals(summaryOf().pods, [{
    podRef: { name: "web", namespace: "default", uid: "u1" },
    startTime: "2025-12-31T00:00:00Z",
    containers: [{
      name: "main",
      startTime: "2025-12-31T00:00:01Z",
      cpu: { time, usageNanoCores: 2.5e8, usageCoreNanoSeconds: 1.5e9, psi },
      memory: {
        ...{ time, availableBytes: 5904, usageBytes: 8192, workingSetBytes: 4096, rssBytes: 7, ...faults },
      },
      io: { time, psi },
      swap,
      rootfs: { ...fs, usedBytes: 100, ...inodes, inodesUsed: 3 },
      logs: { ...fs, usedBytes: 13, ...inodes, inodesUsed: 1 },
    }],
    cpu: { time, usageNanoCores: 5e8, usageCoreNanoSeconds: 3e9, psi },
    memory: {
      ...{ time, availableBytes: 0, usageBytes: 2 ** 15, workingSetBytes: 2 ** 14, rssBytes: 7, ...faults },
    },
    io: { time, psi },
    swap,
    process_stats: { process_count: 2 },
    network: { time, ...eth0, interfaces: [eth0, net1] },
    volume: [
      { ...fs, usedBytes: 7, ...inodes, inodesUsed: 1, name: "m" },
      { ...fs, usedBytes: 11, ...inodes, inodesUsed: 2, name: "d" },
      {
        time: "2026-01-01T00:00:01Z",
        ...{ availableBytes: 5, capacityBytes: 9, usedBytes: 4, name: "shop" },
        pvcRef: { name: "sold", namespace: "default" },
        volumeHealthStats: { abnormal: true },
      },
    ],
    "ephemeral-storage": { ...fs, usedBytes: 124, ...inodes, inodesUsed: 6 },
  }]);
});

Deno.test("a kernel without pressure, a cgroup that cannot be read: those fields alone are absent", () => {
  const none = { cpu: undefined, memory: undefined, io: undefined };
  const { node, pods: [pod] } = summaryOf({
    readings: new Map(),
    node: { ...facts.node, reading: { ...facts.node.reading, pressure: none, tasks: {} }, images: {} },
  });
  assert(!("psi" in node.cpu) && !("psi" in node.memory) && !("psi" in node.io));
  assertEquals([node.rlimit, node.runtime], [{ time }, {}]);
  assertEquals(pod.containers[0].memory, { time, usageBytes: 8192, workingSetBytes: 4096, rssBytes: 7 });
  assert(!("network" in pod) && !("process_stats" in pod));
});

Deno.test("a container that the look before has not seen has used its time since its start, once that is a while ago", () => {
  const before = { ...look(start, 1e9), pods: [] };
  const cores = (seconds: number) => {
    const now = look(Date.UTC(2025, 11, 31, 0, 0, 1) + seconds * 1000, 1.5e9);
    return summaryOf({}, { before, now }).pods[0].containers[0].cpu.usageNanoCores;
  };
  assertEquals([cores(10), cores(4)], [1.5e8, undefined]);
});
