/**
 * HTTP/2 frames as octets (RFC 9113, sections 4 and 6): constants, encoding, and a reader that cuts a byte stream into
 * frames. Knows nothing of streams or of what a frame means.
 */

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

export const Flag = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** RFC 9113, section 7. */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

/** What every client sends first (section 3.4). */
export const preface = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const defaultFrameSize = 16384;
export const defaultWindow = 65535;
export const maxWindow = 0x7fffffff;
const headerSize = 9;

/** The peer broke the protocol; the whole connection ends with GOAWAY and this code. */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "ConnectionError";
    this.code = code;
  }
}

export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  /** A view that is valid until the reader's next `space()`: copy what you keep. */
  payload: Uint8Array;
}

/** Header and payload parts in one array. */
export function encodeFrame(
  type: number,
  flags: number,
  streamId: number,
  ...parts: Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const frame = new Uint8Array(headerSize + length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, length >>> 16);
  view.setUint16(1, length & 0xffff);
  view.setUint8(3, type);
  view.setUint8(4, flags);
  view.setUint32(5, streamId);
  let at = headerSize;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

function uint32(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, at) => view.setUint32(4 * at, value));
  return bytes;
}

export function encodeSettings(settings: ReadonlyArray<readonly [id: number, value: number]>): Uint8Array {
  const bytes = new Uint8Array(6 * settings.length);
  const view = new DataView(bytes.buffer);
  settings.forEach(([id, value], at) => {
    view.setUint16(6 * at, id);
    view.setUint32(6 * at + 2, value);
  });
  return encodeFrame(FrameType.SETTINGS, 0, 0, bytes);
}

export function encodeReset(streamId: number, code: number): Uint8Array {
  return encodeFrame(FrameType.RST_STREAM, 0, streamId, uint32(code));
}

export function encodeWindowUpdate(streamId: number, increment: number): Uint8Array {
  return encodeFrame(FrameType.WINDOW_UPDATE, 0, streamId, uint32(increment));
}

export function encodeGoaway(lastStreamId: number, code: number, text: string): Uint8Array {
  return encodeFrame(FrameType.GOAWAY, 0, 0, uint32(lastStreamId, code), new TextEncoder().encode(text));
}

/** HEADERS, and CONTINUATION for what does not fit into one frame of the peer's limit. */
export function encodeHeaderFrames(
  streamId: number,
  block: Uint8Array,
  endStream: boolean,
  maxFrameSize: number,
): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < block.length; at += maxFrameSize) {
    const last = at + maxFrameSize >= block.length;
    const flags = (last ? Flag.END_HEADERS : 0) | (at === 0 && endStream ? Flag.END_STREAM : 0);
    const type = at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
    frames.push(encodeFrame(type, flags, streamId, block.subarray(at, at + maxFrameSize)));
  }
  return frames;
}

export interface FrameReader {
  /** Where the next octets of the stream go; never empty. */
  space(): Uint8Array<ArrayBuffer>;
  /** Says how many octets were put into `space()`. */
  filled(count: number): void;
  /** Takes exactly `count` octets, or undefined while they have not all come. */
  take(count: number): Uint8Array | undefined;
  /** @throws {ConnectionError} FRAME_SIZE_ERROR for a frame over the limit. */
  next(): Frame | undefined;
}

/** Cuts a byte stream into frames within one fixed buffer, twice the size of the largest frame. */
export function createFrameReader(maxFrameSize = defaultFrameSize): FrameReader {
  const buffer = new Uint8Array(2 * (headerSize + maxFrameSize));
  const view = new DataView(buffer.buffer);
  let start = 0;
  let end = 0;

  function take(count: number): Uint8Array | undefined {
    if (end - start < count) return undefined;
    start += count;
    return buffer.subarray(start - count, start);
  }

  function next(): Frame | undefined {
    if (end - start < headerSize) return undefined;
    const length = (view.getUint8(start) << 16) | view.getUint16(start + 1);
    if (length > maxFrameSize) {
      throw new ConnectionError(
        ErrorCode.FRAME_SIZE_ERROR,
        `a frame of ${length} octets, at most ${maxFrameSize}`,
      );
    }
    if (end - start < headerSize + length) return undefined;
    const head = start;
    start += headerSize + length;
    return {
      type: view.getUint8(head + 3),
      flags: view.getUint8(head + 4),
      streamId: view.getUint32(head + 5) & 0x7fffffff,
      payload: buffer.subarray(head + headerSize, start),
    };
  }

  function space(): Uint8Array<ArrayBuffer> {
    if (start > 0) {
      buffer.copyWithin(0, start, end);
      end -= start;
      start = 0;
    }
    return buffer.subarray(end);
  }

  return { space, take, next, filled: (count) => void (end += count) };
}
