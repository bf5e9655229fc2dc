/**
 * A peer that speaks HTTP/2 frame by frame, for tests of what no well-behaved gRPC library would send.
 */
import {
  createFrameReader,
  encodeFrame,
  encodeHeaderFrames,
  encodeSettings,
  Flag,
  type Frame,
  FrameType,
  preface,
} from "../../../../plugins/rpc/frames.ts";
import { createHpackDecoder, encodeHeaders, type HeaderList } from "../../../../plugins/rpc/hpack.ts";
import { ExecSyncRequest } from "../../../../plugins/rpc/gen/cri.ts";
import { frameMessage } from "../../../../plugins/rpc/messages.ts";

export type RawPeer = ReturnType<typeof createRawPeer>;

export function createRawPeer(socket: Deno.UnixConn) {
  const reader = createFrameReader();
  const decoder = createHpackDecoder({ tableSize: 4096, listSize: 1 << 20 });

  async function send(...parts: Uint8Array[]): Promise<void> {
    const bytes = new Uint8Array(parts.flatMap((part) => [...part]));
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
  }

  /** The next frame, or undefined at the end of the connection. */
  async function read(): Promise<Frame | undefined> {
    for (;;) {
      const frame = reader.next();
      if (frame !== undefined) return { ...frame, payload: frame.payload.slice() };
      const count = await socket.read(reader.space()).catch(() => null);
      if (count === null) return undefined;
      reader.filled(count);
    }
  }

  /** Passes frames by until one of the type comes. @throws when the connection ends before. */
  async function expect(type: number, accepts: (frame: Frame) => boolean = () => true): Promise<Frame> {
    const passed: string[] = [];
    for (let frame = await read(); frame !== undefined; frame = await read()) {
      if (frame.type === type && accepts(frame)) return frame;
      passed.push(`${frame.type} on ${frame.streamId}`);
    }
    throw new Error(`the connection ended before a frame of type ${type}; before: ${passed.join(", ")}`);
  }

  return {
    send,
    read,
    expect,
    /** The next header list, with its stream. */
    async headers(): Promise<{ streamId: number; list: HeaderList }> {
      const { streamId, payload } = await expect(FrameType.HEADERS);
      return { streamId, list: decoder.decode(payload) };
    },
    async takePreface(): Promise<void> {
      while (reader.take(preface.length) === undefined) {
        const count = await socket.read(reader.space());
        if (count === null) throw new Error("no preface");
        reader.filled(count);
      }
    },
    /** Reads to the end of the connection; the code of its last GOAWAY. */
    async goawayCode(): Promise<number | undefined> {
      let code: number | undefined;
      for (let frame = await read(); frame !== undefined; frame = await read()) {
        if (frame.type === FrameType.GOAWAY) code = new DataView(frame.payload.buffer).getUint32(4);
      }
      return code;
    },
    close: () => socket.close(),
    /** Closes and waits until the other side has closed too. */
    async leave(): Promise<void> {
      await socket.closeWrite();
      while (await read() !== undefined);
      socket.close();
    },
  };
}

/** A client that has said its greeting. */
export async function connectRaw(path: string, settings: Array<[number, number]> = []): Promise<RawPeer> {
  const peer = createRawPeer(await Deno.connect({ transport: "unix", path }));
  await peer.send(preface, encodeSettings(settings));
  return peer;
}

export function headerFrames(streamId: number, list: HeaderList, end = false): Uint8Array {
  return new Uint8Array(
    encodeHeaderFrames(streamId, encodeHeaders(list), end, 16384).flatMap((frame) => [...frame]),
  );
}

export function requestList(method: string, more: HeaderList = [], authority = "localhost"): HeaderList {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", `/test.v1.Echo/${method}`],
    [":authority", authority],
    ["content-type", "application/grpc"],
    ...more,
  ];
}

export function dataFrame(streamId: number, payload: Uint8Array, end = true): Uint8Array {
  return encodeFrame(FrameType.DATA, end ? Flag.END_STREAM : 0, streamId, payload);
}

/** One request message, framed. */
export function requestMessage(request: Partial<ExecSyncRequest>): Uint8Array {
  return frameMessage(ExecSyncRequest.encode(ExecSyncRequest.fromPartial(request)).finish());
}
