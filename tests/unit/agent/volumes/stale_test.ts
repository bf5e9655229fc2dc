import { assertEquals } from "@std/assert";
import type { Container, Volume, VolumeMountStatus } from "../../../../agent/model/gen/v1.ts";
import { createFakeImageVolumes } from "../../../fakes/image_volumes.ts";
import { desire, host, inDirectory, needsRoot, noObjects, requestFor, signal, volumesAt } from "./sandbox.ts";

const images = { "sha256:aaaaaaaaaaaa": "one", "sha256:bbbbbbbbbbbb": "two" } as const;
const mounting = (...names: string[]): Container => ({
  name: "c",
  volumeMounts: names.map((name, i) => ({
    name,
    mountPath: `/${i}`,
    ...(name === "disk" && { subPath: "sub" }),
  })),
});
const kinds: Volume[] = [
  { name: "disk", emptyDir: {} },
  { name: "memory", emptyDir: { medium: "Memory" } },
  { name: "down", downwardAPI: { items: [{ path: "name", fieldRef: { fieldPath: "metadata.name" } }] } },
  { name: "model", image: { reference: "model:1" } },
];

/** Paths below a pod's volumes, as `KIND/NAME…`, and how many mounts there are. */
async function left(root: string): Promise<[string[], number]> {
  const pod = `${root}/pods/uid-1`;
  const found: string[] = [];
  for (const kind of await host.list(`${pod}/volumes`) ?? []) {
    for (const name of await host.list(`${pod}/volumes/${kind}`) ?? []) {
      found.push(`${kind.slice(14)}/${name}`);
    }
  }
  return [found, (await host.mounts()).filter((m) => m.path.startsWith(`${pod}/`)).length];
}

async function withPod(
  test: (at: {
    root: string;
    held: ReadonlySet<string>;
    publish(volumes: Volume[], image?: keyof typeof images): Promise<boolean>;
    sweep(volumes: Volume[], mounted?: VolumeMountStatus[]): Promise<void>;
    remove(): Promise<void>;
  }) => Promise<void>,
) {
  await inDirectory(async (root) => {
    for (const name of Object.values(images)) await Deno.mkdir(`${root}/${name}`);
    const directories = Object.fromEntries(
      Object.entries(images).map(([id, name]) => [id, `${root}/${name}`]),
    );
    const fake = createFakeImageVolumes(directories);
    const podWith = (volumes: Volume[]) =>
      desire({ volumes, containers: [mounting(...volumes.map((v) => v.name))] });
    const storage = () => volumesAt(root, host, fake);
    await test({
      root,
      held: fake.held,
      async publish(volumes, image = "sha256:aaaaaaaaaaaa") {
        const pod = podWith(volumes);
        const published = await storage().publish(pod, noObjects, signal);
        // As a worker does it: before the containers that mount what is new.
        const stale = await storage().isStale(pod);
        const reference = volumes.find((v) => v.image)?.image?.reference ?? "";
        const request = { pod, published, images: new Map([["model", { reference, ref: image }]]) };
        await storage().containerEdits(requestFor(pod.pod.spec!.containers[0]!, request), signal);
        return stale;
      },
      sweep: (volumes, mounted = []) => storage().sweep(podWith(volumes), mounted, signal),
      remove: () => storage().remove("uid-1", signal),
    });
  });
}

const all = ["downward-api/down", "empty-dir/disk", "empty-dir/memory", "image/model"];

Deno.test({
  name: "volumes that an edit drops are unmounted and removed with all that belongs to them, the others stay",
  ...needsRoot,
  fn: () =>
    withPod(async ({ root, held, publish, sweep, remove }) => {
      assertEquals(await publish(kinds), false);
      assertEquals([await left(root), held.size], [[all, 4], 1]);
      const kept = kinds.slice(1, 2);
      await Deno.writeTextFile(`${root}/pods/uid-1/volumes/kubernetes.io~empty-dir/memory/file`, "kept");
      assertEquals(await publish(kept), true);
      assertEquals(await left(root), [all, 4], "until nobody uses them");
      await sweep(kept);
      assertEquals([await left(root), held.size], [[["empty-dir/memory"], 1], 0]);
      assertEquals(await publish(kept), false);
      assertEquals(
        await Deno.readTextFile(`${root}/pods/uid-1/volumes/kubernetes.io~empty-dir/memory/file`),
        "kept",
      );
      await sweep(kept);
      await remove();
      assertEquals(await left(root), [[], 0]);
    }),
});

Deno.test({
  name: "a volume that comes back after it was dropped begins empty",
  ...needsRoot,
  fn: () =>
    withPod(async ({ root, publish, sweep }) => {
      const disk = kinds.slice(0, 1);
      await publish(disk);
      const file = `${root}/pods/uid-1/volumes/kubernetes.io~empty-dir/disk/file`;
      await Deno.writeTextFile(file, "old");
      await publish([]);
      await sweep([]);
      assertEquals(await publish(disk), false);
      assertEquals(await Deno.lstat(file).then(() => true, () => false), false);
    }),
});

Deno.test({
  name:
    "of two images under one volume that stays which a container has mounted; one kind takes another's name",
  ...needsRoot,
  fn: () =>
    withPod(async ({ root, held, publish, sweep }) => {
      const model = kinds.slice(3);
      const mountedOf = (imageRef: string): VolumeMountStatus[] => [
        { name: "model", mountPath: "/0", volumeStatus: { image: { imageRef } } },
        { name: "other", mountPath: "/1" },
      ];
      await publish(model);
      const second: Volume[] = [{ name: "model", image: { reference: "model:2" } }];
      assertEquals(await publish(second, "sha256:bbbbbbbbbbbb"), true);
      await sweep(second, mountedOf("sha256:aaaaaaaaaaaa"));
      assertEquals([...held], ["uid-1 model/aaaaaaaaaaaa"]);
      await publish(second, "sha256:bbbbbbbbbbbb");
      await sweep(second, mountedOf("sha256:bbbbbbbbbbbb"));
      assertEquals([[...held], await left(root)], [["uid-1 model/bbbbbbbbbbbb"], [["image/model"], 1]]);
      const plain: Volume[] = [{ name: "model", emptyDir: {} }];
      assertEquals(await publish(plain), true);
      await sweep(plain);
      assertEquals([held.size, await left(root)], [0, [["empty-dir/model"], 0]]);
    }),
});
