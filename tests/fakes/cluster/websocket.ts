/**
 * The server's side of a WebSocket (RFC 6455) on a connection that asked for one: whole binary messages in, out, and pings
 * answered. Not for: what messages mean (translation.ts).
 */
import { createHash } from "node:crypto";
import type http from "node:http";
import type { Duplex } from "node:stream";
import { concatBytes } from "../../../agent/lib/bytes.ts";

export interface WebSocketServerSide {
  /** Until the client closes. */
  messages: AsyncIterable<Uint8Array>;
  /** Resolves when the connection takes more. */
  send(message: Uint8Array): Promise<void>;
  /** Says good-bye, and closes. */
  close(): void;
}

const op = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export const protocolsOf = ({ headers }: http.IncomingMessage): string[] =>
  headers.upgrade?.toLowerCase() === "websocket"
    ? (headers["sec-websocket-protocol"] ?? "").split(",").map((word) => word.trim())
    : [];

export function acceptWebSocket(
  request: http.IncomingMessage,
  socket: Duplex,
  early: Uint8Array,
  protocol: string,
): WebSocketServerSide {
  const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${guid}`).digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
  const write = async (kind: number, bytes: Uint8Array) => {
    if (socket.writableEnded || socket.destroyed) return;
    if (!socket.write(concatBytes([frameHead(kind, bytes.length), bytes]))) await drained(socket);
  };
  return {
    messages: readMessages(socket, early, write),
    send: (message) => write(op.binary, message),
    close() {
      // 1000: as it should be.
      void write(op.close, new Uint8Array([3, 232]));
      socket.end();
    },
  };
}

/** Until the connection takes more, or has ended. */
export function drained(socket: Duplex): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = () => {
    socket.off("drain", over);
    socket.off("close", over);
    resolve();
  };
  socket.on("drain", over);
  socket.on("close", over);
  return promise;
}

function frameHead(kind: number, length: number): Uint8Array {
  const long = length > 65535 ? 8 : length > 125 ? 2 : 0;
  const head = new Uint8Array(2 + long);
  head[0] = 0x80 | kind;
  head[1] = long === 8 ? 127 : long === 2 ? 126 : length;
  const view = new DataView(head.buffer);
  if (long === 8) view.setBigUint64(2, BigInt(length));
  if (long === 2) view.setUint16(2, length);
  return head;
}

async function* readMessages(
  socket: Duplex,
  early: Uint8Array,
  write: (kind: number, bytes: Uint8Array) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const take = createTaker(socket, early);
  let parts: Uint8Array[] = [];
  for (;;) {
    const head = await take(2);
    if (head === undefined) return;
    const [kind, short] = [head[0]! & 15, head[1]! & 127];
    const long = short < 126 ? undefined : viewOf((await take(short === 126 ? 2 : 8)) ?? new Uint8Array(8));
    const length = long === undefined
      ? short
      : short === 126
      ? long.getUint16(0)
      : Number(long.getBigUint64(0));
    const mask = await take(4);
    const bytes = (await take(length))?.slice();
    if (mask === undefined || bytes === undefined || kind === op.close) return;
    for (let i = 0; i < bytes.length; i++) bytes[i]! ^= mask[i & 3]!;
    if (kind === op.ping) await write(op.pong, bytes);
    if (kind === op.binary || kind === op.text || kind === op.more) {
      parts.push(bytes);
      if ((head[0]! & 0x80) === 0) continue;
      yield concatBytes(parts);
      parts = [];
    }
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Exactly so many bytes; undefined when the other side has ended before. */
function createTaker(socket: Duplex, early: Uint8Array): (size: number) => Promise<Uint8Array | undefined> {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let ahead = early;
  return async (size) => {
    const parts: Uint8Array[] = [];
    for (let left = size;;) {
      const part = ahead.subarray(0, left);
      ahead = ahead.subarray(part.length);
      parts.push(part);
      left -= part.length;
      if (left === 0) return concatBytes(parts);
      const next = await chunks.next().catch(() => ({ done: true, value: undefined }));
      if (next.done || next.value === undefined) return undefined;
      ahead = next.value;
    }
  };
}
