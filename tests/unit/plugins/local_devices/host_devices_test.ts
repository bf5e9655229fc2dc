// Device nodes that come and go in a directory of the test's own, on the real Host. Needs root, for mknod.
import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { HostDeviceRule } from "../../../../agent/model/host_devices.ts";
import { createHostDevices } from "../../../../plugins/local_devices/mod.ts";
import { following, host, mknod } from "./nodes.ts";

const signal = new AbortController().signal;
const rules = (directory: string): HostDeviceRule[] => [
  { resource: "test.local/serial", paths: [`${directory}/by-id/*`, `${directory}/ttyUSB*`] },
  { resource: "test.local/null", paths: [`${directory}/null`], share: 2, permissions: "r" },
  { resource: "test.local/card", paths: [`${directory}/cards/*/node*`], group: "all" },
];

Deno.test("devices of the host come, go and come back as their nodes do, under stable names", () =>
  following((directory) => createHostDevices(host, rules(directory)), async (directory, source, until) => {
    await mknod(`${directory}/ttyUSB0`, "c", 188, 0);
    await Deno.writeTextFile(`${directory}/ttyUSBnotes`, "no device");
    await mknod(`${directory}/other`, "c", 1, 5);
    assertEquals(await until((o) => o["test.local/serial"] !== undefined), {
      "test.local/serial": [`${directory}/ttyUSB0`],
    });
    await mknod(`${directory}/ttyUSB1`, "c", 188, 1);
    await until((o) => o["test.local/serial"]?.length === 2);
    await Deno.remove(`${directory}/ttyUSB0`);
    const gone = await until((o) => o["test.local/serial"]?.includes(`${directory}/ttyUSB0!`) === true);
    assertEquals(gone["test.local/serial"], [`${directory}/ttyUSB1`, `${directory}/ttyUSB0!`]);
    const refusal = await assertRejects(
      () => source.allocate("test.local/serial", [`${directory}/ttyUSB0`], signal),
      AgentError,
      "is not there now",
    );
    assertEquals(refusal.reason, "UnexpectedAdmissionError");
    await mknod(`${directory}/ttyUSB0`, "c", 188, 0);
    await until((o) => o["test.local/serial"]?.every((id) => !id.endsWith("!")) === true);
    // The stable name wins over the number; the directory came later.
    await Deno.mkdir(`${directory}/by-id`);
    await Deno.symlink(`../ttyUSB1`, `${directory}/by-id/usb-modem`);
    const stable = await until((o) =>
      o["test.local/serial"]?.includes(`${directory}/by-id/usb-modem`) === true
    );
    assertEquals(stable["test.local/serial"], [
      `${directory}/by-id/usb-modem`,
      `${directory}/ttyUSB0`,
      `${directory}/ttyUSB1!`,
    ]);
  }));

Deno.test("a device may be shared, several nodes may be one device, and what they are is what a container gets", () =>
  following((directory) => createHostDevices(host, rules(directory)), async (directory, source, until) => {
    await mknod(`${directory}/null`, "c", 1, 3);
    await Deno.mkdir(`${directory}/cards/a`, { recursive: true });
    await mknod(`${directory}/cards/a/node1`, "c", 226, 1);
    await mknod(`${directory}/cards/a/node0`, "b", 226, 1);
    const wanted = (o: Record<string, string[]>) =>
      o["test.local/null"] !== undefined && o["test.local/card"] !== undefined;
    assertEquals(await until(wanted), {
      "test.local/null": [`${directory}/null::0`, `${directory}/null::1`],
      "test.local/card": [`${directory}/cards/*/node*`],
    });
    const node = (name: string, permissions: string) => {
      const path = `${directory}/${name}`;
      return { hostPath: path, containerPath: path, permissions };
    };
    const both = [`${directory}/null::1`, `${directory}/null::0`];
    assertEquals((await source.allocate("test.local/null", both, signal)).devices, [node("null", "r")]);
    const card = await source.allocate("test.local/card", [`${directory}/cards/*/node*`], signal);
    const second = node("cards/a/node1", "rw");
    // Both nodes may have come in one look, or one after the other.
    assertEquals(card.devices?.at(-1), second);
    await assertRejects(() => source.allocate("test.local/null", ["/dev/null"], signal), AgentError);
    await assertRejects(() => source.allocate("test.local/none", ["a"], signal), AgentError);
  }));
