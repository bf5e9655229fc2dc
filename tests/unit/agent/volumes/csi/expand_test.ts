/** Volumes that grow, with the tests' real driver; a device, since growing a mounted file system needs CAP_SYS_RESOURCE. */
import { assertEquals } from "@std/assert";
import { needsRoot, signal } from "../sandbox.ts";
import { driverName, withBench } from "./bench.ts";

Deno.test(
  "a volume that has grown is made use of while pods have it, and left alone where none has",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await b.provision("pvc-1", { volumeMode: "Block" }, { kind: "ext4" });
      const { id, capability } = {
        id: pv.spec!.csi!.volumeHandle,
        capability: { fsType: "", block: false, mountFlags: [], accessMode: "SINGLE_NODE_WRITER" as const },
      };
      const requiredBytes = 32 * 2 ** 20;
      await b.agent.csi.expand(pv, requiredBytes, signal);
      const { device = "" } = await b.agent.persist(pv, "uid-1");
      const size = async () => {
        const { stdout } = await new Deno.Command("blockdev", { args: ["--getsize64", device] }).output();
        return Number(new TextDecoder().decode(stdout));
      };
      assertEquals(await size(), 8 * 2 ** 20);
      await b.agent.drivers.driver(driverName)!
        .controllerExpand({ id, requiredBytes, limitBytes: 0, capability, secrets: {} }, signal);
      await b.agent.csi.expand(pv, requiredBytes, signal);
      assertEquals(await size(), requiredBytes);
      const calls = await b.driver.calls("NodeExpandVolume");
      assertEquals(calls.map((c) => c.phase), ["begin", "end"]);
      assertEquals(calls[0]?.request["volumePath"], device);
      await b.agent.remove("uid-1");
    }),
);
