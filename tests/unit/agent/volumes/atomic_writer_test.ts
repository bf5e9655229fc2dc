import { assertEquals, assertMatch } from "@std/assert";
import type { FileProjection } from "../../../../agent/model/volumes.ts";
import { writeAtomically } from "../../../../agent/volumes/atomic_writer.ts";
import { host, inDirectory, modeOf } from "./sandbox.ts";

const filesOf = (files: Record<string, string>, mode = 0o644): Map<string, FileProjection> =>
  new Map(Object.entries(files).map(([k, v]) => [k, { content: new TextEncoder().encode(v), mode }]));

/** Names in a directory, with the targets of symlinks. */
const namesOf = (directory: string): string[] =>
  [...Deno.readDirSync(directory)].map((e) =>
    e.isSymlink ? `${e.name} -> ${Deno.readLinkSync(`${directory}/${e.name}`)}` : e.name
  ).sort();

Deno.test("the layout is the one that Kubernetes writes", () =>
  inDirectory(async (root) => {
    assertEquals(
      await writeAtomically(host, root, filesOf({ a: "1", "d/e/f": "2", "d/g": "3" }, 0o600), undefined),
      true,
    );
    const [stamp, data, ...visible] = namesOf(root);
    assertMatch(stamp ?? "", /^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+$/);
    assertEquals(data, `..data -> ${stamp}`);
    assertEquals(visible, ["a -> ..data/a", "d -> ..data/d"]);
    assertEquals(await Deno.readTextFile(`${root}/d/e/f`), "2");
    assertEquals([modeOf(`${root}/${stamp}`), modeOf(`${root}/${stamp}/d`), modeOf(`${root}/${stamp}/a`)], [
      "755",
      "755",
      "600",
    ]);
  }));

Deno.test("equal content writes nothing; other content swaps one link; removed keys vanish", () =>
  inDirectory(async (root) => {
    await writeAtomically(host, root, filesOf({ a: "1", b: "2", "c/d": "3" }), undefined);
    const first = Deno.readLinkSync(`${root}/..data`);
    const inode = Deno.lstatSync(`${root}/a`).ino;
    assertEquals(
      await writeAtomically(host, root, filesOf({ a: "1", b: "2", "c/d": "3" }), undefined),
      false,
    );
    assertEquals(Deno.readLinkSync(`${root}/..data`), first);
    assertEquals(
      await writeAtomically(host, root, filesOf({ a: "1", b: "2", "c/d": "3" }, 0o600), undefined),
      true,
    );
    assertEquals(modeOf(await Deno.realPath(`${root}/a`)), "600");
    assertEquals(await writeAtomically(host, root, filesOf({ a: "9" }), undefined), true);
    assertEquals(await Deno.readTextFile(`${root}/a`), "9");
    assertEquals(Deno.lstatSync(`${root}/a`).ino, inode);
    const stamp = Deno.readLinkSync(`${root}/..data`);
    assertEquals(namesOf(root), [`..data -> ${stamp}`, stamp, "a -> ..data/a"].sort());
  }));

Deno.test("what a crash left over is removed, what it left out is added, mount points stay", () =>
  inDirectory(async (root) => {
    await writeAtomically(host, root, filesOf({ a: "1" }), undefined);
    const stamp = Deno.readLinkSync(`${root}/..data`);
    await Deno.mkdir(`${root}/..2020_01_01_00_00_00.1/half`, { recursive: true });
    await Deno.symlink("..2020_01_01_00_00_00.1", `${root}/..data_tmp`);
    await Deno.symlink("..data/gone", `${root}/gone`);
    await Deno.mkdir(`${root}/mounted`);
    await Deno.remove(`${root}/a`);
    assertEquals(await writeAtomically(host, root, filesOf({ a: "1" }), undefined), false);
    assertEquals(namesOf(root), [`..data -> ${stamp}`, stamp, "a -> ..data/a", "mounted"].sort());
    await Deno.symlink("nowhere", `${root}/..data_tmp`);
    assertEquals(await writeAtomically(host, root, filesOf({ a: "2" }), undefined), true);
    assertEquals(await Deno.readTextFile(`${root}/a`), "2");
  }));

Deno.test("readers never see a mixture of two versions", () =>
  inDirectory(async (root) => {
    const version = (n: number) => filesOf({ x: `${n}`.repeat(2000), y: `${n}`.repeat(2000) });
    await writeAtomically(host, root, version(0), undefined);
    let writing = true;
    const reader = (async () => {
      let seen = 0;
      while (writing) {
        const current = await Deno.realPath(`${root}/..data`).catch(() => undefined);
        if (current === undefined) continue;
        const both = await Promise.all(["x", "y"].map((f) => Deno.readTextFile(`${current}/${f}`))).catch(
          () => [],
        );
        if (both.length === 2) {
          assertEquals(both[0], both[1]);
          assertEquals(both[0]?.length, 2000);
          seen++;
        }
      }
      return seen;
    })();
    for (let n = 1; n < 10; n++) await writeAtomically(host, root, version(n), undefined);
    writing = false;
    assertEquals(await reader > 0, true);
  }));
