/**
 * The client's side of a SPDY connection: opens streams, hands on what they receive in the order of the wire, writes.
 * What a receiver has not taken yet holds the whole connection back, so that nothing piles up in memory.
 * Not for: bytes of frames (frames.ts), the HTTP upgrade before it, what streams mean.
 */
import {
  formatData,
  formatOpen,
  formatPing,
  type Frame,
  headLength,
  parseFrame,
  payloadLength,
} from "./frames.ts";

/** A connection: TCP, a pipe, a test's. */
export interface Wire {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

export interface SpdyStream {
  /** Resolves when all is on the wire. Throws when the connection has ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** Says that nothing more will be written; reading goes on. */
  end(): Promise<void>;
  /** When the other side will write no more. Rejects when the stream was reset, or the connection broke by an error. */
  ended: Promise<void>;
}

export interface SpdySession {
  /** Resolves when the other side has accepted the stream. */
  open(
    headers: Readonly<Record<string, string>>,
    receive: (bytes: Uint8Array) => void | Promise<void>,
  ): Promise<SpdyStream>;
  /** Ends the connection, and with it every stream. Does nothing the second time. */
  close(): void;
}

interface OpenStream {
  receive(bytes: Uint8Array): void | Promise<void>;
  accepted: PromiseWithResolvers<void>;
  ended: PromiseWithResolvers<void>;
}

/** How a streaming server closes a stream that it has done with, without a FIN of its own. */
const resetCancel = 5;
const largestWrite = 32 * 1024;

/** @param early what of the first frames was read together with the upgrade's answer */
export function createSpdySession(wire: Wire, early: Uint8Array = new Uint8Array()): SpdySession {
  const streams = new Map<number, OpenStream>();
  let lastStream = -1;
  let closed = false;
  let writes: Promise<unknown> = Promise.resolve();

  const write = (bytes: Uint8Array): Promise<void> => {
    const written = writes.then(() => writeAll(wire, bytes));
    writes = written.catch(() => {});
    return written;
  };
  const close = () => {
    if (closed) return;
    closed = true;
    wire.close();
  };
  const finish = (error?: unknown) => {
    close();
    for (const stream of streams.values()) {
      stream.accepted.reject(error ?? new Error("the connection ended"));
      if (error === undefined) stream.ended.resolve();
      else stream.ended.reject(error);
    }
    streams.clear();
  };
  const take = async (frame: Frame): Promise<void> => {
    if (frame.kind === "ping") return await write(formatPing(frame.id));
    if (frame.kind === "goaway" || frame.kind === "other") return;
    const stream = streams.get(frame.stream);
    if (stream === undefined) return;
    if (frame.kind === "reset") {
      streams.delete(frame.stream);
      const error = new Error(`the stream was reset (status ${frame.status})`);
      stream.accepted.reject(error);
      if (frame.status === resetCancel) stream.ended.resolve();
      else stream.ended.reject(error);
      return;
    }
    if (frame.kind === "reply") stream.accepted.resolve();
    else if (frame.bytes.length > 0) await stream.receive(frame.bytes);
    if (frame.fin) {
      streams.delete(frame.stream);
      stream.ended.resolve();
    }
  };
  readFrames(wire, early, take).then(() => finish(), (error) => finish(closed ? undefined : error));

  return {
    async open(headers, receive) {
      if (closed) throw new Error("the connection has ended");
      const first = lastStream < 0;
      const id = lastStream += 2;
      const [accepted, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      // Who is not interested in how it ends must not crash by it.
      ended.promise.catch(() => {});
      streams.set(id, { receive, accepted, ended });
      await Promise.all([write(formatOpen(id, headers, first)), accepted.promise]);
      return {
        async write(bytes) {
          for (let at = 0; at < bytes.length; at += largestWrite) {
            await write(formatData(id, bytes.subarray(at, at + largestWrite), false));
          }
        },
        end: () => write(formatData(id, new Uint8Array(), true)),
        ended: ended.promise,
      };
    },
    close,
  };
}

async function writeAll(wire: Wire, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await wire.write(bytes.subarray(sent));
}

async function readFrames(
  wire: Wire,
  early: Uint8Array,
  take: (frame: Frame) => Promise<void>,
): Promise<void> {
  let ahead = early;
  const fill = async (bytes: Uint8Array): Promise<boolean> => {
    let size = Math.min(ahead.length, bytes.length);
    bytes.set(ahead.subarray(0, size));
    ahead = ahead.subarray(size);
    while (size < bytes.length) {
      const count = await wire.read(bytes.subarray(size));
      if (count === null) {
        if (size === 0) return false;
        throw new Error("the connection ended within a frame");
      }
      size += count;
    }
    return true;
  };
  const head = new Uint8Array(headLength);
  while (await fill(head)) {
    const payload = new Uint8Array(payloadLength(head));
    if (!await fill(payload)) throw new Error("the connection ended within a frame");
    await take(parseFrame(head, payload));
  }
}
