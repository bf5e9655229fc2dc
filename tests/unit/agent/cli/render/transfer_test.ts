import { assertEquals } from "@std/assert";
import { createTransfer } from "../../../../../agent/cli/render/transfer.ts";

function stage(errIsTerminal: boolean) {
  const clock = { ms: 0 };
  let text = "";
  const transfer = createTransfer("a -> web:/a", {
    errIsTerminal,
    err: (chunk) => Promise.resolve(void (text += chunk)),
    columns: () => 80,
    now: () => clock.ms,
  });
  return { clock, transfer, text: () => text };
}

Deno.test("a short copy shows nothing, a long one what it has done, and only to people", async () => {
  for (const terminal of [true, false]) {
    const { clock, transfer, text } = stage(terminal);
    const chunks = ReadableStream.from([new Uint8Array(1 << 20), new Uint8Array(1 << 20)]);
    let passed = 0;
    for await (const chunk of transfer.count(chunks)) passed += chunk.length;
    assertEquals([passed, text()], [2 << 20, ""]);
    clock.ms = 2000;
    transfer.add(2 << 20);
    await transfer.end();
    assertEquals(text().includes("a -> web:/a: 4.0 MiB, 2.0 MiB/s"), terminal);
  }
});
