// The trimmer gives memory back for real, and its loop trims only when there is something to give.

import { assert, assertEquals } from "@std/assert";
import { createMemoryTrimmer } from "../../../../plugins/memory/mod.ts";

const noSleep = () => Promise.resolve();

Deno.test("what a burst left is given back", async () => {
  // In a process of its own: what this one holds depends on the tests before.
  const script = `
    import { createMemoryTrimmer } from ${
    JSON.stringify(import.meta.resolve("../../../../plugins/memory/mod.ts"))
  };
    let kept = [];
    for (let i = 0; i < 400_000; i++) kept.push({ i, text: "x" + i });
    kept = undefined;
    const { before, after } = createMemoryTrimmer(() => Promise.resolve()).trim();
    console.log(JSON.stringify({ before, after }));
  `;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--v8-flags=--expose-gc", script],
  }).output();
  const { before, after } = JSON.parse(new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr));
  assert(before - after > 20e6, `${before} -> ${after}`);
});

Deno.test("the loop trims at first, then only after growth, and ends with its signal", async () => {
  const leave = new AbortController();
  const sizes = [100, 60, 61, 80, 62, 63].map((mb) => mb << 20);
  const seen: string[] = [];
  let at = 0;
  const parts = {
    rss: () => sizes[Math.min(at, sizes.length - 1)] ?? 0,
    release: () => {
      seen.push(`trim at ${parts.rss() >> 20}`);
      at++;
    },
  };
  const sleep = (ms: number) => {
    seen.push(`${ms}`);
    if (seen.length > 1 && !seen.at(-2)?.startsWith("trim")) at++;
    if (seen.length > 8) leave.abort();
    return leave.signal.aborted ? Promise.reject(leave.signal.reason) : Promise.resolve();
  };
  await createMemoryTrimmer(sleep, parts).run(leave.signal);
  assertEquals(seen, [
    "5000",
    "trim at 100",
    "15000",
    "15000",
    "15000",
    "trim at 80",
    "15000",
    "15000",
    "15000",
  ]);
});

Deno.test("a loop that is told to leave at once does nothing", async () => {
  const parts = { rss: () => 1e9, release: () => assert(false) };
  await createMemoryTrimmer(noSleep, parts).run(AbortSignal.abort());
});
