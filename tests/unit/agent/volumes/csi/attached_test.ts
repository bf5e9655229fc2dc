/** Volumes that a control plane attaches: in use before they are asked for, never attached or detached by us. */
import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../../agent/model/errors.ts";
import type { Attachments, Texts } from "../../../../../agent/plugin_ports.ts";
import { needsRoot, signal } from "../sandbox.ts";
import { withBench } from "./bench.ts";

/** As of a control plane that has attached nothing until it is told. */
interface Controller extends Attachments {
  told: string[];
  brings?: Texts;
}

function createController(): Controller {
  const told: string[] = [];
  const controller: Controller = {
    told,
    attached(_volume: unknown, known: Texts | undefined) {
      told.push(`attached ${JSON.stringify(known)}`);
      return controller.brings === undefined
        ? Promise.reject(new AgentError("FailedMount", "not attached"))
        : Promise.resolve(controller.brings);
    },
    released: () => void told.push("released"),
  };
  return controller;
}

Deno.test(
  "a pod of a control plane waits for its volume to be attached; the driver is not asked to, and the volume is let go",
  needsRoot,
  () => {
    const attachments = createController();
    return withBench({ attachments }, async (b) => {
      const pv = await b.provision("pvc-1");
      await b.asked();
      const { driver, volumeHandle: handle } = pv.spec!.csi!;
      const persist = () => b.agent.persist(pv, "uid-1", { controlled: true });
      await assertRejects(persist, AgentError, "not attached");
      assertEquals(await b.asked(), []);
      const names = async () => (await b.agent.csi.controlled()).map((v) => [v.driver, v.handle]);
      assertEquals(await names(), [[driver, handle]], "a crash now leaves it in use");

      // As an attacher beside the driver's controller does.
      attachments.brings = await b.agent.drivers.driver(driver)!.controllerPublish({
        id: handle,
        capability: { fsType: "ext4", block: false, mountFlags: [], accessMode: "SINGLE_NODE_WRITER" },
        readonly: false,
        secrets: {},
        context: {},
      }, signal);
      await b.asked();
      await persist();
      assertEquals(await b.asked(), ["NodeStageVolume", "NodePublishVolume"]);
      const [stage] = await b.driver.calls("NodeStageVolume");
      assertEquals((stage?.request as { publishContext: Texts }).publishContext, attachments.brings);
      await b.restart();
      await b.agent.persist(pv, "uid-2", { controlled: true });
      assertEquals(attachments.told, [
        "attached undefined",
        "attached undefined",
        `attached ${JSON.stringify(attachments.brings)}`,
      ]);
      await b.asked();
      await b.agent.remove("uid-1");
      assertEquals(attachments.told.includes("released"), false);
      await b.agent.remove("uid-2");
      assertEquals(attachments.told.at(-1), "released");
      assertEquals(await b.asked(), ["NodeUnpublishVolume", "NodeUnpublishVolume", "NodeUnstageVolume"]);
      assertEquals(await names(), []);
    });
  },
);

Deno.test(
  "a driver that needs no attaching is not waited for; a pod of a file is not the control plane's",
  needsRoot,
  async () => {
    const attachments = createController();
    const without = ["PUBLISH_UNPUBLISH_VOLUME"];
    await withBench({ attachments, spec: { attachRequired: false }, driver: { without } }, async (b) => {
      await b.agent.persist(await b.provision("pvc-1"), "uid-1", { controlled: true });
      await b.agent.remove("uid-1");
    });
    assertEquals(attachments.told, ["released"]);
    await withBench({ attachments }, async (b) => {
      const pv = await b.provision("pvc-1");
      await b.asked();
      await b.agent.persist(pv, "uid-1");
      assertEquals((await b.asked())[0], "ControllerPublishVolume");
      await b.agent.remove("uid-1");
    });
    assertEquals(attachments.told, ["released", "released"]);
  },
);
