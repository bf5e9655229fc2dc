/**
 * One HTTP/2 connection, of either side (RFC 9113): its socket, its streams, how it begins, and the one way it ends.
 * What the frames mean is dispatch.ts and stream.ts. Knows nothing of gRPC.
 */
import { createDispatcher, createPeer } from "./dispatch.ts";
import {
  ConnectionError,
  createFrameReader,
  defaultWindow,
  encodeFrame,
  encodeGoaway,
  encodeSettings,
  encodeWindowUpdate,
  ErrorCode,
  FrameType,
  maxWindow,
  preface,
  Setting,
} from "./frames.ts";
import { encodeHeaders, type HeaderList } from "./hpack.ts";
import { createSilence } from "./silence.ts";
import { createStream, type Stream, type StreamEvents, type StreamHost, type StreamInlet } from "./stream.ts";
import { createWriter, type Writer } from "./writer.ts";

export interface ConnectionLimits {
  /** Streams that the peer may have open at once. */
  maxStreams: number;
  /** Octets of one header list or block. */
  maxHeaderBytes: number;
  /** Octets that the peer may send on one stream before we give credit. */
  streamWindow: number;
  /** Octets that the peer may send on all streams before we give credit; at least 65535. */
  connectionWindow: number;
  /** Milliseconds until the peer's first SETTINGS must have come. */
  handshakeMs: number;
  /** Milliseconds of silence after which a peer that owes an answer is asked for a sign of life; see silence.ts. */
  silenceMs: number;
  /** Milliseconds that the last words of a connection may take. */
  lingerMs: number;
}

export const defaultLimits: ConnectionLimits = {
  maxStreams: 128,
  maxHeaderBytes: 65536,
  streamWindow: 262144,
  connectionWindow: 1048576,
  handshakeMs: 10_000,
  silenceMs: 20_000,
  lingerMs: 1000,
};

