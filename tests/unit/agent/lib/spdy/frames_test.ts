import { assertEquals, assertThrows } from "@std/assert";
import { constants, inflateSync } from "node:zlib";
import {
  formatData,
  formatOpen,
  formatPing,
  headLength,
  parseFrame,
  payloadLength,
} from "../../../../../agent/lib/spdy/frames.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
const parse = (frame: Uint8Array) => parseFrame(frame.subarray(0, headLength), frame.subarray(headLength));

/** The header block of a SYN_STREAM frame: it follows stream, associated stream, priority and slot. */
const blockOf = (frame: Uint8Array) => frame.subarray(headLength + 10);

Deno.test("a data frame is read as it was written, with and without an end", () => {
  const frame = formatData(5, bytes(1, 2, 3), true);
  assertEquals(frame, bytes(0, 0, 0, 5, 1, 0, 0, 3, 1, 2, 3));
  assertEquals(payloadLength(frame), 3);
  assertEquals(parse(frame), { kind: "data", stream: 5, fin: true, bytes: bytes(1, 2, 3) });
  assertEquals(parse(formatData(5, bytes(), false)), { kind: "data", stream: 5, fin: false, bytes: bytes() });
});

Deno.test("the frames of a server: reply, reset, ping, goaway, and what is of no interest", () => {
  const control = (type: number, flags: number, ...payload: number[]) =>
    bytes(0x80, 3, 0, type, flags, 0, 0, payload.length, ...payload);
  assertEquals(parse(control(2, 0, 0, 0, 0, 7, 1, 2)), { kind: "reply", stream: 7, fin: false });
  assertEquals(parse(control(2, 1, 0, 0, 0, 7)), { kind: "reply", stream: 7, fin: true });
  assertEquals(parse(control(3, 0, 0, 0, 0, 7, 0, 0, 0, 5)), { kind: "reset", stream: 7, status: 5 });
  assertEquals(parse(formatPing(0xfffffffe)), { kind: "ping", id: 0xfffffffe });
  assertEquals(parse(control(7, 0, 0, 0, 0, 1, 0, 0, 0, 2)), { kind: "goaway", status: 2 });
  assertEquals(parse(control(4, 0, 0, 0, 0, 0)), { kind: "other", type: 4 });
  assertThrows(() => parse(control(3, 0, 0, 0)), Error, "cut off");
});

Deno.test("header blocks of one connection are one zlib stream, each readable as soon as it has come", () => {
  const opened = [
    formatOpen(1, { streamType: "error", port: "80" }, true),
    formatOpen(3, { streamType: "dätä" }, false),
  ];
  assertEquals([...opened[1]!.subarray(0, 12)], [0x80, 3, 0, 1, 0, 0, 0, opened[1]!.length - 8, 0, 0, 0, 3]);
  const text = "\0\0\0\x02\0\0\0\x0astreamtype\0\0\0\x05error\0\0\0\x04port\0\0\0\x0280";
  const second = "\0\0\0\x01\0\0\0\x0astreamtype\0\0\0\x06dätä";
  const inflate = (...blocks: Uint8Array[]) =>
    new TextDecoder().decode(
      inflateSync(new Uint8Array(blocks.flatMap((block) => [...block])), {
        finishFlush: constants.Z_SYNC_FLUSH,
      }),
    );
  assertEquals(inflate(blockOf(opened[0]!)), text);
  assertEquals(inflate(...opened.map(blockOf)), text + second);
  // Go's inflater gives nothing before it has seen the mark of a flush.
  for (const frame of opened) assertEquals(frame.subarray(-5), bytes(0, 0, 0, 0xff, 0xff));
  assertThrows(() => formatOpen(1, { name: "x".repeat(70_000) }, true), Error, "65535");
});

Deno.test("what is no frame of this protocol is refused", () => {
  assertThrows(() => payloadLength(new TextEncoder().encode("\x80\x02garbage")), Error, "expected SPDY/3");
  assertThrows(() => payloadLength(bytes(0, 0, 0, 1, 0, 0xff, 0xff, 0xff)), Error, "16777215 bytes");
});
