/**
 * Reading the small fixed frames that carry numbers: SETTINGS, WINDOW_UPDATE, RST_STREAM, GOAWAY, and taking padding
 * off (RFC 9113, section 6). Checks sizes and ranges; what the numbers do is connection.ts.
 */
import { ConnectionError, ErrorCode, Flag, type Frame, maxWindow, Setting } from "./frames.ts";

function sizeError(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${what} has a wrong size`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Identifiers and values in the order sent, ranges checked; unknown identifiers stay in, to be ignored. */
export function readSettings(frame: Frame): Array<[id: number, value: number]> {
  if (frame.streamId !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream");
  if (frame.payload.length % 6 !== 0) throw sizeError("SETTINGS");
  if ((frame.flags & Flag.ACK) !== 0) {
    if (frame.payload.length !== 0) throw sizeError("SETTINGS with ACK");
    return [];
  }
  const view = viewOf(frame.payload);
  const settings: Array<[number, number]> = [];
  for (let at = 0; at < frame.payload.length; at += 6) {
    const id = view.getUint16(at);
    const value = view.getUint32(at + 2);
    checkSetting(id, value);
    settings.push([id, value]);
  }
  return settings;
}

function checkSetting(id: number, value: number): void {
  if (id === Setting.INITIAL_WINDOW_SIZE && value > maxWindow) {
    throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is over 2^31-1");
  }
  if (id === Setting.MAX_FRAME_SIZE && (value < 16384 || value > 0xffffff)) {
    throw new ConnectionError(
      ErrorCode.PROTOCOL_ERROR,
      "SETTINGS_MAX_FRAME_SIZE is not within 2^14 to 2^24-1",
    );
  }
  if (id === Setting.ENABLE_PUSH && value > 1) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is neither 0 nor 1");
  }
}

/** The increment of WINDOW_UPDATE, at least 1. */
export function readWindowUpdate(frame: Frame): number {
  if (frame.payload.length !== 4) throw sizeError("WINDOW_UPDATE");
  const increment = viewOf(frame.payload).getUint32(0) & maxWindow;
  if (increment === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0");
  return increment;
}

/** The error code of RST_STREAM. */
export function readReset(frame: Frame): number {
  if (frame.payload.length !== 4) throw sizeError("RST_STREAM");
  return viewOf(frame.payload).getUint32(0);
}

export interface Goaway {
  /** Streams above this one were not looked at. */
  lastStreamId: number;
  code: number;
  text: string;
}

export function readGoaway(frame: Frame): Goaway {
  if (frame.streamId !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream");
  if (frame.payload.length < 8) throw sizeError("GOAWAY");
  const view = viewOf(frame.payload);
  const text = new TextDecoder().decode(frame.payload.subarray(8, 264));
  return { lastStreamId: view.getUint32(0) & maxWindow, code: view.getUint32(4), text };
}

/** The payload without padding and, for HEADERS, without the priority fields. */
export function unpad(frame: Frame): Uint8Array {
  let { payload } = frame;
  if ((frame.flags & Flag.PADDED) !== 0) {
    const padding = payload[0];
    if (padding === undefined || padding >= payload.length) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame");
    }
    payload = payload.subarray(1, payload.length - padding);
  }
  return payload;
}

/** The header block fragment of HEADERS. */
export function headerFragment(frame: Frame): Uint8Array {
  const payload = unpad(frame);
  if ((frame.flags & Flag.PRIORITY) === 0) return payload;
  if (payload.length < 5) throw sizeError("HEADERS with priority");
  return payload.subarray(5);
}
