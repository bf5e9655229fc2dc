import { assertEquals, assertRejects } from "@std/assert";
import { createSpdySession, type SpdySession } from "../../../../../agent/lib/spdy/session.ts";
import {
  formatData,
  formatPing,
  headLength,
  parseFrame,
  payloadLength,
} from "../../../../../agent/lib/spdy/frames.ts";

const control = (type: number, ...words: number[]): Uint8Array => {
  const frame = new Uint8Array(8 + words.length * 4);
  const view = new DataView(frame.buffer);
  view.setUint32(0, 0x80030000 | type);
  view.setUint32(4, words.length * 4);
  words.forEach((word, i) => view.setUint32(8 + i * 4, word));
  return frame;
};
const reply = (stream: number) => control(2, stream);
const reset = (stream: number, status: number) => control(3, stream, status);
const text = (value: string) => new TextEncoder().encode(value);

/** A server that the test plays: it gives bytes in pieces of its choice, and sees what was written. */
function createPeer(session?: { early: Uint8Array }) {
  const toClient = new TransformStream<Uint8Array, Uint8Array>();
  const writer = toClient.writable.getWriter();
  const reader = toClient.readable.getReader();
  let rest = new Uint8Array();
  let taken = 0;
  const written: Uint8Array[] = [];
  const waiting: (() => void)[] = [];
  const client: SpdySession = createSpdySession({
    async read(buffer) {
      if (rest.length === 0) {
        const { done, value } = await reader.read();
        if (done) return null;
        rest = new Uint8Array(value);
      }
      const count = Math.min(buffer.length, rest.length);
      buffer.set(rest.subarray(0, count));
      rest = rest.subarray(count);
      taken += count;
      return count;
    },
    write(bytes) {
      // One byte less than asked for, as sockets may.
      const count = Math.max(1, bytes.length - 1);
      written.push(bytes.slice(0, count));
      waiting.splice(0).forEach((wake) => wake());
      return Promise.resolve(count);
    },
    close: () => void writer.close().catch(() => {}),
  }, session?.early);
  const all = () => new Uint8Array(written.flatMap((bytes) => [...bytes]));
  /** Complete frames that the client wrote: type of control frames, `data` or `fin` of data frames. */
  const frames = () => {
    const [bytes, found]: [Uint8Array, string[]] = [all(), []];
    for (let at = 0; at + headLength <= bytes.length;) {
      const head = bytes.subarray(at, at + headLength);
      const length = payloadLength(head);
      const frame = parseFrame(head, bytes.subarray(at + headLength, at + headLength + length));
      found.push(
        frame.kind === "data"
          ? `${frame.stream}:${new TextDecoder().decode(frame.bytes)}${frame.fin ? "." : ""}`
          : frame.kind,
      );
      at += headLength + length;
    }
    return found;
  };
  return {
    client,
    frames,
    taken: () => taken,
    give: (...parts: Uint8Array[]) => parts.forEach((part) => writer.write(part).catch(() => {})),
    end: () => writer.close(),
  };
}

async function opened(
  peer: ReturnType<typeof createPeer>,
  receive: (bytes: Uint8Array) => void | Promise<void>,
) {
  const stream = peer.client.open({ streamtype: "x" }, receive);
  peer.give(reply(1));
  return await stream;
}

Deno.test("a stream receives its bytes in order however they are cut, and ends by FIN or by a closing reset", async () => {
  for (const end of [formatData(1, text(""), true), reset(1, 5)]) {
    const peer = createPeer();
    let got = "";
    const stream = await opened(peer, (bytes) => void (got += new TextDecoder().decode(bytes)));
    const wire = [
      formatData(1, text("one "), false),
      formatData(9, text("nobody's"), false),
      control(4, 0),
      end,
    ];
    const flat = wire.flatMap((frame) => [...frame]);
    for (let at = 0; at < flat.length; at += 3) peer.give(Uint8Array.from(flat.slice(at, at + 3)));
    await stream.ended;
    assertEquals(got, "one ");
    peer.client.close();
  }
});

Deno.test("what came together with the upgrade's answer is not lost", async () => {
  const peer = createPeer({ early: reply(1) });
  await peer.client.open({ streamtype: "x" }, () => {});
  peer.client.close();
});

Deno.test("writes keep their order and their frames whole; a ping is answered between them", async () => {
  const peer = createPeer();
  const stream = await opened(peer, () => {});
  peer.give(formatPing(7), formatData(1, text("x"), true));
  await stream.ended;
  await Promise.all([stream.write(text("a")), stream.write(text("b")), stream.end()]);
  assertEquals(peer.frames(), ["other", "ping", "1:a", "1:b", "1:."]);
  await stream.write(new Uint8Array(100_000));
  assertEquals(peer.frames().slice(5).map((frame) => frame.length - 2), [
    32768,
    32768,
    32768,
    100_000 - 3 * 32768,
  ]);
  peer.client.close();
});

Deno.test("a receiver that is slow holds the connection back", async () => {
  const peer = createPeer();
  const gate = Promise.withResolvers<void>();
  const seen: number[] = [];
  const stream = await opened(peer, (bytes) => {
    seen.push(bytes[0]!);
    return gate.promise;
  });
  const before = peer.taken();
  const frame = (value: number) => formatData(1, Uint8Array.of(value), false);
  peer.give(frame(1), frame(2), formatData(1, Uint8Array.of(3), true));
  for (let i = 0; i < 50; i++) await Promise.resolve();
  assertEquals([seen, peer.taken() - before], [[1], 9]);
  gate.resolve();
  await stream.ended;
  assertEquals(seen, [1, 2, 3]);
  peer.client.close();
});

Deno.test("refusals and broken connections reach who waits", async () => {
  const refused = createPeer();
  const stream = refused.client.open({ streamtype: "x" }, () => {});
  refused.give(reset(1, 3));
  await assertRejects(() => stream, Error, "status 3");
  refused.client.close();

  const cut = createPeer();
  const half = await opened(cut, () => {});
  cut.give(formatData(1, text("abc"), false).subarray(0, 9));
  cut.end();
  await assertRejects(() => half.ended, Error, "within a frame");
  await assertRejects(() => cut.client.open({}, () => {}), Error, "has ended");

  const garbage = createPeer();
  const open = await opened(garbage, () => {});
  garbage.give(text("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await assertRejects(() => open.ended, Error, "a SPDY frame of");

  const failing = createPeer();
  const reader = await opened(failing, () => Promise.reject(new Error("nobody reads")));
  failing.give(formatData(1, text("x"), false));
  await assertRejects(() => reader.ended, Error, "nobody reads");

  const left = createPeer();
  const gone = await opened(left, () => {});
  left.client.close();
  await gone.ended;
});
