/**
 * What each frame that comes means to a connection: which stream hears of it, which windows and settings change, what
 * is answered (RFC 9113, sections 5 and 6). Not for the socket or for how a connection begins and ends.
 */
import type { ConnectionLimits } from "./connection.ts";
import {
  ConnectionError,
  defaultFrameSize,
  defaultWindow,
  encodeFrame,
  encodeReset,
  encodeWindowUpdate,
  ErrorCode,
  Flag,
  type Frame,
  FrameType,
  maxWindow,
  Setting,
} from "./frames.ts";
import { createHeaderBlocks, type HeaderBlock } from "./header_blocks.ts";
import { createHpackDecoder, type HeaderList } from "./hpack.ts";
import { readGoaway, readReset, readSettings, readWindowUpdate, unpad } from "./settings.ts";
import type { Stream, StreamEvents, StreamInlet } from "./stream.ts";

/** What the peer has told of itself, and what is left of the window it gives us. */
export interface Peer {
  window: number;
  maxFrameSize: number;
  /** Send window that a new stream begins with. */
  streamWindow: number;
  maxStreams: number;
  /** Its SETTINGS have come. */
  greeted: boolean;
  /** It changed its table size: the next header block must say that we use none. */
  tableReset: boolean;
}

export function createPeer(): Peer {
  return {
    window: defaultWindow,
    maxFrameSize: defaultFrameSize,
    streamWindow: defaultWindow,
    maxStreams: maxWindow,
    greeted: false,
    tableReset: false,
  };
}

/** What a dispatcher needs of its connection. */
export interface DispatchHost {
  readonly side: "client" | "server";
  readonly limits: ConnectionLimits;
  readonly peer: Peer;
  readonly streams: ReadonlyMap<number, StreamInlet>;
  enqueue(frame: Uint8Array): void;
  wake(): void;
  /** A stream of this side has had this id. */
  hasOpened(id: number): boolean;
  addStream(id: number, events: StreamEvents): StreamInlet;
  /** Server: takes a new stream. Undefined refuses it. */
  accept?: ((stream: Stream, headers: HeaderList) => StreamEvents | undefined) | undefined;
  /** New streams are refused: the connection is going away. */
  draining(): boolean;
  /** The peer goes away: no new streams from here on. */
  peerLeaves(): void;
}

export interface Dispatcher {
  /** @throws {ConnectionError} when the peer broke the protocol or a limit. */
  dispatch(frame: Frame): void;
  /** The highest stream of the peer that was looked at, for GOAWAY. */
  lastPeerStream(): number;
}

function violation(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}

export function createDispatcher(host: DispatchHost): Dispatcher {
  const { side, limits, peer, streams } = host;
  const decoder = createHpackDecoder({ tableSize: 4096, listSize: limits.maxHeaderBytes });
  const blocks = createHeaderBlocks(limits.maxHeaderBytes);
  let receiveWindow = limits.connectionWindow;
  let credit = 0;
  let lastPeerStream = 0;

  const byType: Partial<Record<number, (frame: Frame) => void>> = {
    [FrameType.DATA]: dataCame,
    [FrameType.SETTINGS]: settingsCame,
    [FrameType.WINDOW_UPDATE]: windowUpdateCame,
    [FrameType.PING]: pingCame,
    [FrameType.RST_STREAM]: resetCame,
    [FrameType.GOAWAY]: goawayCame,
    [FrameType.PUSH_PROMISE]: () => {
      throw violation("PUSH_PROMISE, although push is off");
    },
  };

  function dispatch(frame: Frame): void {
    if (!peer.greeted && (frame.type !== FrameType.SETTINGS || (frame.flags & Flag.ACK) !== 0)) {
      throw violation("the first frame is not SETTINGS");
    }
    const block = blocks.collect(frame);
    if (block !== undefined) headersCame(block);
    else byType[frame.type]?.(frame); // the standard wants unknown types ignored
  }

  /** Whether a stream of this id has been opened, by either side. */
  function wasOpened(id: number): boolean {
    return id % 2 === 1 && (side === "client" ? host.hasOpened(id) : id <= lastPeerStream);
  }

  function streamOf(frame: Frame): StreamInlet | undefined {
    const stream = streams.get(frame.streamId);
    if (stream === undefined && !wasOpened(frame.streamId)) {
      throw violation(`a frame for stream ${frame.streamId}, which is not open`);
    }
    return stream;
  }

  function headersCame({ streamId, end, block }: HeaderBlock): void {
    const list = decoder.decode(block); // for a stream that has ended as well: the table must stay in step
    const stream = streams.get(streamId);
    if (stream !== undefined) return stream.headersReceived(list, end);
    if (wasOpened(streamId)) return;
    if (side === "client" || streamId % 2 === 0) {
      throw violation(`HEADERS for stream ${streamId}, which is not open`);
    }
    lastPeerStream = streamId;
    acceptStream(streamId, list, end);
  }

  function acceptStream(id: number, list: HeaderList, end: boolean): void {
    if (host.draining() || streams.size >= limits.maxStreams) {
      return host.enqueue(encodeReset(id, ErrorCode.REFUSED_STREAM));
    }
    const stream = host.addStream(id, {
      headers: (trailers, last) => events?.headers(trailers, last),
      received: (chunk, last) => events?.received(chunk, last),
      lost: (loss) => events?.lost(loss),
    });
    const events = host.accept?.(stream, list);
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
    host.enqueue(encodeWindowUpdate(0, credit));
    credit = 0;
  }

  function settingsCame(frame: Frame): void {
    const settings = readSettings(frame);
    if ((frame.flags & Flag.ACK) !== 0) return;
    peer.greeted = true;
    for (const [id, value] of settings) applySetting(id, value);
    host.enqueue(encodeFrame(FrameType.SETTINGS, Flag.ACK, 0));
    host.wake();
  }

  function applySetting(id: number, value: number): void {
    if (id === Setting.HEADER_TABLE_SIZE) peer.tableReset = true;
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
    host.wake();
  }

  function pingCame(frame: Frame): void {
    if (frame.payload.length !== 8) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PING has a wrong size");
    }
    if ((frame.flags & Flag.ACK) !== 0) return;
    host.enqueue(encodeFrame(FrameType.PING, Flag.ACK, 0, frame.payload));
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
    host.peerLeaves();
    for (const stream of [...streams.values()]) {
      if (side !== "client" || stream.id <= lastStreamId) continue;
      stream.lose({ code, message: `the peer goes away: ${text}`, refused: true, disconnected: true });
    }
  }

  return { dispatch, lastPeerStream: () => lastPeerStream };
}
