import { assertEquals, assertRejects } from "@std/assert";
import { once } from "../../../../agent/lib/once.ts";

Deno.test("made once for all who ask, also at the same time; a failure is tried again", async () => {
  let calls = 0;
  const made = once(async () => {
    calls++;
    await Promise.resolve();
    if (calls === 1) throw new Error("not yet");
    return calls;
  });
  await assertRejects(() => Promise.all([made(), made()]), Error, "not yet");
  assertEquals(await Promise.all([made(), made()]), [2, 2]);
  assertEquals(await made(), 2);
});
