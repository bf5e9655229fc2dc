import { assertEquals } from "@std/assert";
import { jsonLine, streamOf } from "../../../../agent/api/stream.ts";

const never = new AbortController().signal;

Deno.test("a reader that leaves ends the generator, between two chunks and while it waits", async () => {
  const ended: string[] = [];
  async function* chatty(signal: AbortSignal) {
    try {
      for (;;) yield await Promise.resolve(jsonLine(signal.aborted));
    } finally {
      ended.push("chatty");
    }
  }
  async function* quiet(signal: AbortSignal) {
    try {
      yield jsonLine("first");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    } finally {
      ended.push("quiet");
    }
  }
  for (const produce of [chatty, quiet]) {
    const reader = streamOf(produce, never).getReader();
    await reader.read();
    if (produce === quiet) reader.read();
    await reader.cancel();
  }
  assertEquals(ended, ["chatty", "quiet"]);
});
