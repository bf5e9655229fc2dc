/** Our client against servers that refuse, restart, go away or answer in unusual or wrong ways. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  encodeFrame,
  encodeGoaway,
  encodeReset,
  encodeSettings,
  Flag,
  FrameType,
} from "../../../../plugins/rpc/frames.ts";
import type { HeaderList } from "../../../../plugins/rpc/hpack.ts";
import {
  type ChannelOptions,
  type Client,
  Code,
  createChannel,
  createClient,
  RpcError,
  serve,
} from "../../../../plugins/rpc/mod.ts";
import { EchoDefinition, echoService, textOf, withDir } from "./echo_service.ts";
import { createRawPeer, dataFrame, headerFrames, type RawPeer, requestMessage } from "./raw_peer.ts";

const signal = new AbortController().signal;
type EchoClient = Client<typeof EchoDefinition>;
const ok: HeaderList = [[":status", "200"], ["content-type", "application/grpc"]];
const done: HeaderList = [["grpc-status", "0"]];
const message = requestMessage({}); // empty, so it reads as any message

/** A server of raw frames; `answer` runs for each connection, after both greetings. */
async function withRawServer(
  answer: (peer: RawPeer, connection: number) => Promise<void>,
  run: (client: EchoClient) => Promise<void>,
  settings: Array<[number, number]> = [],
  options: ChannelOptions = {},
): Promise<void> {
  await withDir(async (dir) => {
    const listener = Deno.listen({ transport: "unix", path: `${dir}/s` });
    const peers: RawPeer[] = [];
    const serving = (async () => {
      for await (const socket of listener) {
        const peer = createRawPeer(socket);
        peers.push(peer);
        await peer.takePreface();
        await peer.send(encodeSettings(settings));
        await answer(peer, peers.length);
      }
    })();
    const channel = createChannel(`${dir}/s`, options);
    try {
      await run(createClient(EchoDefinition, channel));
    } finally {
      channel.close();
      listener.close();
      await serving;
      for (const peer of peers) peer.close();
    }
  });
}

async function codeOf(call: Promise<unknown>): Promise<Code> {
  return (await assertRejects(() => call, RpcError)).code;
}

/** Answers the first request of a connection with these frames. */
function answering(...frames: Uint8Array[]) {
  return async (peer: RawPeer) => {
    await peer.expect(FrameType.DATA);
    await peer.send(...frames);
  };
}

const answers: Array<[name: string, expected: Code, frames: Uint8Array[]]> = [
  ["trailers only", Code.NOT_FOUND, [headerFrames(1, [...ok, ["grpc-status", "5"]], true)]],
  ["trailers after headers", Code.ABORTED, [
    headerFrames(1, ok),
    headerFrames(1, [["grpc-status", "10"]], true),
  ]],
  ["OK without a message", Code.INTERNAL, [headerFrames(1, ok), headerFrames(1, done, true)]],
  ["no grpc-status", Code.INTERNAL, [
    headerFrames(1, ok),
    dataFrame(1, message, false),
    headerFrames(1, [], true),
  ]],
  ["DATA that ends the stream", Code.INTERNAL, [headerFrames(1, ok), dataFrame(1, message)]],
  ["DATA before headers", Code.INTERNAL, [dataFrame(1, message)]],
  ["headers twice", Code.INTERNAL, [headerFrames(1, ok), headerFrames(1, ok)]],
  ["HTTP 503", Code.UNAVAILABLE, [headerFrames(1, [[":status", "503"]], true)]],
  ["another content type", Code.UNKNOWN, [
    headerFrames(1, [[":status", "200"], ["content-type", "text/html"]]),
  ]],
  ["a number that is no status", Code.UNKNOWN, [headerFrames(1, [...ok, ["grpc-status", "99"]], true)]],
  ["a compressed message", Code.UNIMPLEMENTED, [
    headerFrames(1, ok),
    dataFrame(1, Uint8Array.of(1, 0, 0, 0, 0), false),
  ]],
  ["half a message", Code.INTERNAL, [headerFrames(1, ok), dataFrame(1, Uint8Array.of(0, 0))]],
  ["RST_STREAM with CANCEL", Code.CANCELLED, [encodeReset(1, 8)]],
  ["RST_STREAM with ENHANCE_YOUR_CALM", Code.RESOURCE_EXHAUSTED, [encodeReset(1, 11)]],
  ["RST_STREAM with INTERNAL_ERROR", Code.INTERNAL, [encodeReset(1, 2)]],
  ["a frame for a stream that is not open", Code.UNAVAILABLE, [dataFrame(7, message)]],
  ["a pushed stream", Code.UNAVAILABLE, [headerFrames(2, ok)]],
];
for (const [name, expected, frames] of answers) {
  Deno.test(`the server answers ${name}: ${expected}`, () =>
    withRawServer(
      answering(...frames),
      async (client) => assertEquals(await codeOf(client.one({}, { signal })), expected),
    ));
}

