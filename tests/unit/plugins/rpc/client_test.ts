/** Our client against grpc-js's server. */
import * as grpc from "@grpc/grpc-js";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ExecSyncRequest } from "../../../../plugins/rpc/gen/cri.ts";
import { type Client, Code, createChannel, createClient, RpcError } from "../../../../plugins/rpc/mod.ts";
import {
  createLog,
  EchoDefinition,
  grpcDefinition,
  limits,
  type Log,
  textOf,
  withDir,
} from "./echo_service.ts";

interface Peer {
  client: Client<typeof EchoDefinition>;
  log: Log;
}
const signal = new AbortController().signal;
const bytes = (text: string) => new TextEncoder().encode(text);
const echo = ({ containerId, timeout }: ExecSyncRequest) => ({
  stdout: bytes(containerId.repeat(Number(timeout))),
});
type Unary = grpc.ServerUnaryCall<ExecSyncRequest, unknown>;
type Readable = grpc.ServerReadableStream<ExecSyncRequest, unknown>;
type Writable = grpc.ServerWritableStream<ExecSyncRequest, unknown>;
type Duplex = grpc.ServerDuplexStream<ExecSyncRequest, unknown>;

function grpcHandlers(log: Log): grpc.UntypedServiceImplementation {
  return {
    one(call: Unary, callback: grpc.sendUnaryData<unknown>) {
      log.add(`one ${call.metadata.get("x-name")} deadline in ${Number(call.getDeadline()) - Date.now()}`);
      const [code, details] = call.request.cmd;
      if (code === undefined) callback(null, echo(call.request));
      else callback({ code: Number(code), details: details ?? "" });
    },
    many(call: Writable) {
      call.on("cancelled", () => log.add("many cancelled"));
      const { containerId, timeout } = call.request;
      let count = 0n;
      const write = (): void => {
        while (!call.cancelled && (timeout === 0n || count < timeout)) {
          count++;
          if (!call.write({ stdout: bytes(containerId), exitCode: Number(count) })) {
            return void call.once("drain", write);
          }
        }
        call.end();
      };
      write();
    },
    collect(call: Readable, callback: grpc.sendUnaryData<unknown>) {
      let all = "";
      call.on("data", ({ containerId }: ExecSyncRequest) => all += containerId);
      call.on("end", () => callback(null, { stdout: bytes(all) }));
    },
    chat(call: Duplex) {
      call.on("data", ({ containerId }: ExecSyncRequest) => call.write({ stdout: bytes(containerId) }));
      call.on("end", () => call.end());
    },
    hang(call: Unary) {
      log.add("hang began");
      call.on("cancelled", () => log.add("hang cancelled"));
    },
  };
}

async function withPeer(run: (peer: Peer) => Promise<void>): Promise<void> {
  await withDir(async (dir) => {
    const log = createLog();
    const server = new grpc.Server(limits);
    server.addService(grpcDefinition, grpcHandlers(log));
    const path = `${dir}/s`;
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(
        `unix:${path}`,
        grpc.ServerCredentials.createInsecure(),
        (error) => error ? reject(error) : resolve(),
      )
    );
    const channel = createChannel(path, { maxMessageBytes: 64 * 1024 * 1024 });
    try {
      await run({ client: createClient(EchoDefinition, channel), log });
    } finally {
      channel.close();
      server.forceShutdown();
    }
  });
}

/** The node side of grpc-js keeps timers and sockets beyond a test. */
function test(name: string, run: (peer: Peer) => Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: () => withPeer(run) });
}

test("unary calls: response, metadata, deadline", async ({ client, log }) => {
  const response = await client.one({ containerId: "ab", timeout: 3n }, {
    signal,
    timeoutMs: 60_000,
    metadata: { "x-name": "value" },
  });
  assertEquals(textOf(response), "ababab");
  const remaining = Number(/^one value deadline in (\d+)$/.exec(log.entries[0] ?? "")?.[1]);
  assert(remaining > 50_000 && remaining <= 60_000, log.entries[0]);
});

