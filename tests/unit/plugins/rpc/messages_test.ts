import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createBudget, createInbox, frameMessage } from "../../../../plugins/rpc/messages.ts";
import { Code, RpcError } from "../../../../plugins/rpc/status.ts";

function setUp(options: { max?: number; budget?: number; threshold?: number } = {}) {
  let granted = 0;
  const budget = createBudget(options.budget ?? 1_000_000);
  const inbox = createInbox({
    maxMessageBytes: options.max ?? 1000,
    budget,
    threshold: options.threshold ?? 100,
    grant: (octets) => void (granted += octets),
  });
  return { inbox, budget, granted: () => granted };
}

const message = (length: number, fill = 7) => new Uint8Array(length).fill(fill);

Deno.test("messages come out whole however their octets are cut", async () => {
  const stream = new Uint8Array(
    [0, 1, 3, 900, 2].flatMap((length) => [...frameMessage(message(length, length % 256))]),
  );
  for (const piece of [1, 3, 4, 5, 6, 64, 10_000]) {
    const { inbox, granted } = setUp({ threshold: 10_000 });
    for (let at = 0; at < stream.length; at += piece) inbox.push(stream.subarray(at, at + piece));
    inbox.end();
    const got = [];
    for (let next = await inbox.next(); next !== undefined; next = await inbox.next()) got.push(next);
    assertEquals(
      got,
      [0, 1, 3, 900, 2].map((length) => message(length, length % 256)),
      `in pieces of ${piece}`,
    );
    assertEquals(granted(), stream.length);
  }
});

Deno.test("a message does not share memory with the chunk it came in", async () => {
  const { inbox } = setUp();
  const chunk = frameMessage(message(10));
  inbox.push(chunk);
  chunk.fill(0);
  assertEquals(await inbox.next(), message(10));
});

Deno.test("who waits gets the message that comes, or the end", async () => {
  const { inbox } = setUp();
  const first = inbox.next();
  inbox.push(frameMessage(message(1)));
  assertEquals(await first, message(1));
  const second = inbox.next();
  inbox.end();
  assertEquals(await second, undefined);
  assertEquals(await inbox.next(), undefined);
});

Deno.test("an error comes after the messages before it; an abort at once", async () => {
  const late = setUp().inbox;
  late.push(frameMessage(message(1)));
  late.end(new RpcError(Code.NOT_FOUND, "gone"));
  assertEquals(await late.next(), message(1));
  await assertRejects(() => late.next(), RpcError, "NOT_FOUND: gone");
  const now = setUp().inbox;
  now.push(frameMessage(message(1)));
  now.abort(new RpcError(Code.CANCELLED, "stop"));
  await assertRejects(() => now.next(), RpcError, "CANCELLED: stop");
});

Deno.test("credit is withheld while nobody takes messages, and comes with the taking", async () => {
  const { inbox, granted } = setUp({ threshold: 100 });
  inbox.push(frameMessage(message(90)));
  assertEquals(granted(), 95);
  inbox.push(frameMessage(message(90)));
  assertEquals(granted(), 95);
  await inbox.next();
  assertEquals(granted(), 190);
});

Deno.test("limits: one message, all messages of a connection, compression, an unfinished message", async () => {
  const tooLong = assertThrows(
    () => setUp({ max: 10 }).inbox.push(frameMessage(message(11)).subarray(0, 5)),
    RpcError,
  );
  assertEquals(tooLong.code, Code.RESOURCE_EXHAUSTED);
  const full = assertThrows(() => setUp({ budget: 10 }).inbox.push(frameMessage(message(20))), RpcError);
  assertEquals(full.code, Code.RESOURCE_EXHAUSTED);
  const compressed = assertThrows(() => setUp().inbox.push(Uint8Array.of(1, 0, 0, 0, 0)), RpcError);
  assertEquals(compressed.code, Code.UNIMPLEMENTED);
  const { inbox } = setUp();
  inbox.push(frameMessage(message(10)).subarray(0, 9));
  inbox.end();
  await assertRejects(() => inbox.next(), RpcError, "within a message");
});

Deno.test("the budget is whole again whatever way an inbox ends", async () => {
  const { inbox, budget } = setUp({ budget: 1000 });
  inbox.push(frameMessage(message(100)));
  inbox.push(frameMessage(message(100)).subarray(0, 50));
  inbox.end();
  await inbox.next();
  assertEquals(budget.take(1000), true);
  const second = setUp({ budget: 1000 });
  second.inbox.push(frameMessage(message(100)));
  second.inbox.push(frameMessage(message(100)).subarray(0, 50));
  second.inbox.abort(new RpcError(Code.CANCELLED, ""));
  assertEquals(second.budget.take(1000), true);
});