Deno.test("informational headers, padding, messages cut anywhere, and a reset after the end are no harm", () => {
  const cut = message.subarray(0, 2);
  const frames = [
    headerFrames(1, [[":status", "103"]]),
    headerFrames(1, ok),
    encodeFrame(FrameType.DATA, Flag.PADDED, 1, Uint8Array.of(2, ...cut, 0, 0)),
    dataFrame(1, message.subarray(2), false),
    headerFrames(1, done, true),
    encodeReset(1, 0),
  ];
  return withRawServer(answering(...frames), async (client) => {
    assertEquals((await client.one({}, { signal })).exitCode, 0);
  });
});

Deno.test("requests that a server refused or left behind at GOAWAY go out again on a new connection", () => {
  const serveTwice = async (peer: RawPeer, connection: number) => {
    await peer.expect(FrameType.DATA);
    if (connection === 1) return peer.send(encodeGoaway(0, 0, "restart"));
    await peer.send(encodeReset(1, 7));
    await peer.expect(FrameType.DATA, ({ streamId }) => streamId === 3);
    await peer.send(headerFrames(3, ok), dataFrame(3, message, false), headerFrames(3, done, true));
  };
  return withRawServer(
    serveTwice,
    async (client) => assertEquals((await client.one({}, { signal })).exitCode, 0),
  );
});

Deno.test("a server that refuses for ever is UNAVAILABLE", () => {
  const refuse = async (peer: RawPeer) => {
    for (let id = 1; id < 20; id += 2) {
      const frame = await peer.expect(FrameType.DATA).catch(() => undefined);
      if (frame === undefined) return;
      await peer.send(encodeReset(frame.streamId, 7));
    }
  };
  return withRawServer(refuse, async (client) => {
    const error = await assertRejects(() => client.one({}, { signal }), RpcError);
    assertEquals(error.code, Code.UNAVAILABLE);
  });
});

Deno.test("who does not read a server stream gets no more of it than the window", () => {
  const piece = requestMessage({ containerId: "x".repeat(990) });
  const stalled = Promise.withResolvers<void>();
  const serveSlowly = async (peer: RawPeer) => {
    await peer.expect(FrameType.DATA);
    await peer.send(headerFrames(1, ok));
    for (let sent = 0; sent < 4; sent++) await peer.send(dataFrame(1, piece, false));
    await peer.send(encodeFrame(FrameType.PING, 0, 0, new Uint8Array(8)));
    let granted = 0;
    for (let frame = await peer.read(); frame?.type !== FrameType.PING; frame = await peer.read()) {
      if (frame?.type === FrameType.WINDOW_UPDATE) granted += new DataView(frame.payload.buffer).getUint32(0);
    }
    // The first went to the reader at once, the second is below the threshold; the rest waits.
    assertEquals(granted, 2 * piece.length);
    stalled.resolve();
    while (granted < 4 * piece.length) {
      const { payload } = await peer.expect(FrameType.WINDOW_UPDATE);
      granted += new DataView(payload.buffer).getUint32(0);
    }
    await peer.send(headerFrames(1, done, true));
  };
  return withRawServer(
    serveSlowly,
    async (client) => {
      let count = 0;
      for await (const _ of client.many({}, { signal })) {
        count++;
        await stalled.promise;
      }
      assertEquals(count, 4);
    },
    [],
    { limits: { streamWindow: 2 * piece.length + 1000 } },
  );
});

Deno.test("no more streams are open than the server allows", () => {
  const oneByOne = async (peer: RawPeer) => {
    for (let id = 1; id < 20; id += 2) {
      const frame = await peer.expect(FrameType.DATA);
      assertEquals(frame.streamId, id);
      await peer.send(encodeFrame(FrameType.PING, 0, 0, new Uint8Array(8)));
      // Whatever the client has sent besides would come before the answer to the ping.
      const next = await peer.read();
      assertEquals(next?.type, FrameType.PING);
      await peer.send(headerFrames(id, ok), dataFrame(id, message, false), headerFrames(id, done, true));
    }
  };
  return withRawServer(oneByOne, async (client) => {
    await Promise.all(Array.from({ length: 10 }, () => client.one({}, { signal })));
  }, [[3, 1]]);
});

