// File events of real directories.
import { assertEquals, assertThrows } from "@std/assert";
import { openEvents, parseEvents } from "../../../agent/inotify.ts";
import type { FileEvents } from "../../../agent/lib/watch.ts";

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "inotify-test-" });
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Reads until this path is named; returns all that were. */
async function untilNamed(events: AsyncIterator<FileEvents>, path: string): Promise<string[]> {
  const seen: string[] = [];
  while (!seen.includes(path)) {
    const { value, done } = await events.next();
    if (done) throw new Error(`the events ended before ${path}`);
    seen.push(...value.paths);
  }
  return seen;
}

Deno.test("opening and reading a file is no event; where names alone count, writing it is none either", () =>
  inDirectory(async (directory) => {
    const [file, last] = [`${directory}/file`, `${directory}/last`];
    await Deno.writeTextFile(file, "before");
    const { events, close } = openEvents(new Map([[directory, false]]));
    await Deno.readTextFile(file);
    await Deno.writeTextFile(file, "after");
    await Deno.mkdir(last);
    assertEquals(await untilNamed(events[Symbol.asyncIterator](), last), [last]);
    close();
  }));

Deno.test("one reader's end leaves the others their events, and a directory can be watched anew at once", () =>
  inDirectory(async (directory) => {
    const [first, second] = [1, 2].map(() => openEvents(new Map([[directory, true]])));
    first!.close();
    for (let round = 0; round < 20; round++) {
      const again = openEvents(new Map([[directory, true]]));
      const path = `${directory}/${round}`;
      await Deno.writeTextFile(path, "");
      await untilNamed(again.events[Symbol.asyncIterator](), path);
      again.close();
    }
    await untilNamed(second!.events[Symbol.asyncIterator](), `${directory}/19`);
    second!.close();
    const ended = await first!.events[Symbol.asyncIterator]().next();
    assertEquals(ended.done, true);
  }));

Deno.test("a directory that is deleted and made again is silent until it is watched anew", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/sub`;
    await Deno.mkdir(path);
    const old = openEvents(new Map([[path, true]]));
    await Deno.remove(path);
    await untilNamed(old.events[Symbol.asyncIterator](), path);
    old.close();
    await Deno.mkdir(path);
    const next = openEvents(new Map([[path, true]]));
    await Deno.writeTextFile(`${path}/file`, "");
    await untilNamed(next.events[Symbol.asyncIterator](), `${path}/file`);
    next.close();
  }));

Deno.test("more events than one would read are one that says to look at all", () =>
  inDirectory(async (directory) => {
    const { events, close } = openEvents(new Map([[directory, false]]));
    for (let i = 0; i < 600; i++) {
      Deno.writeTextFileSync(`${directory}/a`, "");
      Deno.removeSync(`${directory}/a`);
    }
    const { value } = await events[Symbol.asyncIterator]().next();
    assertEquals(value, { paths: [], rescan: true });
    close();
  }));

Deno.test("what is no directory cannot be watched", () =>
  inDirectory((directory) => {
    Deno.writeTextFileSync(`${directory}/file`, "");
    for (const path of [`${directory}/file`, `${directory}/none`, `${directory}\0`]) {
      assertThrows(() => openEvents(new Map([[directory, true], [path, true]])), Error, "cannot watch");
    }
    return Promise.resolve();
  }));

Deno.test("events are read as the kernel writes them, the padding of names left out", () => {
  const bytes = new Uint8Array(16 + 16 + 16);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, 3, true);
  view.setUint32(4, 0x100, true);
  view.setUint32(12, 16, true);
  bytes.set(new TextEncoder().encode("häuser"), 16);
  view.setInt32(32, 4, true);
  view.setUint32(36, 0x8000, true);
  assertEquals(parseEvents(bytes), [
    { wd: 3, mask: 0x100, name: "häuser" },
    { wd: 4, mask: 0x8000, name: "" },
  ]);
  assertEquals(parseEvents(bytes.subarray(0, 20)).length, 1, "half an event does not throw");
});
