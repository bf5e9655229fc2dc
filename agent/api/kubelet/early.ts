/** Connections that came before there was a server, as its own. */
import type { Duplex } from "node:stream";

export interface EarlyConnection {
  socket: Duplex;
  remoteAddress: string;
}

/** Of one of the platform's connections. */
export async function earlyConnection(
  { readable, writable }: { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> },
  remoteAddress: string,
): Promise<EarlyConnection> {
  const { Duplex } = await import("node:stream");
  const streams = { readable, writable } as Parameters<typeof Duplex.fromWeb>[0];
  return { socket: Duplex.fromWeb(streams), remoteAddress };
}
