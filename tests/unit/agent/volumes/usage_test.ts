import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Volume } from "../../../../agent/model/gen/v1.ts";
import { diskUsage } from "../../../../agent/volumes/usage.ts";
import { desire, host, inDirectory, needsRoot, noObjects, signal, volumesAt } from "./sandbox.ts";

const mebibyte = 2 ** 20;
const volumes: Volume[] = [{ name: "a", emptyDir: {} }, { name: "b", emptyDir: {} }];

Deno.test("the usage of an emptyDir is its own blocks: no link is followed, no fifo opened, no name counted twice", () =>
  inDirectory(async (root) => {
    const storage = volumesAt(root);
    const published = await storage.publish(desire({ volumes }), noObjects, signal);
    const [a, b] = ["a", "b"].map((name) => published.get(name)!.hostPath);
    await Deno.writeFile(`${root}/outside`, new Uint8Array(8 * mebibyte));
    await Deno.mkdir(`${a}/deep/er`, { recursive: true });
    await Deno.writeFile(`${a}/deep/er/file`, new Uint8Array(2 * mebibyte));
    await Deno.link(`${a}/deep/er/file`, `${a}/again`);
    await Deno.symlink(`${root}/outside`, `${a}/link`);
    await Deno.symlink(root, `${a}/up`);
    await Deno.symlink("/dev/zero", `${a}/zero`);
    await host.exec(["mkfifo", `${a}/fifo`], {}, signal);
    await host.exec(["truncate", "-s", "1T", `${a}/sparse`], {}, signal);
    await Deno.writeFile(`${b}/a\nb`, new Uint8Array(mebibyte));
    const measured = await storage.emptyDirUsage(
      new Map([["uid-1", ["a", "b", "absent"]], ["uid-2", ["a"]]]),
      "bytes",
      signal,
    );
    assertEquals(measured.get("uid-2"), new Map());
    const usage = measured.get("uid-1")!;
    assertEquals([...usage.keys()].sort(), ["a", "b"]);
    const [ofA, ofB] = [usage.get("a")!, usage.get("b")!];
    assert(ofA >= 2 * mebibyte && ofA < 2.5 * mebibyte, `${ofA}`);
    assert(ofB >= mebibyte && ofB < 1.5 * mebibyte, `${ofB}`);
    assertEquals(await storage.emptyDirUsage(new Map(), "bytes", signal), new Map());
    const files = (await storage.emptyDirUsage(new Map([["uid-1", ["a"]]]), "inodes", signal)).get("uid-1");
    assertEquals(files?.get("a"), 9, "itself, deep, er, file, link, up, zero, fifo, sparse");
  }));

Deno.test({
  name: "what is mounted below an emptyDir is not its usage; one in memory is measured, too",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const storage = volumesAt(root);
      const memory: Volume[] = [{ name: "m", emptyDir: { medium: "Memory", sizeLimit: "8Mi" } }, ...volumes];
      const published = await storage.publish(desire({ volumes: memory }), noObjects, signal);
      await Deno.writeFile(`${published.get("m")!.hostPath}/file`, new Uint8Array(mebibyte));
      const below = `${published.get("a")!.hostPath}/below`;
      await Deno.mkdir(below);
      await host.mount({ source: "tmpfs", target: below, fsType: "tmpfs" });
      await Deno.writeFile(`${below}/file`, new Uint8Array(4 * mebibyte));
      const usage = (await storage.emptyDirUsage(new Map([["uid-1", ["m", "a"]]]), "bytes", signal))
        .get("uid-1")!;
      assertEquals(usage.get("m"), mebibyte);
      assert(usage.get("a")! < 0.5 * mebibyte, `${usage.get("a")}`);
    }),
});

Deno.test("measuring ends with its signal", () =>
  inDirectory(async (root) => {
    await assertRejects(() => diskUsage(host, [root], "bytes", AbortSignal.abort()));
  }));
