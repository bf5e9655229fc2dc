import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Host } from "../../../../agent/ports.ts";
import { bindSubPath } from "../../../../agent/volumes/sub_path.ts";
import { host, inDirectory, modeOf, needsRoot, signal } from "./sandbox.ts";

/** A volume with a file, beside a directory that is not the volume's. */
async function withVolume(test: (at: ReturnType<typeof placesIn>) => Promise<void>): Promise<void> {
  await inDirectory(async (root) => {
    const at = placesIn(root);
    await Deno.mkdir(`${at.volume}/sub`, { recursive: true });
    await Deno.writeTextFile(`${at.volume}/sub/file`, "inside");
    await Deno.mkdir(at.outside);
    await Deno.writeTextFile(`${at.outside}/file`, "outside");
    await test(at);
    assertEquals((await host.mounts()).filter((m) => m.path === at.staging), []);
  });
}

const placesIn = (root: string) => ({
  volume: `${root}/volume`,
  outside: `${root}/outside`,
  target: `${root}/volume-subpaths/v/c/0`,
  staging: `${root}/volume-subpaths/.staging/c`,
});

const bind = (at: ReturnType<typeof placesIn>, subPath: string, on: Host = host, create = true) =>
  bindSubPath(on, { volumePath: at.volume, subPath, create, target: at.target, staging: at.staging }, signal);

const mounted = async (at: ReturnType<typeof placesIn>) =>
  (await host.mounts()).filter((m) => m.path === at.target).length;

Deno.test({
  name: "directories, files and links inside the volume are bound, again and again",
  ...needsRoot,
  fn: () =>
    withVolume(async (at) => {
      await Deno.symlink("sub", `${at.volume}/link`);
      assertEquals(await Deno.readTextFile(`${await bind(at, "sub")}/file`), "inside");
      assertEquals(await Deno.readTextFile(await bind(at, "sub/file")), "inside");
      assertEquals(await Deno.readTextFile(`${await bind(at, "./link/")}/file`), "inside");
      assertEquals(await mounted(at), 1);
    }),
});

Deno.test({
  name: "what is missing is created with the volume's mode",
  ...needsRoot,
  fn: () =>
    withVolume(async (at) => {
      await Deno.chmod(at.volume, 0o3777);
      await Deno.chown(at.volume, 0, 2000);
      await Deno.writeTextFile(`${await bind(at, "a/b/c")}/f`, "x");
      assertEquals(["a", "a/b", "a/b/c"].map((d) => modeOf(`${at.volume}/${d}`)), ["3777", "3777", "3777"]);
      assertEquals(Deno.lstatSync(`${at.volume}/a/b`).gid, 2000);
      assertEquals(await Deno.readTextFile(`${at.volume}/a/b/c/f`), "x");
    }),
});

Deno.test({
  name: "links that lead out of the volume are refused and nothing is made or mounted out there",
  ...needsRoot,
  fn: () =>
    withVolume(async (at) => {
      await Deno.symlink(at.outside, `${at.volume}/abs`);
      await Deno.symlink("../outside", `${at.volume}/rel`);
      await Deno.symlink("/does/not/exist", `${at.volume}/dangling`);
      for (const path of ["abs", "rel", "abs/file", "abs/new", "rel/new/deep", "dangling", "dangling/x"]) {
        await assertRejects(() => bind(at, path), AgentError, "inside the volume", path);
      }
      for (const path of ["../outside", "sub/../../outside", "/etc"]) {
        await assertRejects(() => bind(at, path), AgentError, "ubPath", path);
      }
      assertEquals([...Deno.readDirSync(at.outside)].map((e) => e.name), ["file"]);
      assertEquals(await mounted(at), 0);
    }),
});

/** The given host, on which something happens right before the n-th mount. */
function interrupting(n: number, happen: () => Promise<void>): Host {
  let count = 0;
  return {
    ...host,
    async mount(options) {
      if (++count === n) await happen();
      await host.mount(options);
    },
  };
}

const swapForLink = (path: string, target: string) => async () => {
  await Deno.rename(path, `${path}.gone`);
  await Deno.symlink(target, path);
};

Deno.test({
  name: "a directory that becomes a link between the look and the mount is caught by what the mount shows",
  ...needsRoot,
  fn: () =>
    withVolume(async (at) => {
      const racing = interrupting(1, swapForLink(`${at.volume}/sub`, at.outside));
      await assertRejects(() => bind(at, "sub/file", racing), AgentError, "inside the volume");
      assertEquals(await mounted(at), 0);
    }),
});

Deno.test({
  name: "a parent that becomes a link while directories are made gets no directory and no mode outside",
  ...needsRoot,
  fn: () =>
    withVolume(async (at) => {
      const before = modeOf(at.outside);
      const first = interrupting(1, swapForLink(`${at.volume}/sub`, at.outside));
      await assertRejects(() => bind(at, "sub/new", first), AgentError, "inside the volume");
      // The directory just made is swapped before its own pin: neither its child nor its mode may land outside.
      const second = interrupting(2, swapForLink(`${at.volume}/made`, at.outside));
      await Deno.chmod(at.volume, 0o777);
      await assertRejects(() => bind(at, "made/child", second), AgentError, "inside the volume");
      assertEquals([...Deno.readDirSync(at.outside)].map((e) => e.name), ["file"]);
      assertEquals(modeOf(at.outside), before);
      assertEquals(await mounted(at), 0);
    }),
});

Deno.test({
  name: "volumes that are mount points, and mounts below a volume, belong to it",
  ...needsRoot,
  fn: () =>
    withVolume(async (at) => {
      await host.mount({ source: "tmpfs", target: at.volume, fsType: "tmpfs", options: "size=1m" });
      await Deno.writeTextFile(`${await bind(at, "x/y")}/f`, "1");
      assertEquals(await Deno.readTextFile(`${at.volume}/x/y/f`), "1");
      await Deno.mkdir(`${at.volume}/below`);
      await host.mount({ source: at.outside, target: `${at.volume}/below`, fsType: "", flags: 4096 });
      assertEquals(await Deno.readTextFile(`${await bind(at, "below")}/file`), "outside");
    }),
});