Deno.test("nobody listening is UNAVAILABLE at once, and the first call after a start succeeds", () =>
  withDir(async (dir) => {
    const path = `${dir}/s`;
    const channel = createChannel(path);
    const client = createClient(EchoDefinition, channel);
    for (let count = 0; count < 3; count++) {
      assertEquals(await codeOf(client.one({}, { signal })), Code.UNAVAILABLE);
    }
    const controller = new AbortController();
    const server = await serve(path, [echoService()], { signal: controller.signal });
    assertEquals(textOf(await client.one({ containerId: "x", timeout: 1n }, { signal })), "x");
    channel.close();
    assertEquals(await codeOf(client.one({}, { signal })), Code.CANCELLED);
    controller.abort();
    await server.finished;
  }));

Deno.test("150 restarts under calls: every call ends, all after the last restart succeed", () =>
  withDir(async (dir) => {
    const path = `${dir}/s`;
    const channel = createChannel(path);
    const client = createClient(EchoDefinition, channel);
    const restarts = new AbortController();
    const outcomes = { OK: 0, UNAVAILABLE: 0, other: [] as string[] };
    const call = async () => {
      try {
        await client.one({ containerId: "x".repeat(1000), timeout: 10n }, { signal, timeoutMs: 10_000 });
        outcomes.OK++;
      } catch (error) {
        if (error instanceof RpcError && error.code === Code.UNAVAILABLE) outcomes.UNAVAILABLE++;
        else outcomes.other.push(String(error));
      }
    };
    const callers = Array.from({ length: 8 }, async () => {
      while (!restarts.signal.aborted) {
        await call();
        await new Promise((resolve) => setTimeout(resolve)); // lets the server's turn come
      }
    });
    const began = performance.now();
    for (let count = 0; count < 150; count++) {
      const controller = new AbortController();
      const server = await serve(path, [echoService()], { signal: controller.signal });
      await client.one({ containerId: "x", timeout: 1n }, { signal }).catch(() => {});
      controller.abort();
      await server.finished;
    }
    restarts.abort();
    await Promise.all(callers);
    assertEquals(outcomes.other, []);
    assert(outcomes.OK > 150, `${outcomes.OK} calls succeeded`);
    assert(performance.now() - began < 30_000, "the restarts took over half a minute");
    const controller = new AbortController();
    const server = await serve(path, [echoService()], { signal: controller.signal });
    const calls = Array.from({ length: 20 }, () => client.one({ containerId: "y", timeout: 1n }, { signal }));
    assertEquals(new Set((await Promise.all(calls)).map(textOf)), new Set(["y"]));
    channel.close();
    controller.abort();
    await server.finished;
  }));

Deno.test("who hangs up before a word of HTTP/2 is not called again by the same call", () =>
  withDir(async (dir) => {
    const listener = Deno.listen({ transport: "unix", path: `${dir}/s` });
    let connections = 0;
    const serving = (async () => {
      for await (const conn of listener) {
        connections++;
        conn.close();
      }
    })();
    const channel = createChannel(`${dir}/s`);
    const call = () => createClient(EchoDefinition, channel).one({}, { signal, timeoutMs: 5000 });
    assertEquals([await codeOf(call()), await codeOf(call())], [Code.UNAVAILABLE, Code.UNAVAILABLE]);
    assertEquals(connections, 2);
    channel.close();
    listener.close();
    await serving;
  }));

const impatient: ChannelOptions = { limits: { silenceMs: 60 } };

Deno.test("a server that owes an answer and falls silent is asked once for a sign of life, then given up", async () => {
  let pings = 0;
  await withRawServer(
    async (peer) => {
      await peer.expect(FrameType.PING);
      pings++;
    },
    async (client) => {
      const began = performance.now();
      const error = await assertRejects(() => client.one({}, { signal, timeoutMs: 60_000 }), RpcError);
      assertEquals([error.code, error.details], [Code.UNAVAILABLE, "the peer has been silent for 0.18 s"]);
      assert(performance.now() - began < 5000);
    },
    [],
    impatient,
  );
  assertEquals(pings, 1);
});

Deno.test("a server that is slow but gives a sign of life is waited for, and an idle one is left alone", async () => {
  let pings = 0;
  const count = async (peer: RawPeer) => {
    for (let frame = await peer.read(); frame !== undefined; frame = await peer.read()) {
      if (frame.type === FrameType.PING) pings++;
    }
  };
  await withRawServer(
    async (peer) => {
      await peer.expect(FrameType.PING);
      pings++;
      await peer.send(encodeFrame(FrameType.PING, Flag.ACK, 0, new Uint8Array(8)));
      await new Promise((resolve) => setTimeout(resolve, 300));
      await peer.send(headerFrames(1, ok), dataFrame(1, message, false), headerFrames(1, done, true));
      await count(peer);
    },
    async (client) => {
      await client.one({}, { signal, timeoutMs: 60_000 });
      await new Promise((resolve) => setTimeout(resolve, 300));
    },
    [],
    impatient,
  );
  assertEquals(pings, 1);
});
