/** What is left on a node, and what its machine is, from the files that tell it. */
import { assertEquals } from "@std/assert";
import { createMachineInfo, readMachineInfo } from "../../../../agent/node/node_info.ts";
import { readRooms } from "../../../../agent/node/room.ts";
import { createFakeHost } from "../../../fakes/host.ts";

const files = {
  "/proc/meminfo": [
    "MemTotal:        1000 kB",
    "MemFree:          400 kB",
    "Inactive(file):   100 kB",
    "AnonPages:         90 kB",
    "SwapTotal:          8 kB",
    "",
  ].join("\n"),
  "/proc/stat": "cpu  1 2 3 4\n",
  "/proc/loadavg": "0.00 0.01 0.05 2/250 4711\n",
  "/proc/sys/kernel/pid_max": "4194304\n",
  "/proc/sys/kernel/threads-max": "1000\n",
  "/etc/machine-id": "abc\n",
  "/etc/os-release": 'NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
  "/proc/sys/kernel/random/boot_id": "boot\n",
};

Deno.test("what is left of memory, disks and process ids", async () => {
  const host = createFakeHost({ files });
  const { rooms, dedicated } = await readRooms(host, { nodefs: "/n", imagefs: "/i" });
  assertEquals(dedicated, false, "what is not there is on no disk of its own");
  assertEquals(rooms, {
    "memory.available": { available: 500 * 1024, capacity: 1000 * 1024 },
    "pid.available": { available: 750, capacity: 1000 },
    "nodefs.available": { available: 2 ** 29, capacity: 2 ** 30 },
    "nodefs.inodesFree": { available: 900, capacity: 1000 },
    "imagefs.available": { available: 2 ** 29, capacity: 2 ** 30 },
    "imagefs.inodesFree": { available: 900, capacity: 1000 },
  });
  const bare = await readRooms(createFakeHost(), { nodefs: "/n", imagefs: "/i" });
  const { "pid.available": _pids, "memory.available": _memory, ...rest } = bare.rooms;
  assertEquals(Object.keys(rest).length, 4, "what cannot be read is not told");
  assertEquals([_pids, _memory], [undefined, undefined]);
});

Deno.test("a machine without DMI is known by its machine id", async () => {
  const host = createFakeHost({ files });
  assertEquals(await readMachineInfo(host, { kernel: "6.1", arch: "arm64" }), {
    machineID: "abc",
    systemUUID: "abc",
    bootID: "boot",
    kernelVersion: "6.1",
    osImage: "Debian GNU/Linux 12 (bookworm)",
    operatingSystem: "linux",
    architecture: "arm64",
    swap: { capacity: 8192 },
  });
});

Deno.test("what is told of the machine is read again after five minutes, and not before", async () => {
  const host = createFakeHost({ files });
  let reads = 0;
  const counting = { ...host, readText: (path: string) => (reads++, host.readText(path)) };
  const info = createMachineInfo(counting, { kernel: "6.1", arch: "arm64" });
  await info();
  const once = reads;
  for (let round = 0; round < 29; round++) {
    await host.advance(10_000);
    assertEquals((await info()).bootID, "boot");
  }
  assertEquals(reads, once);
  await host.advance(10_000);
  await info();
  assertEquals(reads, 2 * once);
});
