import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Container } from "../../../../agent/model/gen/v1.ts";
import type { Host } from "../../../../agent/ports.ts";
import { mountImage, shortened } from "../../../../agent/volumes/image_volume.ts";
import { podPaths } from "../../../../agent/volumes/paths.ts";
import { createFakeImageVolumes } from "../../../fakes/image_volumes.ts";
import {
  desire,
  host,
  inDirectory,
  needsRoot,
  noObjects,
  requestFor,
  signal,
  soon,
  volumesAt,
} from "./sandbox.ts";

const one = `sha256:${"1".repeat(64)}`;
const two = `sha256:${"2".repeat(64)}`;

/** A pod with one image volume, whose images are the directories `one` and `two` below the root. */
async function withImages(
  test: (at: Awaited<ReturnType<typeof prepare>>) => Promise<void>,
  byRuntime = false,
) {
  await inDirectory(async (root) => await test(await prepare(root, byRuntime)));
}
async function prepare(root: string, byRuntime: boolean) {
  for (const name of ["one", "two"]) {
    await Deno.mkdir(`${root}/${name}/dir`, { recursive: true });
    await Deno.writeTextFile(`${root}/${name}/dir/file`, name);
  }
  const images = createFakeImageVolumes({ [one]: `${root}/one`, [two]: `${root}/two` }, byRuntime);
  const storage = volumesAt(root, host, images);
  const edit = async (more: object = {}, ref = one, reference = "demo:1", wanted = reference) => {
    const container: Container = { name: "c", volumeMounts: [{ name: "v", mountPath: "/v", ...more }] };
    const pod = desire({ volumes: [{ name: "v", image: { reference: wanted } }], containers: [container] });
    const published = await storage.publish(pod, noObjects, signal);
    const request = requestFor(container, { pod, published, images: new Map([["v", { reference, ref }]]) });
    return (await storage.containerEdits(request, signal)).mounts!.find((m) => m.containerPath === "/v")!;
  };
  return { root, images, storage, edit };
}
const mountsBelow = async (root: string) =>
  (await host.mounts()).filter((m) => m.path.startsWith(`${root}/`));

Deno.test({
  name:
    "an image volume is the image's files: held, mounted once, read-only, without programs and devices; gone with the pod",
  ...needsRoot,
  fn: () =>
    withImages(async ({ root, images, storage, edit }) => {
      const mount = await edit();
      assertEquals(mount.hostPath, `${root}/pods/uid-1/volumes/kubernetes.io~image/v/111111111111`);
      assertEquals([mount.readonly, mount.selinuxRelabel, mount.image], [false, undefined, undefined]);
      assertEquals(await Deno.readTextFile(`${mount.hostPath}/dir/file`), "one");
      assertEquals(await edit(), mount);
      const [found, ...more] = await mountsBelow(root);
      assertEquals(more, []);
      for (const option of ["ro", "noexec", "nosuid", "nodev"]) {
        assert(found?.options.includes(option), option);
      }
      await assertRejects(() => Deno.writeTextFile(`${mount.hostPath}/new`, ""), "Read-only");
      assertEquals([...images.held], ["uid-1 v/111111111111"]);
      await storage.remove("uid-1", signal);
      assertEquals([[...images.held], await mountsBelow(root), await storage.known()], [[], [], []]);
      assertEquals(await Deno.readTextFile(`${root}/one/dir/file`), "one");
    }),
});

Deno.test({
  name: "subPath of an image volume is a part of the image, and none is made",
  ...needsRoot,
  fn: () =>
    withImages(async ({ root, edit, storage }) => {
      const mount = await edit({ subPath: "dir" });
      assertEquals(mount.hostPath, `${root}/pods/uid-1/volume-subpaths/v/c/0`);
      assertEquals(await Deno.readTextFile(`${mount.hostPath}/file`), "one");
      assertEquals(await Deno.readTextFile((await edit({ subPath: "dir/file" })).hostPath), "one");
      await assertRejects(() => edit({ subPath: "none" }), AgentError, "there is no `none` in it");
      const bound = (await edit({ subPath: "dir" })).hostPath;
      await assertRejects(() => Deno.writeTextFile(`${bound}/new`, ""));
      await storage.remove("uid-1", signal);
      assertEquals(await mountsBelow(root), []);
    }),
});

