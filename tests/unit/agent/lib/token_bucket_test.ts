import { assertEquals } from "@std/assert";
import { createTokenBucket } from "../../../../agent/lib/token_bucket.ts";

Deno.test("a burst is free, what follows waits its turn, and rest fills the bucket again", () => {
  let now = 0;
  const bucket = createTokenBucket({ qps: 10, burst: 2 }, () => now);
  assertEquals([1, 2, 3, 4].map(() => bucket.take()), [0, 0, 100, 200]);
  now = 60_000;
  assertEquals([1, 2, 3].map(() => bucket.take()), [0, 0, 100]);
});

Deno.test("a rate of 0 is no limit", () => {
  const bucket = createTokenBucket({ qps: 0, burst: 0 }, () => 0);
  assertEquals([1, 2, 3].map(() => bucket.take()), [0, 0, 0]);
});
