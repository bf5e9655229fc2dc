import { assertEquals, assertRejects } from "@std/assert";
import { createTurns } from "../../../../agent/lib/turns.ts";

const never = new AbortController().signal;

/** Work that ends when the test says so. */
function work(log: string[], name: string) {
  const gate = Promise.withResolvers<void>();
  return {
    end: () => gate.resolve(),
    run: async () => {
      log.push(`${name} begins`);
      await gate.promise;
      log.push(`${name} ends`);
    },
  };
}

Deno.test("work of one key goes one after the other, other keys at once", async () => {
  const turns = createTurns();
  const log: string[] = [];
  const [a, b, c] = [work(log, "a"), work(log, "b"), work(log, "c")];
  const all = [
    turns.take("k", never, a.run),
    turns.take("k", never, b.run),
    turns.take("other", never, c.run),
  ];
  c.end();
  await all[2];
  assertEquals(log, ["a begins", "c begins", "c ends"]);
  b.end();
  a.end();
  await Promise.all(all);
  assertEquals(log.slice(3), ["a ends", "b begins", "b ends"]);
  await Promise.resolve();
});

Deno.test("who leaves the queue neither runs nor lets the next one in early; failures hold up nobody", async () => {
  const turns = createTurns();
  const log: string[] = [];
  const [a, c] = [work(log, "a"), work(log, "c")];
  const first = turns.take("k", never, a.run);
  const left = new AbortController();
  const second = turns.take("k", left.signal, () => Promise.reject(new Error("it ran")));
  const third = turns.take("k", never, c.run);
  left.abort(new Error("no more"));
  await assertRejects(() => second, Error, "no more");
  assertEquals(log, ["a begins"]);
  a.end();
  c.end();
  await Promise.all([first, third]);
  assertEquals(log, ["a begins", "a ends", "c begins", "c ends"]);
  await assertRejects(() => turns.take("k", never, () => Promise.reject(new Error("bad"))), Error, "bad");
  assertEquals(await turns.take("k", never, () => Promise.resolve(7)), 7);
});
