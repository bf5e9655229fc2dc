/**
 * One call on the server's side: from request headers through the handler to trailers, with deadline and cancellation.
 * Not for sockets or connections; those are server.ts.
 */
import { ErrorCode } from "./frames.ts";
import type { HeaderList } from "./hpack.ts";
import { type Budget, createInbox, frameMessage, type Inbox } from "./messages.ts";
import { findHeader, isGrpc, lossStatus, readMetadata, responseHeaders, statusTrailers } from "./metadata.ts";
import type { BoundMethod, MethodDefinition } from "./service.ts";
import { Code, parseTimeout, RpcError, startDeadline, toRpcError } from "./status.ts";
import type { Stream, StreamEvents } from "./stream.ts";

export interface CallScope {
  readonly methods: ReadonlyMap<string, BoundMethod>;
  readonly maxMessageBytes: number;
  /** Undelivered octets up to which a client gets its credit back at once. */
  readonly threshold: number;
  readonly budget: Budget;
  /** Aborts when the server ends; its calls are then answered UNAVAILABLE. */
  readonly signal: AbortSignal;
  /** Hears what handlers throw besides RpcError. */
  report(error: unknown, path: string): void;
}

export interface ServerCall {
  readonly events: StreamEvents;
  /** Resolves when the handler has returned, whatever became of the call before. */
  readonly finished: Promise<void>;
}

const nothing: StreamEvents = { headers() {}, received() {}, lost() {} };

/** Answers a request: by its handler, or at once when there is none or it is not gRPC. */
export function acceptCall(stream: Stream, headers: HeaderList, scope: CallScope): ServerCall {
  const path = findHeader(headers, ":path") ?? "";
  const refuse = (list: HeaderList): ServerCall => {
    // After this turn, because the connection has not yet told the stream of its own headers.
    return { events: nothing, finished: Promise.resolve().then(() => stream.sendHeaders(list, true)) };
  };
  if (findHeader(headers, ":method") !== "POST") return refuse([[":status", "405"]]);
  if (!isGrpc(headers)) return refuse([[":status", "415"]]);
  const method = scope.methods.get(path);
  if (method === undefined) {
    const error = new RpcError(Code.UNIMPLEMENTED, `this server has no ${path}`);
    return refuse([...responseHeaders, ...statusTrailers(error)]);
  }
  return runCall(stream, headers, method, path, scope);
}

function runCall(
  stream: Stream,
  headers: HeaderList,
  method: BoundMethod,
  path: string,
  scope: CallScope,
): ServerCall {
  const controller = new AbortController();
  const inbox = createInbox({ ...scope, grant: stream.grant });
  let answered = false;
  let responding = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function settle(): void {
    answered = true;
    clearTimeout(timer);
    scope.signal.removeEventListener("abort", serverEnds);
  }

  function answer(error?: RpcError): void {
    if (answered) return;
    settle();
    stream.sendHeaders(
      responding ? statusTrailers(error) : [...responseHeaders, ...statusTrailers(error)],
      true,
    );
  }

  /** Answers now and tells the handler that nobody waits for it. */
  function stop(error: RpcError): void {
    answer(error);
    controller.abort(error);
    inbox.abort(error);
  }

  function serverEnds(): void {
    stop(new RpcError(Code.UNAVAILABLE, "the server ends"));
  }

  async function respond(message: unknown): Promise<void> {
    if (!answered && !responding) stream.sendHeaders(responseHeaders, false);
    responding = true;
    const { responseType } = method.definition;
    const framed = frameMessage(responseType.encode(responseType.fromPartial(message as object)).finish());
    if (answered || !await stream.sendData(framed, false)) {
      throw new RpcError(Code.CANCELLED, "nobody reads the responses any more");
    }
  }

  async function run(): Promise<void> {
    try {
      const request = method.definition.requestStream
        ? readAll(method.definition, inbox)
        : await readOne(method.definition, inbox);
      controller.signal.throwIfAborted(); // a handler may only listen, and would miss what was before
      const context = { signal: controller.signal, metadata: readMetadata(headers) };
      const answers = method.handler(request, context);
      if (Symbol.asyncIterator in answers) {
        for await (const message of answers) await respond(message);
      } else {
        await respond(await answers);
      }
      answer();
    } catch (error) {
      if (!(error instanceof RpcError) && !controller.signal.aborted) scope.report(error, path);
      answer(toRpcError(error));
    } finally {
      inbox.abort(new RpcError(Code.CANCELLED, "the call has ended"));
    }
  }

  const timeoutMs = parseTimeout(findHeader(headers, "grpc-timeout") ?? "");
  if (timeoutMs !== undefined) {
    const late = () => stop(new RpcError(Code.DEADLINE_EXCEEDED, `${path} took over ${timeoutMs} ms`));
    timer = startDeadline(timeoutMs, late);
  }
  scope.signal.addEventListener("abort", serverEnds);
  return { events: requestEvents(stream, inbox, settle, stop), finished: run() };
}

/** What the client's frames mean to a call. */
function requestEvents(
  stream: Stream,
  inbox: Inbox,
  settle: () => void,
  stop: (error: RpcError) => void,
): StreamEvents {
  return {
    headers: (_list, end) => end ? inbox.end() : undefined,
    received(chunk, end) {
      try {
        inbox.push(chunk);
      } catch (error) {
        return stop(toRpcError(error));
      }
      if (end) inbox.end();
    },
    lost(loss) {
      settle();
      const { code, details } = lossStatus(loss);
      stop(
        new RpcError(loss.code === ErrorCode.CANCEL || loss.disconnected ? Code.CANCELLED : code, details),
      );
      stream.reset(ErrorCode.CANCEL);
    },
  };
}

async function* readAll(method: MethodDefinition, inbox: Inbox): AsyncGenerator<unknown> {
  for (;;) {
    const message = await inbox.next();
    if (message === undefined) return;
    yield decode(method, message);
  }
}

async function readOne(method: MethodDefinition, inbox: Inbox): Promise<unknown> {
  const message = await inbox.next();
  if (message === undefined) throw new RpcError(Code.INTERNAL, `${method.name} came without a request`);
  if (await inbox.next() !== undefined) {
    throw new RpcError(Code.INTERNAL, `${method.name} came with two requests`);
  }
  return decode(method, message);
}

function decode(method: MethodDefinition, message: Uint8Array): unknown {
  try {
    return method.requestType.decode(message);
  } catch (cause) {
    throw new RpcError(Code.INTERNAL, `the request of ${method.name} cannot be decoded`, { cause });
  }
}
