/** A process that swaps a directory for a link to the host, and back, as fast as it can, while its sub path is bound. */
import { assert, assertEquals } from "@std/assert";
import { bindSubPath, type SubPath } from "../../../../agent/volumes/sub_path.ts";
import { host, inDirectory, needsRoot, signal } from "./sandbox.ts";

const swapping = `
  const [volume] = Deno.args;
  const at = (name) => volume + "/" + name;
  Deno.writeTextFileSync(at("ready"), "");
  for (let i = 0;; i++) {
    for (const name of ["good", "evil"]) {
      try {
        Deno.renameSync(at(name), at("turn"));
        Deno.renameSync(at("turn"), at(name));
      } catch { // the agent has made a directory of this name
        try { Deno.renameSync(at("turn"), at("made-" + i)); } catch { /* by now it is something else */ }
      }
    }
  }`;

/** Binds while the swapping goes on; `check` looks at each bound target. Returns how many were bound. */
async function whileSwapping(
  root: string,
  attempts: number,
  bind: Pick<SubPath, "create"> & { subPathOf(attempt: number): string },
  check: (target: string, attempt: number) => Promise<void>,
): Promise<number> {
  const volume = `${root}/volume`;
  for (const path of [`${volume}/good/deep`, `${root}/outside/deep`]) {
    await Deno.mkdir(path, { recursive: true });
  }
  for (const name of ["good", "good/deep"]) await Deno.writeTextFile(`${volume}/${name}/whose`, "volume");
  for (const name of ["outside", "outside/deep"]) await Deno.writeTextFile(`${root}/${name}/whose`, "host");
  await Deno.symlink(`${root}/outside`, `${volume}/evil`);
  await Deno.writeTextFile(`${root}/swap.js`, swapping);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `${root}/swap.js`, volume],
    stdin: "null",
  })
    .spawn();
  let bound = 0;
  try {
    while (await host.stat(`${volume}/ready`) === undefined) await host.sleep(5, signal);
    for (let i = 0; i < attempts; i++) {
      const target = `${root}/volume-subpaths/v/c/${i % 2}`;
      const places = {
        volumePath: volume,
        subPath: bind.subPathOf(i),
        create: bind.create,
        target,
        staging: `${root}/volume-subpaths/.staging/c`,
      };
      if (!await bindSubPath(host, places, signal).then(() => true, () => false)) continue;
      bound++;
      await check(target, i);
    }
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
  for (const directory of ["outside", "outside/deep"]) {
    const names = [...Deno.readDirSync(`${root}/${directory}`)].map((e) => e.name).sort();
    assertEquals(
      names,
      directory === "outside" ? ["deep", "whose"] : ["whose"],
      "nothing was made on the host",
    );
  }
  return bound;
}

Deno.test({
  name: "subPath: whatever is swapped while it is bound, what lies there is the volume's",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const subPathOf = (i: number) => i % 2 === 0 ? "turn" : "turn/deep";
      const bound = await whileSwapping(root, 400, { create: false, subPathOf }, async (target, i) => {
        assertEquals(await Deno.readTextFile(`${target}/whose`), "volume", `attempt ${i}`);
      });
      assert(bound > 0, "some were bound");
    }),
});

Deno.test({
  name: "subPath: directories that are missing are made in the volume and never where a link leads",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      await whileSwapping(root, 50, {
        create: true,
        subPathOf: (i) => `turn/deep/new-${i}`,
      }, async (target, i) => {
        await Deno.writeTextFile(`${target}/mark`, `${i}`);
      });
    }),
});
