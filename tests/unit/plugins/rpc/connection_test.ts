/** What our server says to clients that speak HTTP/2 in unusual or wrong ways. */
import { assertEquals } from "@std/assert";
import {
  encodeFrame,
  encodeReset,
  encodeSettings,
  encodeWindowUpdate,
  Flag,
  FrameType,
} from "../../../../plugins/rpc/frames.ts";
import { encodeHeaders } from "../../../../plugins/rpc/hpack.ts";
import {
  bindService,
  createChannel,
  createClient,
  serve,
  type ServeOptions,
} from "../../../../plugins/rpc/mod.ts";
import { createLog, EchoDefinition, echoService, type Log, textOf, withDir } from "./echo_service.ts";
import {
  connectRaw,
  createRawPeer,
  dataFrame,
  headerFrames,
  type RawPeer,
  requestList,
  requestMessage,
} from "./raw_peer.ts";

interface Setting {
  path: string;
  log: Log;
  peer: RawPeer;
}

/** Runs against a server; afterwards the server must still answer others and end in order. */
function test(
  name: string,
  run: (setting: Setting) => Promise<void>,
  options: Partial<ServeOptions> = {},
): void {
  Deno.test(name, () =>
    withDir(async (dir) => {
      const log = createLog();
      const path = `${dir}/s`;
      const controller = new AbortController();
      const server = await serve(path, [echoService(log)], { ...options, signal: controller.signal });
      const peer = await connectRaw(path);
      await run({ path, log, peer });
      peer.close();
      const channel = createChannel(path);
      const client = createClient(EchoDefinition, channel);
      const response = await client.one({ containerId: "still here", timeout: 1n }, {
        signal: controller.signal,
      });
      assertEquals(textOf(response), "still here");
      channel.close();
      controller.abort();
      await server.finished;
    }));
}

const ask = requestMessage({ containerId: "x", timeout: 1n });

/** Asks on a stream and gives the grpc-status. */
async function status(peer: RawPeer, streamId: number, ...frames: Uint8Array[]): Promise<string | undefined> {
  await peer.send(...frames);
  for (;;) {
    const { streamId: on, list } = await peer.headers();
    const code = list.find(([name]) => name === "grpc-status")?.[1];
    if (on === streamId && code !== undefined) return code;
  }
}

test("an authority that is a socket path, plain or percent-encoded", async ({ peer, path }) => {
  for (const [at, authority] of [path, encodeURIComponent(path), "", "a b@:/?#"].entries()) {
    const id = 2 * at + 1;
    assertEquals(
      await status(peer, id, headerFrames(id, requestList("One", [], authority)), dataFrame(id, ask)),
      "0",
    );
  }
});

test("PING is answered with its octets, a PING answer is not", async ({ peer }) => {
  const octets = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  await peer.send(
    encodeFrame(FrameType.PING, Flag.ACK, 0, new Uint8Array(8)),
    encodeFrame(FrameType.PING, 0, 0, octets),
  );
  const answer = await peer.expect(FrameType.PING);
  assertEquals([answer.flags, answer.payload], [Flag.ACK, octets]);
});

test("padding, priority, CONTINUATION, unknown frames and settings, trailers of a request", async ({ peer }) => {
  const block = encodeHeaders(requestList("One"));
  const withPriority = new Uint8Array([2, 0, 0, 0, 0, 15, ...block.subarray(0, 5), 0, 0]);
  assertEquals(
    await status(
      peer,
      1,
      encodeSettings([[4660, 1]]),
      encodeFrame(99, 255, 7, new Uint8Array(20)),
      encodeFrame(FrameType.PRIORITY, 0, 1, new Uint8Array(5)),
      encodeFrame(FrameType.HEADERS, Flag.PADDED | Flag.PRIORITY, 1, withPriority),
      encodeFrame(FrameType.CONTINUATION, 0, 1, block.subarray(5, 9)),
      encodeFrame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, block.subarray(9)),
      encodeFrame(FrameType.DATA, Flag.PADDED, 1, Uint8Array.of(3, ...ask, 0, 0, 0)),
      headerFrames(1, [["x-trailer", "1"]], true),
    ),
    "0",
  );
});

test("responses wait for a window of zero and go on as it grows", async ({ path }) => {
  const peer = await connectRaw(path, [[4, 0]]);
  await peer.send(headerFrames(1, requestList("One")), dataFrame(1, ask));
  await peer.headers();
  await peer.send(encodeFrame(FrameType.PING, 0, 0, new Uint8Array(8)));
  const before = await peer.read();
  assertEquals(before?.type, FrameType.PING);
  await peer.send(encodeWindowUpdate(1, 3));
  assertEquals((await peer.expect(FrameType.DATA)).payload.length, 3);
  await peer.send(encodeSettings([[4, 1000]]));
  await peer.expect(FrameType.DATA);
  await peer.headers();
  peer.close();
});

test("what is not gRPC is answered in HTTP's terms", async ({ peer }) => {
  const list = requestList("One").map(([name, value]) => [name, name === ":method" ? "GET" : value] as const);
  await peer.send(headerFrames(1, list, true), headerFrames(3, [[":method", "POST"], [":path", "/"]], true));
  assertEquals((await peer.headers()).list, [[":status", "405"]]);
  assertEquals((await peer.headers()).list, [[":status", "415"]]);
});

