/**
 * One HTTP/2 stream (RFC 9113, section 5): its two half-closings, its flow-control windows both ways, its end. Not for
 * gRPC, and not for what concerns the connection as a whole.
 */
import {
  ConnectionError,
  encodeFrame,
  encodeHeaderFrames,
  encodeReset,
  encodeWindowUpdate,
  ErrorCode,
  Flag,
  FrameType,
  maxWindow,
} from "./frames.ts";
import type { HeaderList } from "./hpack.ts";

/** Why a stream ended before both sides had finished. */
export interface StreamLoss {
  /** HTTP/2 error code of the RST_STREAM or of the connection's end. */
  code: number;
  message: string;
  /** The peer has surely not looked at the request: it may be sent again. */
  refused: boolean;
  /** Lost with its connection, not reset by itself. */
  disconnected: boolean;
}

/** What the owner of a stream hears. After `lost`, or after `end` was true once, nothing more comes in. */
export interface StreamEvents {
  headers(list: HeaderList, end: boolean): void;
  /** `chunk` is valid only during the call. */
  received(chunk: Uint8Array, end: boolean): void;
  lost(loss: StreamLoss): void;
}

export interface Stream {
  readonly id: number;
  sendHeaders(list: HeaderList, end: boolean): void;
  /** Sends as the windows allow. False when the stream ended before all was sent. */
  sendData(bytes: Uint8Array, end: boolean): Promise<boolean>;
  /** Gives the peer credit for octets that were received and are done with. */
  grant(octets: number): void;
  /** RST_STREAM; the owner hears nothing more. No effect on a stream that has ended. */
  reset(code: number): void;
}

/** What the connection tells its stream. */
export interface StreamInlet extends Stream {
  headersReceived(list: HeaderList, end: boolean): void;
  /** `octets` is what the frame counts for flow control: the chunk and its padding. */
  dataReceived(chunk: Uint8Array, octets: number, end: boolean): void;
  windowGrown(increment: number): void;
  lose(loss: StreamLoss): void;
}

/** What a stream needs from its connection. */
export interface StreamHost {
  readonly side: "client" | "server";
  enqueue(frame: Uint8Array): void;
  encode(list: HeaderList): Uint8Array;
  /** The connection's own send window and the peer's frame limit, as they are now. */
  readonly peer: { window: number; maxFrameSize: number };
  /** Too much is queued already; wait before making more frames. */
  congested(): boolean;
  /** Resolves at the next change of windows, queue or streams. */
  changed(): Promise<void>;
  wake(): void;
  /** The stream has ended; forget it. */
  ended(id: number): void;
}

export function createStream(
  id: number,
  host: StreamHost,
  events: StreamEvents,
  windows: { send: number; receive: number },
): StreamInlet {
  let sendWindow = windows.send;
  let receiveWindow = windows.receive;
  let credit = 0;
  let localEnd = false;
  let remoteEnd = false;
  let gone = false;

  function leave(): void {
    gone = true;
    host.ended(id);
    host.wake();
  }

  function settle(): void {
    if (gone) return;
    if (localEnd && remoteEnd) return leave();
    // A response is whole although the request is not: the rest of the request is of no use (section 8.1).
    if (host.side === "server" ? localEnd : remoteEnd) reset(ErrorCode.NO_ERROR);
  }

  function reset(code: number): void {
    if (gone) return;
    host.enqueue(encodeReset(id, code));
    leave();
  }

  function sendHeaders(list: HeaderList, end: boolean): void {
    if (gone || localEnd) return;
    const frames = encodeHeaderFrames(id, host.encode(list), end, host.peer.maxFrameSize);
    frames.forEach(host.enqueue);
    localEnd = end;
    settle();
  }

  async function sendData(bytes: Uint8Array, end: boolean): Promise<boolean> {
    let at = 0;
    while (!gone && !localEnd) {
      const room = Math.min(sendWindow, host.peer.window, host.peer.maxFrameSize);
      if (bytes.length > at && (room <= 0 || host.congested())) {
        await host.changed();
        continue;
      }
      const part = bytes.subarray(at, at + Math.max(room, 0));
      at += part.length;
      sendWindow -= part.length;
      host.peer.window -= part.length;
      const last = at === bytes.length;
      if (part.length > 0 || end) {
        host.enqueue(encodeFrame(FrameType.DATA, last && end ? Flag.END_STREAM : 0, id, part));
      }
      if (!last) continue;
      localEnd = end;
      settle();
      return true;
    }
    return false;
  }

  function grant(octets: number): void {
    credit += octets;
    if (gone || remoteEnd || credit < windows.receive / 2) return;
    receiveWindow += credit;
    host.enqueue(encodeWindowUpdate(id, credit));
    credit = 0;
  }

  function dataReceived(chunk: Uint8Array, octets: number, end: boolean): void {
    if (remoteEnd) throw new ConnectionError(ErrorCode.STREAM_CLOSED, `DATA after the end of stream ${id}`);
    receiveWindow -= octets;
    if (receiveWindow < 0) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `stream ${id} sent more than its window`);
    }
    remoteEnd = end;
    events.received(chunk, end);
    grant(octets - chunk.length);
    settle();
  }

  function headersReceived(list: HeaderList, end: boolean): void {
    if (remoteEnd) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `HEADERS after the end of stream ${id}`);
    }
    remoteEnd = end;
    events.headers(list, end);
    settle();
  }

  function windowGrown(increment: number): void {
    sendWindow += increment;
    if (sendWindow > maxWindow) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `the window of stream ${id} is over 2^31-1`);
    }
    host.wake();
  }

  function lose(loss: StreamLoss): void {
    if (gone) return;
    leave();
    events.lost(loss);
  }

  return { id, sendHeaders, sendData, grant, reset, headersReceived, dataReceived, windowGrown, lose };
}
