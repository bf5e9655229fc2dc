import { assertEquals } from "@std/assert";
import { podPaths } from "../../../../agent/volumes/paths.ts";
import { createTerminationLog, readTerminationMessage } from "../../../../agent/volumes/termination.ts";
import { host, inDirectory } from "./sandbox.ts";

Deno.test("each attempt has a file of its own; the last two are kept", () =>
  inDirectory(async (root) => {
    const paths = podPaths(root, "u");
    for (const attempt of [0, 1, 17]) {
      const path = await createTerminationLog(host, paths, "c", attempt);
      await Deno.writeTextFile(path, `attempt ${attempt}`);
    }
    assertEquals([...Deno.readDirSync(paths.containers("c"))].map((e) => e.name), ["00000011"]);
    await createTerminationLog(host, paths, "c", 18);
    assertEquals(await readTerminationMessage(host, paths.terminationLog("c", 17)), "attempt 17");
    assertEquals(await readTerminationMessage(host, paths.terminationLog("c", 18)), undefined);
    assertEquals(await readTerminationMessage(host, paths.terminationLog("c", 99)), undefined);
  }));

Deno.test("of a huge message the last 4096 bytes are read, and no character is cut", () =>
  inDirectory(async (root) => {
    const file = await Deno.open(`${root}/huge`, { create: true, write: true });
    await file.truncate(2 ** 34);
    await file.seek(0, Deno.SeekMode.End);
    await file.write(new TextEncoder().encode("\u00e9".repeat(3000) + "!"));
    file.close();
    assertEquals(await readTerminationMessage(host, `${root}/huge`), "\u00e9".repeat(2047) + "!");
  }));

Deno.test("what takes the place of a message while it is opened is not read", () =>
  inDirectory(async (root) => {
    await Deno.writeTextFile(`${root}/secret`, "secret");
    await Deno.writeTextFile(`${root}/message`, "mine");
    const racing = {
      ...host,
      openFile: async (path: string) => {
        await Deno.remove(path);
        await Deno.symlink(`${root}/secret`, path);
        return await host.openFile(path);
      },
    };
    assertEquals(await readTerminationMessage(racing, `${root}/message`), undefined);
  }));

Deno.test("whatever is not a regular file is never opened: links, pipes, directories", () =>
  inDirectory(async (root) => {
    await Deno.writeTextFile(`${root}/secret`, "secret");
    await Deno.symlink(`${root}/secret`, `${root}/link`);
    await new Deno.Command("mkfifo", { args: [`${root}/fifo`] }).output();
    await Deno.mkdir(`${root}/dir`);
    for (const name of ["link", "fifo", "dir"]) {
      assertEquals(await readTerminationMessage(host, `${root}/${name}`), undefined, name);
    }
  }));