test("a status that is not OK rejects with its code and text", async ({ client }) => {
  const error = await assertRejects(
    () => client.one({ cmd: [String(Code.NOT_FOUND), "no “pod”, 100%"] }, { signal }),
    RpcError,
  );
  assertEquals([error.code, error.details], [Code.NOT_FOUND, "no “pod”, 100%"]);
});

test("messages far beyond the flow-control windows, both ways", async ({ client }) => {
  const text = "0123456789abcdef".repeat(65_536 * 4);
  assertEquals(
    textOf(await client.one({ containerId: text, timeout: 3n }, { signal })).length,
    3 * text.length,
  );
});

test("server streams give every response in order", async ({ client }) => {
  const seen: number[] = [];
  for await (
    const { exitCode } of client.many({ containerId: "x".repeat(1000), timeout: 2000n }, { signal })
  ) {
    seen.push(exitCode);
  }
  assertEquals(seen, Array.from({ length: 2000 }, (_, at) => at + 1));
});

test("leaving a server stream cancels it on the wire", async ({ client, log }) => {
  for await (const { exitCode } of client.many({ containerId: "x".repeat(1000) }, { signal })) {
    if (exitCode === 100) break;
  }
  await log.until((entries) => entries.includes("many cancelled"));
});

test("client streams and streams both ways", async ({ client }) => {
  async function* requests() {
    for (let count = 0; count < 500; count++) yield await Promise.resolve({ containerId: `${count},` });
  }
  const expected = Array.from({ length: 500 }, (_, at) => `${at},`);
  assertEquals(textOf(await client.collect(requests(), { signal })), expected.join(""));
  const answers: string[] = [];
  for await (const answer of client.chat(requests(), { signal })) answers.push(textOf(answer));
  assertEquals(answers, expected);
});

test("a request stream that throws cancels the call and rejects it", async ({ client }) => {
  async function* requests() {
    yield await Promise.resolve({ containerId: "x" });
    throw new Error("no more");
  }
  await assertRejects(() => client.collect(requests(), { signal }), RpcError, "UNKNOWN: no more");
});

test("abort cancels on the wire and rejects with CANCELLED", async ({ client, log }) => {
  const controller = new AbortController();
  const call = client.hang({}, { signal: controller.signal });
  await log.until((entries) => entries.includes("hang began"));
  controller.abort();
  assertEquals((await assertRejects(() => call, RpcError)).code, Code.CANCELLED);
  await log.until((entries) => entries.includes("hang cancelled"));
  const again = await assertRejects(() => client.hang({}, { signal: controller.signal }), RpcError);
  assertEquals(again.code, Code.CANCELLED);
});

test("a deadline cancels on the wire and rejects with DEADLINE_EXCEEDED", async ({ client, log }) => {
  const error = await assertRejects(() => client.hang({}, { signal, timeoutMs: 50 }), RpcError);
  assertEquals(error.code, Code.DEADLINE_EXCEEDED);
  await log.until((entries) => entries.includes("hang cancelled"));
});

test("many calls at once share the connection", async ({ client }) => {
  const calls = Array.from(
    { length: 500 },
    (_, at) => client.one({ containerId: `${at}`, timeout: 1n }, { signal }),
  );
  assertEquals((await Promise.all(calls)).map(textOf), Array.from({ length: 500 }, (_, at) => `${at}`));
});

test("a message over the limit ends its call alone", async ({ client }) => {
  const big = client.one({ containerId: "x".repeat(1 << 20), timeout: 65n }, { signal });
  const small = client.one({ containerId: "y", timeout: 1n }, { signal });
  assertEquals((await assertRejects(() => big, RpcError)).code, Code.RESOURCE_EXHAUSTED);
  assertEquals(textOf(await small), "y");
});

test("metadata that the wire cannot carry is refused before anything is sent", async ({ client, log }) => {
  for (
    const metadata of [{ "Upper": "x" }, { "grpc-x": "x" }, { ":path": "x" }, { "x-bin": "x" }, {
      ok: "a\nb",
    }]
  ) {
    const error = await assertRejects(() => client.one({}, { signal, metadata }), RpcError);
    assertEquals(error.code, Code.INVALID_ARGUMENT);
  }
  assertEquals(log.entries, []);
});
