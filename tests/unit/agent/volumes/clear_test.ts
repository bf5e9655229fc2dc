import { assert, assertEquals } from "@std/assert";
import type { Volume } from "../../../../agent/model/gen/v1.ts";
import { desire, host, inDirectory, needsRoot, noObjects, signal, volumesAt } from "./sandbox.ts";

const volumes: Volume[] = [
  { name: "scratch", emptyDir: {} },
  { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  { name: "config", configMap: { name: "cm" } },
];

Deno.test({
  name: "clearing empties emptyDirs on disk and in memory, and no other volume; publish makes them anew",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const storage = volumesAt(root);
      const pod = desire({ volumes });
      const objects = { ...noObjects, configMaps: new Map([["shop/cm", { data: { a: "1" } }]]) };
      await storage.publish(pod, objects, signal);
      const directory = `${root}/pods/uid-1/volumes`;
      const [disk, memory] = ["scratch", "memory"].map((name) =>
        `${directory}/kubernetes.io~empty-dir/${name}`
      );
      const isMounted = async () => (await host.mounts()).some((m) => m.path === memory);
      for (const path of [disk, memory]) await Deno.writeTextFile(`${path}/left`, "x");
      await storage.keepNote("uid-1", "end", "kept");
      await storage.clear("uid-1", signal);
      await storage.clear("uid-1", signal);
      assertEquals(await host.stat(`${directory}/kubernetes.io~empty-dir`), undefined);
      assertEquals(await isMounted(), false);
      assertEquals(await Deno.readTextFile(`${directory}/kubernetes.io~configmap/config/a`), "1");
      assertEquals((await storage.notes("uid-1")).get("end"), "kept");
      await storage.publish(pod, objects, signal);
      assertEquals([await host.list(disk!), await host.list(memory!)], [[], []]);
      assert(await isMounted(), "in memory again");
      await storage.remove("uid-1", signal);
    }),
});
