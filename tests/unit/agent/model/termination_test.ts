import { assertEquals } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import {
  fallsBack,
  firstBytes,
  lastLines,
  messageText,
  shownMessage,
} from "../../../../agent/model/termination.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const size = (text: string) => bytes(text).length;
const entry = (content: string, stream = "stdout", tag = "F") =>
  `2026-01-02T03:04:05.000000006Z ${stream} ${tag} ${content}\n`;

Deno.test("a text is cut at so many bytes, never within a character", () => {
  assertEquals(firstBytes("héllo", 100), "héllo");
  assertEquals(firstBytes("héllo", 2), "h");
  assertEquals(firstBytes("héllo", 3), "hé");
  assertEquals(firstBytes("😀😀", 7), "😀");
});

Deno.test("a message that is no text is shown as far as it can be, and takes no more room than a text", () => {
  assertEquals(messageText(new Uint8Array([0x61, 0xff, 0x00, 0x62]), true), "a\ufffd\0b");
  const junk = messageText(new Uint8Array(4096).fill(0xff), true);
  assertEquals([size(junk) <= 4096, /^\ufffd+$/.test(junk)], [true, true]);
  assertEquals(messageText(bytes("é!").subarray(1), false), "!");
});

Deno.test("FallbackToLogsOnError (terminationMessagePolicy): the last 80 lines of the log, at most 2048 bytes", () => {
  const many = Array.from({ length: 100 }, (_, i) => entry(`line ${i}`, i % 2 === 0 ? "stdout" : "stderr"));
  const lines = lastLines(bytes(many.join(""))).split("\n");
  assertEquals([lines.length, lines[0], lines.at(-2), lines.at(-1)], [81, "line 20", "line 99", ""]);
  const wide = lastLines(bytes(entry("é".repeat(3000)) + entry("end")));
  assertEquals([size(wide) <= 2048, size(wide) >= 2047, wide.endsWith("ééé\nend\n")], [true, true, true]);
  assertEquals(
    lastLines(bytes(entry("a ", "stdout", "P") + entry("b") + entry("c", "stdout", "P"))),
    "a b\nc",
  );
  assertEquals(lastLines(bytes("the rest of a line\n" + entry("whole"))), "whole\n");
  assertEquals(lastLines(new Uint8Array([0, 255, 10, 7])), "");
});

Deno.test("the log stands in only where the policy says so, and after an error", () => {
  const falling = { name: "c", terminationMessagePolicy: "FallbackToLogsOnError" };
  assertEquals([1, 137, undefined, 0].map((code) => fallsBack(falling, code)), [true, true, true, false]);
  assertEquals([fallsBack({ name: "c" }, 1), fallsBack(undefined, 1)], [false, false]);
});

Deno.test("the containers of a pod share 12 KiB of messages", () => {
  const pod = (count: number): Pod => ({
    spec: { containers: Array.from({ length: count }, (_, i) => ({ name: `c${i}` })) },
  });
  const own = "x".repeat(4096);
  const sizes = [1, 3, 4, 24].map((count) => shownMessage(pod(count), undefined, own).length);
  assertEquals(sizes, [4096, 4096, 3072, 512]);
  assertEquals(shownMessage(pod(1), "cannot start", "bad flag"), "cannot start: bad flag");
  assertEquals(shownMessage(pod(1), undefined, ""), "");
});
