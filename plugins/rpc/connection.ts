/**
 * One HTTP/2 connection, of either side (RFC 9113): reads frames and gives them to their streams, keeps the
 * connection's windows, settings, pings and goaways, and ends all of it once. Knows nothing of gRPC.
 */
import {
  ConnectionError,
  createFrameReader,
  defaultFrameSize,
  defaultWindow,
  encodeFrame,
  encodeGoaway,
  encodeReset,
  encodeSettings,
  encodeWindowUpdate,
  ErrorCode,
  Flag,
  type Frame,
  FrameType,
  maxWindow,
  preface,
  Setting,
} from "./frames.ts";
import { createHeaderBlocks, type HeaderBlock } from "./header_blocks.ts";
import { createHpackDecoder, encodeHeaders, type HeaderList } from "./hpack.ts";
import { readGoaway, readReset, readSettings, readWindowUpdate, unpad } from "./settings.ts";
import { createStream, type Stream, type StreamEvents, type StreamHost, type StreamInlet } from "./stream.ts";
import { createWriter } from "./writer.ts";

export interface ConnectionLimits {
  /** Streams that the peer may have open at once. */
  maxStreams: number;
  /** Octets of one header list or block. */
  maxHeaderBytes: number;
  /** Octets that the peer may send on one stream, and on all of them, before we give credit. */
  streamWindow: number;
  connectionWindow: number;
  /** Milliseconds until the peer's first SETTINGS must have come, and until a closing connection is cut. */
  handshakeMs: number;
  lingerMs: number;
}

