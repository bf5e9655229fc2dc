import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { type CheckpointFiles, createCheckpoint } from "../../../../agent/lib/checkpoint.ts";

function parseNumbers(value: unknown): number[] {
  if (!Array.isArray(value) || !value.every((v) => typeof v === "number")) {
    throw new TypeError("expected numbers");
  }
  return value;
}

function opened(path: string, files: CheckpointFiles = createHost()) {
  const reports: string[] = [];
  const options = {
    files,
    path,
    version: 2,
    parse: parseNumbers,
    report: (m: string) => void reports.push(m),
  };
  return { reports, checkpoint: createCheckpoint(options) };
}

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "checkpoint-test-" });
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("what was saved is loaded; equal content is not written again", () =>
  inDirectory(async (d) => {
    const path = `${d}/state.json`;
    const first = opened(path);
    assertEquals(await first.checkpoint.load(), undefined);
    await Promise.all([first.checkpoint.save([1]), first.checkpoint.save([1, 2])]);
    const { ino, mode } = await Deno.stat(path);
    assertEquals(mode! & 0o777, 0o600);
    const second = opened(path);
    assertEquals(await second.checkpoint.load(), [1, 2]);
    await second.checkpoint.save([1, 2]);
    assertEquals((await Deno.stat(path)).ino, ino);
    await second.checkpoint.save([3]);
    assertEquals(await opened(path).checkpoint.load(), [3]);
    assertEquals([...first.reports, ...second.reports], []);
  }));

const unreadable: [string, string, string][] = [
  ["cut off", '{"version":2,"value":[1', "not JSON"],
  ["not an object", "null", "expected an object"],
  ["of another version", '{"version":3,"value":[1]}', "its version is 3, expected 2"],
  ["of another form", '{"version":2,"value":["s3cret"]}', "expected numbers"],
];
for (const [name, content, reason] of unreadable) {
  Deno.test(`a file that is ${name} is moved aside and reported, and saving goes on`, () =>
    inDirectory(async (d) => {
      const path = `${d}/state.json`;
      await Deno.writeTextFile(path, content);
      const { checkpoint, reports } = opened(path);
      assertEquals(await checkpoint.load(), undefined);
      assertEquals(reports.length, 1);
      assertStringIncludes(reports[0]!, reason);
      assertEquals(reports[0]!.includes("s3cret"), false);
      assertEquals(await Deno.readTextFile(`${path}.unreadable`), content);
      await checkpoint.save([5]);
      assertEquals(await opened(path).checkpoint.load(), [5]);
    }));
}

Deno.test("a failed write is told, and the same content is tried again", async () => {
  let failing = true;
  let writes = 0;
  const { checkpoint } = opened("/state", {
    readText: () => Promise.reject(new Error("input/output error")),
    writeFileAtomic: () => failing ? Promise.reject(new Error("disk full")) : Promise.resolve(void writes++),
    rename: () => Promise.resolve(),
  });
  assertEquals(await checkpoint.load(), undefined, "an unreadable disk is no crash");
  await assertRejects(() => checkpoint.save([1]), Error, "disk full");
  failing = false;
  await checkpoint.save([1]);
  await checkpoint.save([1]);
  assertEquals(writes, 1);
});
