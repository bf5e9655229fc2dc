/**
 * Random and mutated frames against our server and our client: neither may crash, hang or keep what it was sent. The
 * seed is printed with a failure; RPC_FUZZ_SEED and RPC_FUZZ_ROUNDS repeat and prolong.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assert, assertEquals } from "@std/assert";
import { encodeFrame, encodeSettings, preface } from "../../../../plugins/rpc/frames.ts";
import { createChannel, createClient, RpcError, serve } from "../../../../plugins/rpc/mod.ts";
import { EchoDefinition, echoService, textOf, withDir } from "./echo_service.ts";
import { createRawPeer, dataFrame, headerFrames, requestList, requestMessage } from "./raw_peer.ts";

const seed = Number(Deno.env.get("RPC_FUZZ_SEED") ?? Date.now() % 1_000_000);
const rounds = Number(Deno.env.get("RPC_FUZZ_ROUNDS") ?? 100);
const signal = new AbortController().signal;

/** Numbers from a seed (mulberry32). */
function createRandom(start: number) {
  let state = start;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number) => next() % limit;
  return {
    below,
    pick: <T>(list: readonly T[]): T => list[below(list.length)] as T,
    bytes: (length: number) => Uint8Array.from({ length }, () => below(256)),
  };
}
type Random = ReturnType<typeof createRandom>;

const methods = ["One", "Many", "Collect", "Chat", "Hang", "Absent"];

/** Frames that make sense, of either side; the ground that mutations grow on. */
function plausible(random: Random, id: number): Uint8Array[] {
  const message = requestMessage({
    containerId: "x".repeat(random.below(2000)),
    timeout: BigInt(1 + random.below(3)),
  });
  const response = [[":status", "200"], ["content-type", "application/grpc"]] as const;
  return random.pick([
    () => [headerFrames(id, requestList(random.pick(methods))), dataFrame(id, message)],
    () => [
      headerFrames(id, requestList(random.pick(methods), [["grpc-timeout", "1m"]])),
      dataFrame(id, message, false),
    ],
    () => [
      headerFrames(id, response),
      dataFrame(id, message, false),
      headerFrames(id, [["grpc-status", "0"]], true),
    ],
    () => [headerFrames(id, [...response, ["grpc-status", String(random.below(20))]], true)],
    () => [
      encodeFrame(random.below(12), random.below(256), random.pick([0, id]), random.bytes(random.below(40))),
    ],
    () => [
      encodeSettings([[random.below(8), random.pick([0, 1, 100, 16384, 65535, 0x7fffffff, 0xffffffff])]]),
    ],
    () => [encodeFrame(1, 4, id, random.bytes(random.below(200)))],
  ])();
}

/** Now and then flips, drops, doubles or cuts octets. */
function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  switch (random.below(12)) {
    case 0:
      return bytes.map((byte, index) => index === at ? random.below(256) : byte);
    case 1:
      return new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(at + 1 + random.below(8))]);
    case 2:
      return new Uint8Array([
        ...bytes.subarray(0, at),
        ...random.bytes(random.below(8)),
        ...bytes.subarray(at),
      ]);
    case 3:
      return bytes.subarray(0, at);
    default:
      return bytes;
  }
}

function script(random: Random, greeting: Uint8Array[]): Uint8Array[] {
  const steps = random.below(10) > 0 ? [...greeting] : [random.bytes(random.below(100))];
  for (let count = random.below(20); count > 0; count--) {
    steps.push(...plausible(random, random.pick([1, 3, 5, 7, 2 * count + 1, 2])));
  }
  return steps.map((step) => mutate(random, step));
}

/** Sends a script and closes; the other side may have closed before. */
async function play(socket: Deno.UnixConn, steps: Uint8Array[]): Promise<void> {
  const peer = createRawPeer(socket);
  const reading = (async () => {
    const buffer = new Uint8Array(65536);
    while (await socket.read(buffer).catch(() => null) !== null);
  })();
  for (const step of steps) if (!await peer.send(step).then(() => true, () => false)) break;
  await socket.closeWrite().catch(() => {});
  await reading;
  peer.close();
}

/** What is still reachable, in MB; what only waits for the collector does not count. */
function kept(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  const { heapUsed, external } = Deno.memoryUsage();
  return (heapUsed + external) / 1e6;
}

Deno.test(`fuzz: the server survives ${10 * rounds} connections (seed ${seed})`, () =>
  withDir(async (dir) => {
    const path = `${dir}/s`;
    const controller = new AbortController();
    const server = await serve(path, [echoService()], {
      signal: controller.signal,
      limits: { lingerMs: 100 },
    });
    const random = createRandom(seed);
    const connectAndPlay = async () => {
      await play(
        await Deno.connect({ transport: "unix", path }),
        script(random, [preface, encodeSettings([])]),
      );
    };
    await connectAndPlay();
    const before = kept();
    for (let round = 0; round < rounds; round += 10) {
      await Promise.all(Array.from({ length: 10 }, connectAndPlay));
    }
    const channel = createChannel(path);
    const client = createClient(EchoDefinition, channel);
    assertEquals(
      textOf(await client.one({ containerId: "x", timeout: 1n }, { signal, timeoutMs: 10_000 })),
      "x",
    );
    channel.close();
    controller.abort();
    await server.finished;
    assert(kept() - before < 10, `memory in use went from ${before} to ${kept()} MB`);
  }));

Deno.test(`fuzz: the client survives ${rounds} servers' answers (seed ${seed})`, () =>
  withDir(async (dir) => {
    const path = `${dir}/s`;
    const random = createRandom(seed + 1);
    const listener = Deno.listen({ transport: "unix", path });
    const playing: Promise<void>[] = [];
    const serving = (async () => {
      for await (const socket of listener) playing.push(play(socket, script(random, [encodeSettings([])])));
    })();
    const channel = createChannel(path, { limits: { lingerMs: 100 } });
    const client = createClient(EchoDefinition, channel);
    const before = kept();
    const outcome = async (call: () => Promise<unknown>): Promise<void> => {
      try {
        await call();
      } catch (error) {
        assert(error instanceof RpcError, `rejected with ${error}`);
      }
    };
    const options = { signal, timeoutMs: 300 };
    for (let round = 0; round < rounds; round++) {
      await Promise.all([
        outcome(() => client.one({ containerId: "x" }, options)),
        outcome(async () => {
          for await (const _ of client.many({ containerId: "x" }, options));
        }),
      ]);
    }
    channel.close();
    listener.close();
    await serving;
    await Promise.all(playing);
    assert(kept() - before < 10, `memory in use went from ${before} to ${kept()} MB`);
  }));