export const defaultLimits: ConnectionLimits = {
  maxStreams: 128,
  maxHeaderBytes: 65536,
  streamWindow: 262144,
  connectionWindow: 1048576,
  handshakeMs: 10_000,
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
  /** As many streams are open as the peer allows. */
  readonly full: boolean;
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

export function createConnection(socket: Socket, options: ConnectionOptions): Connection {
  const { side, limits } = options;
  const streams = new Map<number, StreamInlet>();
  const decoder = createHpackDecoder({ tableSize: 4096, listSize: limits.maxHeaderBytes });
  const blocks = createHeaderBlocks(limits.maxHeaderBytes);
  const peer = {
    window: defaultWindow,
    maxFrameSize: defaultFrameSize,
    streamWindow: defaultWindow,
    maxStreams: maxWindow,
    greeted: false,
  };
  const closed = Promise.withResolvers<Error | undefined>();
  let receiveWindow = limits.connectionWindow;
  let credit = 0;
  let lastPeerStream = 0;
  let nextStream = 1;
  let tableReset = false;
  let draining = false;
  let ending = false;
  let waiters: Array<() => void> = [];
  let linger: ReturnType<typeof setTimeout> | undefined;

  const writer = createWriter((bytes) => socket.write(bytes), {
    wrote: wake,
    failed: (error) => end(error instanceof Error ? error : new Error(String(error))),
  });

  const host: StreamHost = {
    side,
    peer,
    enqueue: writer.enqueue,
    encode(list) {
      const block = encodeHeaders(list, tableReset);
      tableReset = false;
      return block;
    },
    congested: () => writer.queued > congestedBytes,
    changed,
    wake,
    ended(id) {
      streams.delete(id);
      if (draining && streams.size === 0) close();
    },
  };

  function changed(): Promise<void> {
    return new Promise((resolve) => waiters.push(resolve));
  }

  function wake(): void {
    if (waiters.length === 0) return;
    const woken = waiters;
    waiters = [];
    for (const resolve of woken) resolve();
  }

  function greet(): void {
    if (side === "client") writer.enqueue(preface);
    writer.enqueue(encodeSettings([
      side === "client" ? [Setting.ENABLE_PUSH, 0] : [Setting.MAX_CONCURRENT_STREAMS, limits.maxStreams],
      [Setting.INITIAL_WINDOW_SIZE, limits.streamWindow],
      [Setting.MAX_HEADER_LIST_SIZE, limits.maxHeaderBytes],
    ]));
    writer.enqueue(encodeWindowUpdate(0, limits.connectionWindow - defaultWindow));
  }

  function open(events: StreamEvents): Stream {
    if (draining || ending) throw new Error("a stream was opened on a connection that goes away");
    const stream = addStream(nextStream, events);
    nextStream += 2;
    if (nextStream > maxWindow) draining = true;
    return stream;
  }

  function addStream(id: number, events: StreamEvents): StreamInlet {
    const stream = createStream(id, host, events, { send: peer.streamWindow, receive: limits.streamWindow });
    streams.set(id, stream);
    return stream;
  }

  function dispatch(frame: Frame): void {
    if (!peer.greeted && (frame.type !== FrameType.SETTINGS || (frame.flags & Flag.ACK) !== 0)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
    }
    const block = blocks.collect(frame);
    if (block !== undefined) return headersCame(block);
    switch (frame.type) {
      case FrameType.DATA:
        return dataCame(frame);
      case FrameType.SETTINGS:
        return settingsCame(frame);
      case FrameType.WINDOW_UPDATE:
        return windowUpdateCame(frame);
      case FrameType.PING:
        return pingCame(frame);
      case FrameType.RST_STREAM:
        return resetCame(frame);
      case FrameType.GOAWAY:
        return goawayCame(frame);
      case FrameType.PUSH_PROMISE:
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, although push is off");
    }
  }

  /** Whether a stream of this id has been opened, by either side. */
  function wasOpened(id: number): boolean {
    return id % 2 === 1 && (side === "client" ? id < nextStream : id <= lastPeerStream);
  }

  function streamOf(frame: Frame): StreamInlet | undefined {
    const stream = streams.get(frame.streamId);
    if (stream === undefined && !wasOpened(frame.streamId)) {
      throw new ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        `a frame for stream ${frame.streamId}, which is not open`,
      );
    }
    return stream;
  }

  function headersCame({ streamId, end, block }: HeaderBlock): void {
    const list = decoder.decode(block); // for a stream that has ended as well: the table must stay in step
    const stream = streams.get(streamId);
    if (stream !== undefined) return stream.headersReceived(list, end);
    if (wasOpened(streamId)) return;
    if (side === "client" || streamId % 2 === 0) {
      throw new ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        `HEADERS for stream ${streamId}, which is not open`,
      );
    }
    lastPeerStream = streamId;
    acceptStream(streamId, list, end);
  }

  function acceptStream(id: number, list: HeaderList, end: boolean): void {
    if (draining || streams.size >= limits.maxStreams) {
      return writer.enqueue(encodeReset(id, ErrorCode.REFUSED_STREAM));
    }
    const stream = addStream(id, {
      headers: (trailers, last) => events?.headers(trailers, last),
      received: (chunk, last) => events?.received(chunk, last),
      lost: (loss) => events?.lost(loss),
    });
    const events = options.accept?.(stream, list);
    if (events === undefined) return stream.reset(ErrorCode.REFUSED_STREAM);
    stream.headersReceived(list, end);
  }

  function dataCame(frame: Frame): void {
    const octets = frame.payload.length;
    receiveWindow -= octets;
    if (receiveWindow < 0) {
      throw new ConnectionError(
        ErrorCode.FLOW_CONTROL_ERROR,
        "the peer sent more than the connection's window",
      );
    }
    const chunk = unpad(frame);
    streamOf(frame)?.dataReceived(chunk, octets, (frame.flags & Flag.END_STREAM) !== 0);
    // The connection's credit comes back at once; what bounds memory is each stream's window and the inbox's budget.
    credit += octets;
    if (credit < limits.connectionWindow / 2) return;
    receiveWindow += credit;
    writer.enqueue(encodeWindowUpdate(0, credit));
    credit = 0;
  }

  function settingsCame(frame: Frame): void {
    const settings = readSettings(frame);
    if ((frame.flags & Flag.ACK) !== 0) return;
    peer.greeted = true;
    for (const [id, value] of settings) applySetting(id, value);
    writer.enqueue(encodeFrame(FrameType.SETTINGS, Flag.ACK, 0));
    wake();
  }

  function applySetting(id: number, value: number): void {
    if (id === Setting.HEADER_TABLE_SIZE) tableReset = true;
    if (id === Setting.MAX_CONCURRENT_STREAMS) peer.maxStreams = value;
    if (id === Setting.MAX_FRAME_SIZE) peer.maxFrameSize = Math.min(value, 4 * defaultFrameSize);
    if (id !== Setting.INITIAL_WINDOW_SIZE) return;
    const change = value - peer.streamWindow;
    peer.streamWindow = value;
    for (const stream of streams.values()) stream.windowGrown(change);
  }

  function windowUpdateCame(frame: Frame): void {
    const increment = readWindowUpdate(frame);
    if (frame.streamId !== 0) return streamOf(frame)?.windowGrown(increment);
    peer.window += increment;
    if (peer.window > maxWindow) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is over 2^31-1");
    }
    wake();
  }

  function pingCame(frame: Frame): void {
    if (frame.payload.length !== 8) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PING has a wrong size");
    }
    if ((frame.flags & Flag.ACK) !== 0) return;
    writer.enqueue(encodeFrame(FrameType.PING, Flag.ACK, 0, frame.payload));
  }

  function resetCame(frame: Frame): void {
    const code = readReset(frame);
    const refused = code === ErrorCode.REFUSED_STREAM;
    streamOf(frame)?.lose({
      code,
      message: `the peer reset the stream, code ${code}`,
      refused,
      disconnected: false,
    });
  }

  function goawayCame(frame: Frame): void {
    const { lastStreamId, code, text } = readGoaway(frame);
    draining = true;
    for (const stream of [...streams.values()]) {
      if (side !== "client" || stream.id <= lastStreamId) continue;
      stream.lose({ code, message: `the peer goes away: ${text}`, refused: true, disconnected: true });
    }
    if (streams.size === 0) close();
    wake();
  }

  /** Runs until the peer closes or breaks the protocol. */
  async function read(): Promise<void> {
    const reader = createFrameReader();
    let prefaceCame = side === "client";
    for (;;) {
      prefaceCame ||= checkPreface(reader.take(preface.length));
      for (let frame = prefaceCame ? reader.next() : undefined; frame !== undefined; frame = reader.next()) {
        dispatch(frame);
        if (ending) return;
      }
      if (writer.queued > stalledBytes) await writer.drained();
      const count = await socket.read(reader.space());
      if (count === null || ending) return;
      reader.filled(count);
    }
  }

  function loseStreams(code: number, message: string): void {
    for (const stream of [...streams.values()]) {
      stream.lose({ code, message, refused: false, disconnected: true });
    }
  }

  /** The one end of the connection: streams first, then the last words, then the socket. */
  function end(reason: Error | undefined): void {
    if (ending) return;
    ending = true;
    clearTimeout(handshake);
    const code = reason instanceof ConnectionError ? reason.code : ErrorCode.NO_ERROR;
    loseStreams(code, reason?.message ?? "the connection was closed");
    wake();
    writer.enqueue(
      encodeGoaway(lastPeerStream, code, code === ErrorCode.NO_ERROR ? "" : reason?.message ?? ""),
    );
    linger = setTimeout(cut, limits.lingerMs);
    void writer.drained().then(cut);
    closed.promise.then(() => clearTimeout(linger));
    function cut(): void {
      writer.stop();
      try {
        socket.close();
      } catch {
        // It was closed before.
      }
      closed.resolve(reason);
    }
  }

  function close(): void {
    end(undefined);
  }

  function drain(): void {
    if (draining || ending) return;
    draining = true;
    if (side === "server") writer.enqueue(encodeGoaway(lastPeerStream, ErrorCode.NO_ERROR, ""));
    if (streams.size === 0) close();
  }

  const handshake = setTimeout(() => {
    if (!peer.greeted) end(new ConnectionError(ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS came in time"));
  }, limits.handshakeMs);
  greet();
  read().then(
    () => end(new Error("the peer closed the connection")),
    (error) => end(error instanceof Error ? error : new Error(String(error))),
  );

  return {
    get usable() {
      return !draining && !ending;
    },
    get full() {
      return streams.size >= peer.maxStreams;
    },
    changed,
    open,
    drain,
    close,
    closed: closed.promise,
  };
}

function checkPreface(bytes: Uint8Array | undefined): boolean {
  if (bytes === undefined) return false;
  if (bytes.every((byte, at) => byte === preface[at])) return true;
  throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the client does not speak HTTP/2");
}
