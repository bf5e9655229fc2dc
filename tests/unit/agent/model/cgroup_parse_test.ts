/** Files of cgroups as kernels of both versions show them, and what is no such file. */
import { assertEquals } from "@std/assert";
import { parseDiskStats, parsePressure, parseV1, parseV2 } from "../../../../agent/model/cgroup_parse.ts";

const pressure = (some: number, full: number) =>
  `some avg10=1.50 avg60=0.25 avg300=0.00 total=${some}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=${full}`;

const v2 = {
  "cpu.stat": "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 10\nnr_throttled 2\nthrottled_usec 5",
  "cpu.pressure": pressure(11, 1),
  "memory.pressure": pressure(12, 2),
  "io.pressure": pressure(13, 3),
  "cgroup.procs": "41\n42",
  "pids.current": "5",
  "pids.max": "max",
  "memory.current": "4096",
  "memory.peak": "8192",
  "memory.stat":
    "anon 100\nfile 900\nkernel 64\nfile_mapped 50\ninactive_file 96\nactive_file 800\npgfault 33\npgmajfault 2",
  "memory.events": "low 0\nhigh 0\nmax 6\noom 1\noom_kill 1\noom_group_kill 0",
  "memory.swap.current": "8",
  "memory.swap.max": "64",
  "io.stat": "253:0 rbytes=4096 wbytes=512 rios=3 wios=1 dbytes=0 dios=0\n7:0 \nnonsense",
};

Deno.test("version 2: CPU in nanoseconds, memory, faults, swap, devices, pressure", () => {
  const { pressure: stalls, io, ...rest } = parseV2(v2)!;
  assertEquals(rest, {
    ...{ cpu: 7000, user: 4000, system: 3000, periods: 10, throttledPeriods: 2, throttled: 5000 },
    ...{ memory: 4096, memoryPeak: 8192, workingSet: 4000, rss: 100, cache: 900, mapped: 50, kernel: 64 },
    ...{ activeFile: 800, inactiveFile: 96, swap: 8, swapLimit: 64, pageFaults: 33, majorPageFaults: 2 },
    ...{ failures: 6, oomKills: 1, pids: [41, 42], threads: 5, threadsMax: 0 },
  });
  assertEquals(io[0], {
    device: "253:0",
    bytes: { Read: 4096, Write: 512, Discard: 0 },
    operations: { Read: 3, Write: 1, Discard: 0 },
  });
  assertEquals(stalls?.cpu?.some, { avg10: 1.5, avg60: 0.25, avg300: 0, total: 11 });
  assertEquals([stalls?.memory?.full.total, stalls?.io?.some.total], [2, 13]);
});

Deno.test("version 2 without pressure and swap: they are absent, and no limit is none", () => {
  const without = {
    ...v2,
    "cpu.pressure": undefined,
    "memory.pressure": undefined,
    "io.pressure": undefined,
  };
  const parsed = parseV2({ ...without, "memory.swap.max": "max", "memory.swap.current": undefined });
  assertEquals([parsed?.pressure, parsed?.swapLimit, parsed?.swap], [undefined, undefined, 0]);
  assertEquals(parseV2({ ...v2, "memory.current": undefined }), undefined);
});

Deno.test("version 1: what is below counts, devices line by line, swap together with memory", () => {
  const parsed = parseV1({
    "cpuacct.usage": "9000",
    "cpuacct.stat": "user 2\nsystem 1",
    "cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 77",
    "cgroup.procs": "",
    "memory.usage_in_bytes": "5000",
    "memory.max_usage_in_bytes": "6000",
    "memory.stat": "pgfault 1\ntotal_pgfault 10\ntotal_pgmajfault 3\ntotal_rss 11\ntotal_cache 22\n" +
      "total_mapped_file 3\ntotal_swap 4\ntotal_inactive_file 1000\ntotal_active_file 200",
    "memory.failcnt": "6",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
    "memory.limit_in_bytes": "8000",
    "memory.memsw.limit_in_bytes": "9000",
    "pids.current": "2",
    "pids.max": "1024",
    "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096",
    "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Total 1\nTotal 1",
  });
  assertEquals(parsed, {
    ...{ cpu: 9000, user: 2e7, system: 1e7, periods: 4, throttledPeriods: 1, throttled: 77 },
    ...{ memory: 5000, memoryPeak: 6000, workingSet: 4000, rss: 11, cache: 22, mapped: 3, kernel: 0 },
    ...{ activeFile: 200, inactiveFile: 1000, swap: 4, swapLimit: 1000, pageFaults: 10, majorPageFaults: 3 },
    ...{ failures: 6, oomKills: 2, pids: [], threads: 2, threadsMax: 1024 },
    io: [{ device: "8:0", bytes: { Read: 4096, Write: 0, Total: 4096 }, operations: { Read: 1, Total: 1 } }],
  });
  assertEquals(parseV1({}), undefined);
});

Deno.test("pressure: of kernels that tell no full of CPU, and none at all", () => {
  assertEquals(parsePressure("some avg10=2.00 avg60=0.00 avg300=0.00 total=9")?.full.total, 0);
  assertEquals([parsePressure(undefined), parsePressure(""), parsePressure("EOPNOTSUPP")], [
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("disks of the node: those that were used, in bytes", () => {
  const text =
    "   7       0 loop0 9 0 9 0 0 0 0 0 0 0 0\n 253       0 vda 3 1 16 4 5 2 24 6 0 1 2\n 253 1 vdb 0 0 0 0 0 0 0 0\n";
  assertEquals(parseDiskStats(text), [
    { device: "253:0", bytes: { Read: 8192, Write: 12288 }, operations: { Read: 3, Write: 5 } },
  ]);
  assertEquals(parseDiskStats(undefined), []);
});
