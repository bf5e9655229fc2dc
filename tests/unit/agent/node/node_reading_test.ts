/** What /proc tells of the node, and what is told of images when the runtime is silent. */
import { assertEquals } from "@std/assert";
import { readImageDisks, readNode } from "../../../../agent/node/node_reading.ts";
import { createFakeHost } from "../../../fakes/host.ts";

const signal = new AbortController().signal;
const stall = (total: number) => ({ avg10: 0, avg60: 0, avg300: 0, total });

Deno.test("the node's faults, swap, threads, start, network and pressure", async () => {
  const host = createFakeHost({
    files: {
      "/proc/vmstat": "pgfault 1000\npgmajfault 7\npgfaultx 3\n",
      "/proc/meminfo": "MemTotal: 1000 kB\nSwapTotal:     100 kB\nSwapFree:       60 kB\n",
      "/proc/diskstats": " 253 0 vda 3 1 16 4 5 2 24 6 0 1 2\n",
      "/proc/uptime": "60.50 100.00\n",
      "/proc/loadavg": "0.00 0.01 0.05 2/150 4242\n",
      "/proc/sys/kernel/pid_max": "4096\n",
      "/proc/sys/kernel/threads-max": "2048\n",
      "/proc/1/net/dev": "h\nh\n  eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n",
      "/proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
    },
  });
  const { network, ...rest } = await readNode(host);
  assertEquals(rest, {
    at: host.now(),
    bootedAt: host.now() - 60_500,
    ...{ pageFaults: 1000, majorPageFaults: 7, tasks: { now: 150, most: 2048 } },
    io: [{ device: "253:0", bytes: { Read: 8192, Write: 12288 }, operations: { Read: 3, Write: 5 } }],
    swap: { used: 40 * 1024, free: 60 * 1024 },
    pressure: { cpu: { some: stall(5), full: stall(0) }, memory: undefined, io: undefined },
  });
  assertEquals(network.map((n) => [n.name, n.receive.bytes]), [["eth0", 10]]);
});

Deno.test("where nothing can be read nothing is made up", async () => {
  const { tasks, network, pressure } = await readNode(createFakeHost());
  assertEquals([tasks, network, pressure.cpu], [{}, [], undefined]);
});

Deno.test("images: what the runtime tells, with the file system that they are on", async () => {
  const disk = { capacity: 100, available: 40, inodes: 10, inodesFree: 5 };
  const host = { statfs: (path: string) => Promise.resolve(path === "/images" ? disk : undefined) };
  const usage = { path: "/images", at: 5, bytes: 30, inodes: 2 };
  const told = await readImageDisks(
    {
      host,
      images: { fileSystems: () => Promise.resolve({ images: usage, containers: { ...usage, path: "/x" } }) },
    },
    signal,
  );
  assertEquals(told, {
    images: { at: 5, bytes: 30, inodes: 2, disk },
    containers: { at: 5, bytes: 30, inodes: 2, disk: undefined },
  });
  const silent = { fileSystems: () => Promise.reject(new Error("it hangs")) };
  assertEquals(await readImageDisks({ host, images: silent }, signal), {});
});
