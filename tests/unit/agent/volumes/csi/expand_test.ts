/** Volumes that grow, with the tests' real driver; devices, since growing a mounted file system needs CAP_SYS_RESOURCE. */
import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../../agent/model/errors.ts";
import { grownTo } from "../../../../../agent/model/provisioned.ts";
import { needsRoot, signal } from "../sandbox.ts";
import { type Bench, driverName, withBench } from "./bench.ts";

const small = 8 * 2 ** 20;
const large = 32 * 2 ** 20;

async function sizeOf(device: string | undefined): Promise<number> {
  const { stdout } = await new Deno.Command("blockdev", { args: ["--getsize64", device ?? ""] }).output();
  return Number(new TextDecoder().decode(stdout));
}

const provision = (b: Bench) => b.provision("pvc-1", { volumeMode: "Block" }, { kind: "ext4" });

const growth = async (b: Bench) =>
  (await b.driver.calls("NodeExpandVolume")).map((c) => c.outcome ?? c.request["volumePath"]);

Deno.test(
  "a volume that has grown is made use of while pods have it",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await provision(b);
      const capability = {
        fsType: "",
        block: false,
        mountFlags: [],
        accessMode: "SINGLE_NODE_WRITER" as const,
      };
      const { device } = await b.agent.persist(pv, "uid-1");
      assertEquals(await sizeOf(device), small);
      const id = pv.spec!.csi!.volumeHandle;
      await b.agent.drivers.driver(driverName)!
        .controllerExpand({ id, requiredBytes: large, limitBytes: 0, capability, secrets: {} }, signal);
      assertEquals(await b.agent.csi.expand(pv, large, signal), true);
      assertEquals(await sizeOf(device), large);
      await b.agent.persist(grownTo(pv, large, false), "uid-2");
      assertEquals(await growth(b), [device, "OK"], "the next pod finds it as it is");
      for (const uid of ["uid-1", "uid-2"]) await b.agent.remove(uid);
    }),
);

Deno.test(
  "a volume that grew while no pod had it is made use of when the next one gets it, before its containers start",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const pv = await provision(b);
      assertEquals(await b.agent.csi.expand(pv, large, signal), false);
      const grown = grownTo(pv, large, true);
      await b.agent.persist(grown, "uid-0", { readonly: true });
      assertEquals(await growth(b), [], "who may not write does not grow it");
      await b.driver.knobs({ NodeExpandVolume: { fail: { code: "INTERNAL" }, times: 1 } });
      await assertRejects(() => b.agent.persist(grown, "uid-1"), AgentError, "as the test wants it");
      await b.restart();
      const { device } = await b.agent.persist(grown, "uid-1");
      assertEquals(await sizeOf(device), large);
      assertEquals((await growth(b)).slice(2), [device, "OK"]);
      await b.agent.persist(grown, "uid-2");
      assertEquals((await growth(b)).length, 4);
      for (const uid of ["uid-0", "uid-1", "uid-2"]) await b.agent.remove(uid);
    }),
);
