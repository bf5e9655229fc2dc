/** Rotation on real files, with a runtime that opens its logs anew, or fails to. */
import { assertEquals, assertRejects } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import type { ObservedContainer } from "../../../../agent/model/observed.ts";
import { rotateLog, surplus } from "../../../../agent/node/log_rotation.ts";

const container = (logPath: string) => ({ id: "c", state: "running", logPath }) as ObservedContainer;

async function withLog(test: (path: string, rotate: (fails?: boolean) => Promise<void>) => Promise<void>) {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/0.log`;
  let now = Date.parse("2026-01-01T00:00:00Z");
  const host = { ...createHost(), now: () => now += 1000 };
  const rotate = (fails = false) =>
    rotateLog(
      {
        host,
        runtime: {
          observe: () => Promise.resolve([]),
          reopenContainerLog: () => fails ? Promise.reject(new Error("no")) : Deno.writeTextFile(path, ""),
        },
        log: silentLog,
        maxSize: 10,
        maxFiles: 3,
        everyMs: 1,
      },
      container(path),
      new AbortController().signal,
    );
  try {
    await test(path, rotate);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const names = (path: string) => [...Deno.readDirSync(path.replace("/0.log", ""))].map((e) => e.name).sort();

Deno.test("a log that is too large is rotated, and no more files than allowed stay", () =>
  withLog(async (path, rotate) => {
    await Deno.writeTextFile(path, "small");
    await rotate();
    assertEquals(names(path), ["0.log"]);
    for (const text of ["a", "b", "c", "d"]) {
      await Deno.writeTextFile(path, text.repeat(20));
      await rotate();
    }
    assertEquals(names(path), ["0.log", "0.log.20260101-000003", "0.log.20260101-000004"]);
    assertEquals(await Deno.readTextFile(`${path}.20260101-000004`), "d".repeat(20));
  }));

Deno.test("when the runtime does not open a new log, the old one keeps its name", () =>
  withLog(async (path, rotate) => {
    await Deno.writeTextFile(path, "x".repeat(20));
    await assertRejects(() => rotate(true));
    assertEquals(names(path), ["0.log"]);
  }));

Deno.test("after a crash between the rename and the new log, the next look opens one", () =>
  withLog(async (path, rotate) => {
    await Deno.writeTextFile(`${path}.20260101-000000`, "x".repeat(20));
    await rotate();
    assertEquals(names(path), ["0.log", "0.log.20260101-000000"]);
  }));

Deno.test("the oldest go first, and other attempts are not touched", () => {
  const list = ["0.log", "0.log.2", "0.log.1", "0.log.3", "1.log", "1.log.1"];
  assertEquals(surplus(list, "0.log", 1), ["0.log.1", "0.log.2"]);
  assertEquals(surplus(list, "0.log", 5), []);
});
