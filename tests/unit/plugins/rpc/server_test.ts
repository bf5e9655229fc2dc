/** Our server against grpc-js's client, and its socket file. */
import * as grpc from "@grpc/grpc-js";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Code, createChannel, createClient, RpcError, serve } from "../../../../plugins/rpc/mod.ts";
import {
  createLog,
  EchoDefinition,
  echoService,
  grpcDefinition,
  limits,
  type Log,
  textOf,
  withDir,
} from "./echo_service.ts";

type Callback = (error: grpc.ServiceError | null, response: { stdout: Uint8Array }) => void;
type Unary = (
  request: object,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: Callback,
) => grpc.ClientUnaryCall;
interface GrpcClient extends grpc.Client {
  one: Unary;
  hang: Unary;
  many(request: object): grpc.ClientReadableStream<{ exitCode: number }>;
  collect(callback: Callback): grpc.ClientWritableStream<object>;
  chat(): grpc.ClientDuplexStream<object, { stdout: Uint8Array }>;
}
interface Peer {
  client: GrpcClient;
  log: Log;
  path: string;
  /** Ends the server; resolves when it has ended. */
  stop(): Promise<void>;
}

/** A unary call as a promise. */
function ask(
  client: GrpcClient,
  request: object,
  options: grpc.CallOptions = {},
  metadata = new grpc.Metadata(),
) {
  return new Promise<string>((resolve, reject) =>
    client.one(
      request,
      metadata,
      options,
      (error, response) => error ? reject(error) : resolve(textOf(response)),
    )
  );
}

async function withServer(run: (peer: Peer) => Promise<void>): Promise<void> {
  await withDir(async (dir) => {
    const log = createLog();
    const path = `${dir}/s`;
    const controller = new AbortController();
    const server = await serve(path, [echoService(log)], {
      signal: controller.signal,
      maxMessageBytes: 64 * 1024 * 1024,
      maxWaitingBytes: 128 * 1024 * 1024,
    });
    const Constructor = grpc.makeGenericClientConstructor(grpcDefinition, "Echo");
    const client = new Constructor(
      `unix:${path}`,
      grpc.credentials.createInsecure(),
      limits,
    ) as unknown as GrpcClient;
    try {
      await run({ client, log, path, stop: () => (controller.abort(), server.finished) });
    } finally {
      client.close();
      controller.abort();
      await server.finished;
    }
  });
}

function test(name: string, run: (peer: Peer) => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: () => withServer(run) });
}

test("unary calls: response and metadata", async ({ client, log }) => {
  const metadata = new grpc.Metadata();
  metadata.set("x-name", "value");
  assertEquals(await ask(client, { containerId: "ab", timeout: 3n }, {}, metadata), "ababab");
  assertEquals(JSON.parse(log.entries[0]?.slice(4) ?? "")["x-name"], "value");
});

test("a handler's RpcError is the client's status; any other error is UNKNOWN", async ({ client }) => {
  const cause = await assertRejects(() => ask(client, { cmd: ["5", "no “pod”, 100%"] })) as grpc.ServiceError;
  assertEquals([cause.code, cause.details], [Code.NOT_FOUND, "no “pod”, 100%"]);
});

test("a method without a handler or definition is UNIMPLEMENTED", async ({ client }) => {
  const call = new Promise((_, reject) =>
    client.makeUnaryRequest("/test.v1.Echo/Absent", () => Buffer.alloc(0), () => 0, {}, reject)
  );
  assertEquals((await assertRejects(() => call) as grpc.ServiceError).code, Code.UNIMPLEMENTED);
});

test("messages far beyond the flow-control windows, both ways", async ({ client }) => {
  const text = "0123456789abcdef".repeat(65_536 * 4);
  assertEquals((await ask(client, { containerId: text, timeout: 3n })).length, 3 * text.length);
});

test("server streams give every response in order", async ({ client }) => {
  const seen: number[] = [];
  for await (const { exitCode } of client.many({ containerId: "x".repeat(1000), timeout: 2000n })) {
    seen.push(exitCode);
  }
  assertEquals(seen, Array.from({ length: 2000 }, (_, at) => at + 1));
});