test("requests without a message, with two, broken, compressed or endless", async ({ peer }) => {
  const begin = (id: number) => headerFrames(id, requestList("One"));
  assertEquals(await status(peer, 1, headerFrames(1, requestList("One"), true)), "13");
  assertEquals(await status(peer, 3, begin(3), dataFrame(3, ask, false), dataFrame(3, ask)), "13");
  assertEquals(await status(peer, 5, begin(5), dataFrame(5, Uint8Array.of(0, 0, 0, 0, 2, 0xff, 0xff))), "13");
  assertEquals(await status(peer, 7, begin(7), dataFrame(7, Uint8Array.of(1, 0, 0, 0, 0))), "12");
  assertEquals(await status(peer, 9, begin(9), dataFrame(9, Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff))), "8");
  assertEquals(await status(peer, 11, begin(11), dataFrame(11, ask.subarray(0, 6))), "13");
});

test("more streams than allowed are refused, the others live", async ({ peer, log }) => {
  await peer.send(
    ...[1, 3, 5].map((id) => headerFrames(id, requestList("Hang"))),
    ...[1, 3].map((id) => dataFrame(id, ask)),
  );
  const refused = await peer.expect(FrameType.RST_STREAM);
  assertEquals([refused.streamId, refused.payload[3]], [5, 7]);
  await log.until((entries) => entries.filter((entry) => entry === "hang began").length === 2);
  await peer.send(encodeReset(1, 8));
  await log.until((entries) => entries.some((entry) => entry.startsWith("hang ended")));
  assertEquals(await status(peer, 7, headerFrames(7, requestList("One")), dataFrame(7, ask)), "0");
}, { limits: { maxStreams: 2 } });

Deno.test("streams that are reset at once do not pile up handlers, even stubborn ones", () =>
  withDir(async (dir) => {
    const gate = Promise.withResolvers<void>();
    const controller = new AbortController();
    let running = 0;
    let most = 0;
    const stubborn = bindService(EchoDefinition, {
      async one() {
        most = Math.max(most, ++running);
        await gate.promise;
        running--;
        return {};
      },
    });
    const server = await serve(`${dir}/s`, [stubborn], {
      signal: controller.signal,
      limits: { maxStreams: 3 },
    });
    const peer = await connectRaw(`${dir}/s`);
    for (let id = 1; id < 200; id += 2) {
      const octets = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, id);
      await peer.send(headerFrames(id, requestList("One")), dataFrame(id, ask));
      // Once the ping is answered the server has begun what it will begin.
      await peer.send(encodeFrame(FrameType.PING, 0, 0, octets));
      await peer.expect(FrameType.PING);
      await peer.send(encodeReset(id, 8));
    }
    assertEquals([running, most], [3, 3]);
    gate.resolve();
    peer.close();
    controller.abort();
    await server.finished;
    assertEquals(running, 0);
  }));

test("a connection that says nothing is closed in time", async ({ path }) => {
  const silent = createRawPeer(await Deno.connect({ transport: "unix", path }));
  assertEquals(await silent.goawayCode(), 4);
  silent.close();
}, { limits: { handshakeMs: 50 } });

test("connections over the limit are closed, until others have ended", async ({ path }) => {
  const second = await connectRaw(path);
  await second.expect(FrameType.SETTINGS);
  const third = createRawPeer(await Deno.connect({ transport: "unix", path }));
  assertEquals(await third.read(), undefined);
  third.close();
  await second.leave();
}, { maxConnections: 2 });

const long = "v".repeat(70_000);
const violations: Array<[name: string, code: number, frames: Uint8Array[]]> = [
  ["a header list over the limit", 11, [headerFrames(1, requestList("One", [["x-long", long]]))]],
  ["a broken header block", 9, [encodeFrame(FrameType.HEADERS, Flag.END_HEADERS, 1, Uint8Array.of(0xff))]],
  ["a stream id of the server's", 1, [headerFrames(2, requestList("One"))]],
  ["DATA on a stream that was never open", 1, [dataFrame(9, ask)]],
  ["DATA after the end of the stream", 5, [
    headerFrames(1, requestList("Hang")),
    dataFrame(1, ask),
    dataFrame(1, ask),
  ]],
  ["a window over 2^31-1", 3, [encodeWindowUpdate(0, 0x7fffffff)]],
  ["PUSH_PROMISE", 1, [encodeFrame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, new Uint8Array(4))]],
  ["PING of a wrong size", 6, [encodeFrame(FrameType.PING, 0, 0, new Uint8Array(7))]],
  ["a frame over the limit", 6, [encodeFrame(FrameType.DATA, 0, 1, new Uint8Array(16385))]],
];
for (const [name, code, frames] of violations) {
  test(`${name} ends the connection with code ${code}`, async ({ peer }) => {
    // The server may close before it has read all of this.
    await peer.send(...frames).catch(() => {});
    assertEquals(await peer.goawayCode(), code);
  });
}

test("more than the stream's window ends the connection", async ({ peer }) => {
  await peer.send(headerFrames(1, requestList("Chat")), dataFrame(1, new Uint8Array(1001), false));
  assertEquals(await peer.goawayCode(), 3);
}, { limits: { streamWindow: 1000 } });

test("a first frame that is not SETTINGS, or octets that are not HTTP/2, end the connection", async ({ path }) => {
  for (
    const text of [
      "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x01\0\0\0\0\0",
    ]
  ) {
    const peer = createRawPeer(await Deno.connect({ transport: "unix", path }));
    await peer.send(new TextEncoder().encode(text));
    assertEquals(await peer.goawayCode(), 1);
    peer.close();
  }
});
