/**
 * SPDY/3.1 frames, as far as a client needs them that opens streams and reads and writes them: the framing that every
 * CRI runtime's streaming server speaks (kubelet/pkg/cri/streaming), since it is how the kubelet talks to it. Pure.
 * Not for: order, waiting and ends (session.ts), pushed streams, flow control (neither side of that protocol has any).
 *
 * Header blocks are one zlib stream per direction. Ours consists of stored blocks, which every inflater reads; the
 * other side's hold nothing that is needed and stay unread.
 * Source: SPDY Protocol, Draft 3.1 (chromium.org/spdy); RFC 1950, RFC 1951 section 3.2.4.
 */
import { concatBytes } from "../bytes.ts";

export type Frame =
  | { kind: "data"; stream: number; fin: boolean; bytes: Uint8Array }
  | { kind: "reply"; stream: number; fin: boolean }
  | { kind: "reset"; stream: number; status: number }
  | { kind: "ping"; id: number }
  | { kind: "goaway"; status: number }
  /** Settings, window updates, later headers: nothing for us. */
  | { kind: "other"; type: number };

export const headLength = 8;
/** A frame of another size is not from a streaming server: they copy by 32 KiB. */
const longestFrame = 1024 * 1024;

const version = 3;
const flagFin = 1;
const type = { synStream: 1, synReply: 2, reset: 3, ping: 6, goaway: 7 } as const;

/** Length of what follows the first eight bytes. Throws when they begin no frame. */
export function payloadLength(head: Uint8Array): number {
  const view = viewOf(head);
  const isControl = (view.getUint16(0) & 0x8000) !== 0;
  if (isControl && (view.getUint16(0) & 0x7fff) !== version) {
    throw new Error(`expected SPDY/${version}, found a frame of version ${view.getUint16(0) & 0x7fff}`);
  }
  const length = view.getUint32(4) & 0xffffff;
  if (length > longestFrame) throw new Error(`a SPDY frame of ${length} bytes: more than ${longestFrame}`);
  return length;
}

/** Throws when the payload is too short for its type. */
export function parseFrame(head: Uint8Array, payload: Uint8Array): Frame {
  const view = viewOf(head);
  const fin = (view.getUint8(4) & flagFin) !== 0;
  if ((view.getUint8(0) & 0x80) === 0) {
    return { kind: "data", stream: view.getUint32(0), fin, bytes: payload };
  }
  const kind = view.getUint16(2);
  const word = (index: number): number => {
    if (payload.length < index * 4 + 4) throw new Error(`a SPDY frame of type ${kind} is cut off`);
    return viewOf(payload).getUint32(index * 4);
  };
  switch (kind) {
    case type.synReply:
      return { kind: "reply", stream: word(0) & 0x7fffffff, fin };
    case type.reset:
      return { kind: "reset", stream: word(0) & 0x7fffffff, status: word(1) };
    case type.ping:
      return { kind: "ping", id: word(0) };
    case type.goaway:
      return { kind: "goaway", status: word(1) };
    default:
      return { kind: "other", type: kind };
  }
}

export function formatData(stream: number, bytes: Uint8Array, fin: boolean): Uint8Array {
  const frame = new Uint8Array(headLength + bytes.length);
  const view = viewOf(frame);
  view.setUint32(0, stream);
  view.setUint32(4, (fin ? flagFin << 24 : 0) | bytes.length);
  frame.set(bytes, headLength);
  return frame;
}

/** Answers a ping by the same. */
export const formatPing = (id: number): Uint8Array => formatControl(type.ping, words(id));

/**
 * Opens a stream.
 * @param first whether it is the connection's first header block, which the zlib header precedes
 */
export function formatOpen(
  stream: number,
  headers: Readonly<Record<string, string>>,
  first: boolean,
): Uint8Array {
  const block = formatHeaders(headers);
  if (block.length > 0xffff) throw new Error(`headers of ${block.length} bytes: at most 65535`);
  const zlibHeader = first ? Uint8Array.of(0x78, 0x01) : noBytes;
  // Stream, the stream it belongs to (none), priority (highest) and credential slot.
  return formatControl(
    type.synStream,
    words(stream, 0),
    new Uint8Array(2),
    zlibHeader,
    stored(block),
    stored(noBytes),
  );
}

/** A block that is not the last. An empty one marks a flush: without it an inflater waits for more. */
function stored(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  return concatBytes([
    Uint8Array.of(0, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff),
    bytes,
  ]);
}

const noBytes = new Uint8Array();

/** Count, then name and value with their lengths; names in lower case. */
function formatHeaders(headers: Readonly<Record<string, string>>): Uint8Array {
  const encoder = new TextEncoder();
  const texts = Object.entries(headers).flatMap(([name, value]) => [name.toLowerCase(), value]);
  return concatBytes([
    words(texts.length / 2),
    ...texts.map((text) => encoder.encode(text)).flatMap((bytes) => [words(bytes.length), bytes]),
  ]);
}

function formatControl(kind: number, ...parts: Uint8Array[]): Uint8Array {
  const payload = concatBytes(parts);
  return concatBytes([words((0x8000 | version) << 16 | kind, payload.length), payload]);
}

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  values.forEach((value, i) => viewOf(bytes).setUint32(i * 4, value));
  return bytes;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
