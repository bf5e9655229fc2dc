/**
 * A small service for the transport's tests, one method of each kind, and its handlers; and grpc-js as a peer for it on
 * either side. The messages are CRI's, taken for their shapes: ExecSyncRequest for text, ExecSyncResponse for octets.
 */
import * as grpc from "@grpc/grpc-js";
import { ExecSyncRequest, ExecSyncResponse } from "../../../../plugins/rpc/gen/cri.ts";
import { bindService, Code, type MethodDefinition, RpcError } from "../../../../plugins/rpc/mod.ts";

const messages = { requestType: ExecSyncRequest, responseType: ExecSyncResponse };
export const EchoDefinition = {
  fullName: "test.v1.Echo",
  methods: {
    /** Gives `containerId` back as stdout `timeout` times, or fails as `cmd` says: code, text. */
    one: { name: "One", ...messages, requestStream: false, responseStream: false },
    /** `timeout` responses of `containerId`; for ever when it is 0. */
    many: { name: "Many", ...messages, requestStream: false, responseStream: true },
    /** All `containerId`s in one. */
    collect: { name: "Collect", ...messages, requestStream: true, responseStream: false },
    /** One response for each request, at once. */
    chat: { name: "Chat", ...messages, requestStream: true, responseStream: true },
    /** Never answers. */
    hang: { name: "Hang", ...messages, requestStream: false, responseStream: false },
  },
} as const;

const bytes = (text: string) => new TextEncoder().encode(text);
export const textOf = (response: { stdout: Uint8Array }) => new TextDecoder().decode(response.stdout);

/** A list that others can wait on. */
export function createLog() {
  const entries: string[] = [];
  const waiters: Array<() => void> = [];
  return {
    entries,
    add(entry: string): void {
      entries.push(entry);
      for (const wake of waiters.splice(0)) wake();
    },
    async until(done: (entries: readonly string[]) => boolean): Promise<void> {
      while (!done(entries)) await new Promise<void>((resolve) => waiters.push(resolve));
    },
    waiting: () => waiters.length,
  };
}
export type Log = ReturnType<typeof createLog>;

export function echoService(log: Log = createLog()) {
  return bindService(EchoDefinition, {
    one(request, context) {
      log.add(`one ${JSON.stringify(context.metadata)}`);
      if (request.cmd.length > 0) throw new RpcError(Number(request.cmd[0]) as Code, request.cmd[1] ?? "");
      return Promise.resolve({ stdout: bytes(request.containerId.repeat(Number(request.timeout))) });
    },
    async *many(request, context) {
      try {
        for (let count = 1n; request.timeout === 0n || count <= request.timeout; count++) {
          context.signal.throwIfAborted();
          yield { stdout: bytes(request.containerId), exitCode: Number(count) };
        }
      } finally {
        log.add(`many ended, aborted: ${context.signal.aborted}`);
      }
    },
    async collect(requests) {
      let all = "";
      for await (const { containerId } of requests) all += containerId;
      return { stdout: bytes(all) };
    },
    async *chat(requests) {
      for await (const { containerId } of requests) yield { stdout: bytes(containerId) };
    },
    async hang(_request, context) {
      log.add("hang began");
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
      log.add(`hang ended: ${context.signal.reason.message}`);
      throw new RpcError(Code.ABORTED, "seen only by nobody");
    },
  });
}

function grpcMethod(method: MethodDefinition): grpc.MethodDefinition<unknown, unknown> {
  const { requestType, responseType } = method;
  return {
    path: `/${EchoDefinition.fullName}/${method.name}`,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: (m) => Buffer.from(requestType.encode(requestType.fromPartial(m as object)).finish()),
    requestDeserialize: (buffer) => requestType.decode(buffer),
    responseSerialize: (m) =>
      Buffer.from(responseType.encode(responseType.fromPartial(m as object)).finish()),
    responseDeserialize: (buffer) => responseType.decode(buffer),
  };
}

/** The service in grpc-js's own shape. */
export const grpcDefinition: grpc.ServiceDefinition = Object.fromEntries(
  Object.entries(EchoDefinition.methods).map(([key, method]) => [key, grpcMethod(method)]),
);

export const limits = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

/** A directory of its own for sockets, removed after the test. */
export async function withDir(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "rpc-" });
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
