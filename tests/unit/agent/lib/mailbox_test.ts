import { assertEquals } from "@std/assert";
import { createMailbox } from "../../../../agent/lib/mailbox.ts";

const never = new AbortController().signal;

Deno.test("the newest value replaces an unread one, and is taken once", async () => {
  const box = createMailbox<number>();
  box.put(1);
  box.put(2);
  assertEquals(await box.wait(never), "mail");
  assertEquals(await box.wait(never), "mail", "it stays until it is taken");
  assertEquals([box.take(), box.take()], [2, undefined]);
});

Deno.test("undefined is a value like any other for waiting", async () => {
  const box = createMailbox<undefined>();
  box.put(undefined);
  assertEquals(await box.wait(never), "mail");
});

Deno.test("a nudge before the wait is not lost, and several are one", async () => {
  const box = createMailbox<number>();
  box.nudge();
  box.nudge();
  assertEquals(await box.wait(never), "nudge");
  assertEquals(await box.wait(never, performance.now()), "time");
});

Deno.test("mail and nudge wake a waiting reader", async () => {
  const box = createMailbox<number>();
  const first = box.wait(never);
  box.nudge();
  assertEquals(await first, "nudge");
  const second = box.wait(never);
  box.put(7);
  assertEquals([await second, box.take()], ["mail", 7]);
});

Deno.test("time is that of the given clock", async () => {
  let clock = 1000;
  const box = createMailbox<number>(() => clock);
  assertEquals(await box.wait(never, 1000), "time");
  const waiting = box.wait(never, 1005);
  clock = 1006;
  assertEquals(await waiting, "time");
});

Deno.test("an abort ends the wait, also one that was there before", async () => {
  const box = createMailbox<number>();
  const controller = new AbortController();
  const waiting = box.wait(controller.signal, performance.now() + 1e9);
  controller.abort();
  assertEquals(await waiting, "abort");
  box.put(1);
  assertEquals(await box.wait(controller.signal), "abort");
  assertEquals(box.take(), 1);
});
