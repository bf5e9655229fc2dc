/** What a connection keeps for a peer that does not read, and what calls leave behind. */
import { assert, assertEquals } from "@std/assert";
import { type Connection, createConnection, defaultLimits } from "../../../../plugins/rpc/connection.ts";
import {
  encodeFrame,
  encodeSettings,
  encodeWindowUpdate,
  FrameType,
  preface,
} from "../../../../plugins/rpc/frames.ts";
import { createChannel, createClient, serve } from "../../../../plugins/rpc/mod.ts";
import type { Stream } from "../../../../plugins/rpc/stream.ts";
import { EchoDefinition, echoService, withDir } from "./echo_service.ts";
import { headerFrames, requestList } from "./raw_peer.ts";

/** A server's connection to a peer that takes nothing and sends `input`, then `repeated` for ever. */
function connectToDeafPeer(input: Uint8Array[], repeated?: Uint8Array) {
  const never = Promise.withResolvers<null>();
  const pending = [...input];
  const streams: Stream[] = [];
  let reads = 0;
  const connection: Connection = createConnection({
    read(buffer) {
      reads++;
      const next = pending.shift() ?? repeated;
      if (next === undefined) return never.promise;
      const part = next.subarray(0, buffer.length);
      if (part.length < next.length) pending.unshift(next.subarray(part.length));
      buffer.set(part);
      return Promise.resolve(part.length);
    },
    write: () => new Promise(() => {}),
    close: () => never.resolve(null),
  }, {
    side: "server",
    limits: { ...defaultLimits, lingerMs: 1 },
    accept(stream) {
      streams.push(stream);
      return { headers() {}, received() {}, lost() {} };
    },
  });
  return { connection, streams, reads: () => reads };
}

/** Lets everything happen that needs no more than turns of the event loop. */
async function settle(): Promise<void> {
  for (let count = 0; count < 5; count++) await new Promise((resolve) => setTimeout(resolve));
}

const greeting = [preface, encodeSettings([[4, 0x7fffffff]]), encodeWindowUpdate(0, 0x7fff0000)];

Deno.test("a message waits for a peer that takes nothing, however large its window", async () => {
  const { connection, streams } = connectToDeafPeer([...greeting, headerFrames(1, requestList("Many"))]);
  await settle();
  let sent = false;
  const sending = streams[0]?.sendData(new Uint8Array(10_000_000), false).then((
    whole,
  ) => (sent = true, whole));
  await settle();
  assertEquals(sent, false);
  connection.close();
  assertEquals(await sending, false);
  await connection.closed;
});

Deno.test("a flood of frames to be answered is not read while nobody takes the answers", async () => {
  const ping = encodeFrame(FrameType.PING, 0, 0, new Uint8Array(8));
  const pings = new Uint8Array(Array.from({ length: 900 }, () => [...ping]).flat());
  const { connection, reads } = connectToDeafPeer(greeting, pings);
  await settle();
  const before = reads();
  assert(before > 10 && before < 200, `read ${before} times`);
  await settle();
  assertEquals(reads(), before);
  connection.close();
  await connection.closed;
});

/** The signal, and how many listeners it has. */
function watchListeners(signal: AbortSignal) {
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    count++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    count--;
    removeEventListener.apply(signal, args);
  };
  return () => count;
}

Deno.test("calls leave no listener on the signals of client and server, however they end", () =>
  withDir(async (dir) => {
    const server = new AbortController();
    const caller = new AbortController();
    const onServer = watchListeners(server.signal);
    const onCaller = watchListeners(caller.signal);
    const { finished } = await serve(`${dir}/s`, [echoService()], { signal: server.signal });
    const channel = createChannel(`${dir}/s`);
    const client = createClient(EchoDefinition, channel);
    const options = { signal: caller.signal };
    await client.one({ containerId: "x", timeout: 1n }, options);
    const before = [onServer(), onCaller()];
    await client.one({ cmd: ["5"] }, options).catch(() => {});
    await client.hang({}, { ...options, timeoutMs: 5 }).catch(() => {});
    for await (const _ of client.many({ containerId: "x" }, options)) break;
    await client.one({ containerId: "x", timeout: 1n }, options);
    assertEquals([onServer(), onCaller()], before);
    channel.close();
    server.abort();
    await finished;
  }));