Deno.test({
  name:
    "another image under the same volume is another mount; an image that is not what the pod says now is not used",
  ...needsRoot,
  fn: () =>
    withImages(async ({ edit, storage, images }) => {
      await edit();
      assertEquals(await Deno.readTextFile(`${(await edit({}, two)).hostPath}/dir/file`), "two");
      assertEquals(images.held.size, 2);
      await assertRejects(
        () => edit({}, one, "demo:1", "demo:2"),
        AgentError,
        `the image of volume "v" is not ready`,
      );
      await storage.remove("uid-1", signal);
      assertEquals(images.held.size, 0);
    }),
});

Deno.test("where the runtime mounts images, it is told the image and the subPath, and nothing is mounted here", () =>
  withImages(async ({ root, edit, images }) => {
    const mount = await edit({ subPath: "dir" });
    assertEquals([mount.hostPath, mount.readonly, mount.image], ["", true, { ref: one, subPath: "dir" }]);
    assertEquals([images.held.size, await mountsBelow(root)], [0, []]);
  }, true));

Deno.test({
  name: "a mount of an image that is not read-only yet, as a kill leaves it, is made anew",
  ...needsRoot,
  fn: () =>
    withImages(async ({ root }) => {
      const paths = podPaths(root, "uid-1");
      const held = { id: "v/x", type: "bind", source: `${root}/one`, options: ["ro", "rbind"] };
      await host.mkdir(`${paths.images}/v/x`);
      await host.mount({ source: held.source, target: `${paths.images}/v/x`, fsType: "", flags: 4096 });
      await mountImage(host, paths, held, signal);
      const mounts = await mountsBelow(root);
      assertEquals([mounts.length, mounts[0]?.options.includes("ro")], [1, true]);
      await host.unmount(`${paths.images}/v/x`);
    }),
});

Deno.test({
  name: "layers are one overlay, also when their paths are more than the kernel takes at once",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const layers = Array.from({ length: 60 }, (_, i) =>
        `${root}/snapshots-of-this-test/${i}/${"long".repeat(10)}`);
      for (const [i, layer] of layers.entries()) {
        await Deno.mkdir(layer, { recursive: true });
        await Deno.writeTextFile(`${layer}/file`, `${i}`);
        await Deno.writeTextFile(`${layer}/only-${i}`, "");
      }
      const paths = podPaths(root, "uid-1");
      for (const count of [2, 60]) {
        const options = ["index=off", `lowerdir=${layers.slice(0, count).join(":")}`];
        assertEquals(shortened(options).directory !== undefined, count === 60);
        const held = { id: `v/${count}`, type: "overlay", source: "overlay", options };
        const path = await mountImage(host, paths, held, signal);
        assertEquals(await Deno.readTextFile(`${path}/file`), "0");
        assert(Deno.lstatSync(`${path}/only-${count - 1}`).isFile);
        await assertRejects(() =>
          Deno.writeTextFile(`${path}/new`, "")
        );
        await host.unmount(path);
      }
      const many = Array.from({ length: 900 }, (_, i) => `/layers/${i}/fs`).join(":");
      let refused: unknown;
      try {
        shortened([`lowerdir=${many}`]);
      } catch (error) {
        refused = error;
      }
      assert(refused instanceof AgentError && refused.message.includes("too many layers"));
    }),
});

Deno.test("a mount program that does not end is left behind, and what it says is told", async () => {
  const silent: Host = {
    ...host,
    exec: () => new Promise(() => {}),
    mounts: () => Promise.resolve([]),
    mkdir: () => Promise.resolve(),
  };
  const held = { id: "v/x", type: "bind", source: "/nowhere", options: [] };
  await assertRejects(
    () => mountImage(silent, podPaths("/r", "u"), held, soon()),
    AgentError,
    "mount has not ended",
  );
  const failing: Host = {
    ...silent,
    exec: () =>
      Promise.resolve({
        code: 32,
        stdout: new Uint8Array(),
        stderr: new TextEncoder().encode("mount: no such thing\nmore"),
      }),
  };
  await assertRejects(
    () => mountImage(failing, podPaths("/r", "u"), held, signal),
    AgentError,
    "cannot mount /nowhere: mount: no such thing",
  );
});