/** What the connection needs of a socket; Deno.Conn has it. */
export interface Socket {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

export interface Connection {
  /** New streams may be opened: it is neither closed nor going away. */
  readonly usable: boolean;
  /** A stream may be opened now: the peer has said its limits, and they leave room. */
  readonly roomy: boolean;
  /** Why it has ended before the peer's first SETTINGS; undefined for all others. */
  readonly unmet: Error | undefined;
  /** Resolves at the next change of streams, windows or settings. */
  changed(): Promise<void>;
  /** Opens a stream of this side. Only on a usable connection. */
  open(events: StreamEvents): Stream;
  /** Takes no new streams and closes once the open ones have ended. */
  drain(): void;
  /** Ends every stream, says GOAWAY and closes. */
  close(): void;
  /** Resolves when the socket is closed, with the reason when it was not our own wish. */
  readonly closed: Promise<Error | undefined>;
}

export interface ConnectionOptions {
  side: "client" | "server";
  limits: ConnectionLimits;
  /** Server: takes a new stream. Undefined refuses it. */
  accept?(stream: Stream, headers: HeaderList): StreamEvents | undefined;
}

// Data waits above the first limit. Reading stops above the second, so that a flood of frames to be answered waits too.
const congestedBytes = 131072;
const stalledBytes = 524288;

/** A list of those who wait for any change. */
function createBell() {
  let waiting: Array<() => void> = [];
  return {
    changed: () => new Promise<void>((resolve) => waiting.push(resolve)),
    wake(): void {
      if (waiting.length === 0) return;
      const woken = waiting;
      waiting = [];
      for (const resolve of woken) resolve();
    },
  };
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

export function createConnection(socket: Socket, options: ConnectionOptions): Connection {
  const { side, limits } = options;
  const streams = new Map<number, StreamInlet>();
  const peer = createPeer();
  const bell = createBell();
  const closed = Promise.withResolvers<Error | undefined>();
  let nextStream = 1;
  let draining = false;
  let ending = false;
  let unmet: Error | undefined;

  const writer = createWriter((bytes) => socket.write(bytes), {
    wrote: bell.wake,
    failed: (error) => end(toError(error)),
  });
  const host: StreamHost = {
    side,
    peer,
    enqueue: writer.enqueue,
    encode(list) {
      const block = encodeHeaders(list, peer.tableReset);
      peer.tableReset = false;
      return block;
    },
    congested: () => writer.queued > congestedBytes,
    changed: bell.changed,
    wake: bell.wake,
    ended(id) {
      streams.delete(id);
      closeWhenDrained();
    },
  };
  const dispatcher = createDispatcher({
    side,
    limits,
    peer,
    streams,
    enqueue: writer.enqueue,
    wake: bell.wake,
    hasOpened: (id) => id < nextStream,
    addStream,
    accept: options.accept,
    draining: () => draining,
    peerLeaves,
  });

  function addStream(id: number, events: StreamEvents): StreamInlet {
    const stream = createStream(id, host, events, { send: peer.streamWindow, receive: limits.streamWindow });
    streams.set(id, stream);
    return stream;
  }

  const silence = createSilence({
    silenceMs: limits.silenceMs,
    ask: () => writer.enqueue(encodeFrame(FrameType.PING, 0, 0, new Uint8Array(8))),
    giveUp: () => end(new Error(`the peer has been silent for ${3 * limits.silenceMs / 1000} s`)),
  });

  function open(events: StreamEvents): Stream {
    if (draining || ending) throw new Error("a stream was opened on a connection that goes away");
    silence.asked();
    const stream = addStream(nextStream, events);
    nextStream += 2;
    if (nextStream > maxWindow) draining = true;
    return stream;
  }

  function closeWhenDrained(): void {
    if (draining && streams.size === 0) end(undefined);
  }

  function peerLeaves(): void {
    draining = true;
    bell.wake();
    closeWhenDrained();
  }

  function drain(): void {
    if (draining || ending) return;
    draining = true;
    if (side === "server") writer.enqueue(encodeGoaway(dispatcher.lastPeerStream(), ErrorCode.NO_ERROR, ""));
    bell.wake();
    closeWhenDrained();
  }

  /** Runs until the peer closes or breaks the protocol. */
  async function read(): Promise<void> {
    const reader = createFrameReader();
    let greeted = side === "client";
    for (;;) {
      greeted ||= checkPreface(reader.take(preface.length));
      for (let frame = greeted ? reader.next() : undefined; frame !== undefined; frame = reader.next()) {
        dispatcher.dispatch(frame);
        if (ending) return;
      }
      while (writer.queued > stalledBytes && !ending) await bell.changed();
      const count = await socket.read(reader.space());
      if (count === null || ending) return;
      silence.heard();
      reader.filled(count);
    }
  }

  /** The one end of the connection: streams first, then the last words, then the socket. */
  function end(reason: Error | undefined): void {
    if (ending) return;
    ending = true;
    if (!peer.greeted) unmet = reason ?? new Error("closed by this side");
    clearTimeout(handshake);
    silence.stop();
    const code = reason instanceof ConnectionError ? reason.code : ErrorCode.NO_ERROR;
    const message = reason?.message ?? "the connection was closed";
    for (const stream of [...streams.values()]) {
      stream.lose({ code, message, refused: false, disconnected: true });
    }
    bell.wake();
    writer.enqueue(
      encodeGoaway(dispatcher.lastPeerStream(), code, code === ErrorCode.NO_ERROR ? "" : message),
    );
    void closeAfter(writer, socket, limits.lingerMs).then(() => closed.resolve(reason));
  }

  const handshake = setTimeout(() => {
    if (!peer.greeted) end(new ConnectionError(ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS came in time"));
  }, limits.handshakeMs);
  greet(writer, side, limits);
  read().then(() => end(new Error("the peer closed the connection")), (error) => end(toError(error)));

  return {
    get usable() {
      return !draining && !ending;
    },
    get roomy() {
      return peer.greeted && streams.size < peer.maxStreams;
    },
    get unmet() {
      return unmet;
    },
    changed: bell.changed,
    open,
    drain,
    close: () => end(undefined),
    closed: closed.promise,
  };
}

function greet(writer: Writer, side: "client" | "server", limits: ConnectionLimits): void {
  if (side === "client") writer.enqueue(preface);
  writer.enqueue(encodeSettings([
    side === "client" ? [Setting.ENABLE_PUSH, 0] : [Setting.MAX_CONCURRENT_STREAMS, limits.maxStreams],
    [Setting.INITIAL_WINDOW_SIZE, limits.streamWindow],
    [Setting.MAX_HEADER_LIST_SIZE, limits.maxHeaderBytes],
  ]));
  const more = limits.connectionWindow - defaultWindow;
  if (more > 0) writer.enqueue(encodeWindowUpdate(0, more));
}

function checkPreface(bytes: Uint8Array | undefined): boolean {
  if (bytes === undefined) return false;
  if (bytes.every((byte, at) => byte === preface[at])) return true;
  throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the client does not speak HTTP/2");
}

/** Closes the socket once everything is written, or after the time that this may take. */
async function closeAfter(writer: Writer, socket: Socket, lingerMs: number): Promise<void> {
  const timeUp = Promise.withResolvers<void>();
  const timer = setTimeout(timeUp.resolve, lingerMs);
  await Promise.race([writer.drained(), timeUp.promise]);
  clearTimeout(timer);
  writer.stop();
  try {
    socket.close();
  } catch {
    // The writer or the peer had closed it.
  }
}