test("client streams and streams both ways", async ({ client }) => {
  const parts = Array.from({ length: 500 }, (_, at) => `${at},`);
  const all = new Promise<string>((resolve, reject) => {
    const call = client.collect((error, response) => error ? reject(error) : resolve(textOf(response)));
    for (const containerId of parts) call.write({ containerId });
    call.end();
  });
  assertEquals(await all, parts.join(""));
  const call = client.chat();
  for (const containerId of parts) call.write({ containerId });
  call.end();
  const answers: string[] = [];
  for await (const answer of call) answers.push(textOf(answer));
  assertEquals(answers, parts);
});

test("a client that cancels aborts the handler's signal", async ({ client, log }) => {
  const call = client.hang({}, new grpc.Metadata(), {}, () => {});
  await log.until((entries) => entries.includes("hang began"));
  call.cancel();
  await log.until((entries) => entries.some((entry) => entry.startsWith("hang ended: CANCELLED")));
});

test("a client that cancels ends a stream that would go on for ever", async ({ client, log }) => {
  const call = client.many({ containerId: "x" });
  call.on("error", () => {});
  await new Promise((resolve) => call.once("data", resolve));
  call.cancel();
  await log.until((entries) => entries.includes("many ended, aborted: true"));
});

test("the client's deadline ends the call on both sides", async ({ client, log }) => {
  const call = new Promise((_, reject) =>
    client.hang({}, new grpc.Metadata(), { deadline: Date.now() + 100 }, reject)
  );
  assertEquals((await assertRejects(() => call) as grpc.ServiceError).code, Code.DEADLINE_EXCEEDED);
  await log.until((entries) =>
    entries.some((entry) => /^hang ended: (DEADLINE_EXCEEDED|CANCELLED)/.test(entry))
  );
});

test("many calls at once, more than the server's streams", async ({ client }) => {
  const calls = Array.from({ length: 500 }, (_, at) => ask(client, { containerId: `${at}`, timeout: 1n }));
  assertEquals(await Promise.all(calls), Array.from({ length: 500 }, (_, at) => `${at}`));
});

test("when the server ends, calls are answered UNAVAILABLE and handlers are told", async ({ client, log, stop, path }) => {
  const call = new Promise((_, reject) => client.hang({}, new grpc.Metadata(), {}, reject));
  await log.until((entries) => entries.includes("hang began"));
  const ended = stop();
  assertEquals((await assertRejects(() => call) as grpc.ServiceError).code, Code.UNAVAILABLE);
  await log.until((entries) => entries.includes("hang ended: UNAVAILABLE: the server ends"));
  await ended;
  await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
});

test("the socket file is 0600, beside nothing of ours, and not taken from a live server", async ({ path }) => {
  const { mode } = await Deno.lstat(path);
  assertEquals((mode ?? 0) & 0o777, 0o600);
  const dir = path.slice(0, path.lastIndexOf("/"));
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["s"]);
  const signal = AbortSignal.timeout(10_000);
  await assertRejects(() => serve(path, [], { signal }), RpcError, "ALREADY_EXISTS: another server");
  await Deno.writeTextFile(`${dir}/file`, "");
  await assertRejects(() => serve(`${dir}/file`, [], { signal }), RpcError, "is not a socket");
});

Deno.test("a dead server's socket file is replaced; the mode is as asked", () =>
  withDir(async (dir) => {
    const path = `${dir}/s`;
    const dead = Deno.listen({ transport: "unix", path: `${dir}/dead` });
    await Deno.rename(`${dir}/dead`, path);
    dead.close();
    assert((await Deno.lstat(path)).isSocket);
    const controller = new AbortController();
    const server = await serve(path, [echoService()], { signal: controller.signal, mode: 0o660 });
    assertEquals(((await Deno.lstat(path)).mode ?? 0) & 0o777, 0o660);
    const channel = createChannel(path);
    const client = createClient(EchoDefinition, channel);
    const response = await client.one({ containerId: "x", timeout: 2n }, { signal: controller.signal });
    assertEquals(textOf(response), "xx");
    channel.close();
    controller.abort();
    await server.finished;
  }));
