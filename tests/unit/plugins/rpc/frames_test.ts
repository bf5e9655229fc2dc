import { assertEquals, assertThrows } from "@std/assert";
import {
  ConnectionError,
  createFrameReader,
  encodeFrame,
  encodeGoaway,
  encodeHeaderFrames,
  encodeReset,
  encodeSettings,
  encodeWindowUpdate,
  Flag,
  FrameType,
} from "../../../../plugins/rpc/frames.ts";
import { createHeaderBlocks } from "../../../../plugins/rpc/header_blocks.ts";
import {
  readGoaway,
  readReset,
  readSettings,
  readWindowUpdate,
  unpad,
} from "../../../../plugins/rpc/settings.ts";

/** Reads all frames of a byte stream that comes in pieces of the given size; payloads are copied. */
function readAll(bytes: Uint8Array, piece: number) {
  const reader = createFrameReader();
  const frames = [];
  for (let at = 0; at < bytes.length;) {
    const space = reader.space();
    const part = bytes.subarray(at, at + Math.min(piece, space.length));
    space.set(part);
    reader.filled(part.length);
    at += part.length;
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      frames.push({ ...frame, payload: frame.payload.slice() });
    }
  }
  return frames;
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function single(bytes: Uint8Array) {
  const [frame] = readAll(bytes, bytes.length);
  if (frame === undefined) throw new Error("no frame");
  return frame;
}

Deno.test("the octets of a frame are those of RFC 9113, section 4.1", () => {
  const payload = Uint8Array.of(1, 2, 3);
  const expected = Uint8Array.of(0, 0, 3, 0, 1, 0, 0, 0, 5, 1, 2, 3);
  assertEquals(encodeFrame(FrameType.DATA, Flag.END_STREAM, 5, payload), expected);
});

Deno.test("frames come out whole however the stream is cut", () => {
  const large = new Uint8Array(16384).map((_, at) => at % 251);
  const stream = join(
    encodeSettings([[4, 262144]]),
    encodeFrame(FrameType.DATA, 0, 1, large),
    encodeWindowUpdate(1, 7),
    encodeFrame(FrameType.DATA, 1, 3, large),
    encodeReset(3, 8),
  );
  for (const piece of [1, 2, 9, 10, 4096, 16393, 100_000]) {
    const frames = readAll(stream, piece);
    assertEquals(frames.map(({ type, streamId }) => [type, streamId]), [[4, 0], [0, 1], [8, 1], [0, 3], [
      3,
      3,
    ]]);
    assertEquals(frames[1]?.payload, large);
    assertEquals(frames[3]?.payload, large);
  }
});

Deno.test("a frame over the limit is refused by its header alone", () => {
  const reader = createFrameReader();
  reader.space().set(Uint8Array.of(0, 0x40, 1, 0, 0, 0, 0, 0, 1));
  reader.filled(9);
  const error = assertThrows(() => reader.next(), ConnectionError);
  assertEquals(error.code, 6);
});

Deno.test("the frames that carry numbers read back as written", () => {
  assertEquals(readSettings(single(encodeSettings([[1, 0], [6, 65536], [4660, 9]]))), [[1, 0], [6, 65536], [
    4660,
    9,
  ]]);
  assertEquals(readWindowUpdate(single(encodeWindowUpdate(9, 0x7fffffff))), 0x7fffffff);
  assertEquals(readReset(single(encodeReset(9, 0xfffffff0))), 0xfffffff0);
  assertEquals(readGoaway(single(encodeGoaway(7, 11, "too much"))), {
    lastStreamId: 7,
    code: 11,
    text: "too much",
  });
});

Deno.test("values and sizes out of range are refused with the standard's codes", () => {
  const cases: Array<[() => unknown, number]> = [
    [() => readSettings(single(encodeSettings([[4, 0x80000000]]))), 3],
    [() => readSettings(single(encodeSettings([[5, 16383]]))), 1],
    [() => readSettings(single(encodeSettings([[5, 0x1000000]]))), 1],
    [() => readSettings(single(encodeSettings([[2, 2]]))), 1],
    [() => readSettings(single(encodeFrame(4, 0, 0, new Uint8Array(5)))), 6],
    [() => readSettings(single(encodeFrame(4, 1, 0, new Uint8Array(6)))), 6],
    [() => readSettings(single(encodeFrame(4, 0, 1))), 1],
    [() => readWindowUpdate(single(encodeWindowUpdate(1, 0))), 1],
    [() => readWindowUpdate(single(encodeFrame(8, 0, 1, new Uint8Array(3)))), 6],
    [() => readReset(single(encodeFrame(3, 0, 1, new Uint8Array(5)))), 6],
    [() => readGoaway(single(encodeFrame(7, 0, 0, new Uint8Array(7)))), 6],
    [() => unpad(single(encodeFrame(0, Flag.PADDED, 1, Uint8Array.of(3, 1, 1)))), 1],
    [() => unpad(single(encodeFrame(0, Flag.PADDED, 1))), 1],
  ];
  for (const [read, code] of cases) {
    assertEquals(assertThrows(read, ConnectionError).code, code, read.toString());
  }
  assertEquals(
    unpad(single(encodeFrame(0, Flag.PADDED, 1, Uint8Array.of(2, 7, 8, 0, 0)))),
    Uint8Array.of(7, 8),
  );
});

Deno.test("a header block longer than a frame goes out in CONTINUATIONs and comes together again", () => {
  const block = new Uint8Array(40_000).map((_, at) => at % 256);
  const frames = encodeHeaderFrames(3, block, true, 16384).map(single);
  assertEquals(frames.map(({ type, flags }) => [type, flags]), [[1, Flag.END_STREAM], [9, 0], [
    9,
    Flag.END_HEADERS,
  ]]);
  const blocks = createHeaderBlocks(65536);
  const results = frames.map((frame) => blocks.collect(frame));
  assertEquals(results, [undefined, undefined, { streamId: 3, end: true, block }]);
  assertEquals(encodeHeaderFrames(3, new Uint8Array(0), false, 16384).length, 1);
});

Deno.test("a header block that is interrupted, has no beginning or no end in sight is refused", () => {
  const begin = single(encodeFrame(FrameType.HEADERS, 0, 1, Uint8Array.of(0x82)));
  const more = (streamId: number) => single(encodeFrame(FrameType.CONTINUATION, 0, streamId));
  const interrupted = createHeaderBlocks(1000);
  interrupted.collect(begin);
  assertThrows(
    () => interrupted.collect(single(encodeFrame(FrameType.PING, 0, 0, new Uint8Array(8)))),
    ConnectionError,
  );
  const other = createHeaderBlocks(1000);
  other.collect(begin);
  assertThrows(() => other.collect(more(3)), ConnectionError);
  assertThrows(() => createHeaderBlocks(1000).collect(more(1)), ConnectionError);
  const endless = createHeaderBlocks(1000);
  endless.collect(begin);
  const error = assertThrows(() => {
    for (let count = 0; count < 100; count++) endless.collect(more(1));
  }, ConnectionError);
  assertEquals(error.code, 11);
});
