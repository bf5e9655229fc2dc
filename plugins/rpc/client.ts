/**
 * Calls from this side: one HTTP/2 stream each, from request headers to trailers, with deadline and cancellation; and
 * the typed client over them. Every call is a stream of messages; a unary one takes exactly one.
 */
import type { Channel, Link } from "./channel.ts";
import { ErrorCode } from "./frames.ts";
import type { HeaderList } from "./hpack.ts";
import { createInbox, frameMessage, type Inbox } from "./messages.ts";
import { findHeader, lossStatus, readStatus, refuseResponse, requestHeaders } from "./metadata.ts";
import {
  type CallOptions,
  type Client,
  type MethodDefinition,
  methodPath,
  type ServiceDefinition,
} from "./service.ts";
import { Code, RpcError, startDeadline, toRpcError } from "./status.ts";
import type { Stream, StreamEvents, StreamLoss } from "./stream.ts";

/** One message, or as many as come. */
type Outgoing = Uint8Array | AsyncIterable<Uint8Array>;

interface Call {
  /** The next response message, or undefined after the last; rejects with the status that is not OK. */
  next(): Promise<Uint8Array | undefined>;
  /** Ends the call if it has not ended: RST_STREAM CANCEL, and `next` rejects with the error. */
  cancel(error: RpcError): void;
}

// A stream that the server refused was not looked at, so it goes out again; a server that refuses for ever ends it.
const maxAttempts = 5;

function startCall(channel: Channel, path: string, outgoing: Outgoing, options: CallOptions): Call {
  const { signal, timeoutMs } = options;
  let ended = false;
  let stream: Stream | undefined;
  let inbox: Inbox | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const opened = Promise.withResolvers<Inbox>();
  opened.promise.catch(() => {});

  function settle(): void {
    ended = true;
    clearTimeout(timer);
    signal.removeEventListener("abort", aborted);
  }

  function cancel(error: RpcError): void {
    if (ended) return;
    settle();
    stream?.reset(ErrorCode.CANCEL);
    inbox?.abort(error);
    opened.reject(error);
  }

  function aborted(): void {
    cancel(new RpcError(Code.CANCELLED, `${path} was cancelled`, { cause: signal.reason }));
  }

  function finish(error?: RpcError): void {
    if (ended) return;
    settle();
    inbox?.end(error);
  }

  /** Sends the request on a stream of its own; counts how often it has been sent. */
  function attempt(headers: HeaderList, count: number): void {
    const again = count < maxAttempts && outgoing instanceof Uint8Array
      ? () => attempt(headers, count + 1)
      : undefined;
    channel.withLink((link) => {
      if (ended) return;
      const current = link.connection.open(responseEvents({ inbox: () => inbox, finish, cancel, again }));
      stream = current;
      inbox ??= createCallInbox(channel, link, (octets) => stream?.grant(octets));
      opened.resolve(inbox);
      current.sendHeaders(headers, false);
      if (outgoing instanceof Uint8Array) void current.sendData(frameMessage(outgoing), true);
      else sendAll(current, outgoing).catch((error) => cancel(toRpcError(error)));
    }).catch((error) => cancel(toRpcError(error)));
  }

  function begin(): void {
    if (signal.aborted) return aborted();
    signal.addEventListener("abort", aborted);
    if (timeoutMs !== undefined) {
      timer = startDeadline(
        timeoutMs,
        () => cancel(new RpcError(Code.DEADLINE_EXCEEDED, `${path} took over ${timeoutMs} ms`)),
      );
    }
    try {
      attempt(requestHeaders(path, channel.caller, options), 1);
    } catch (error) {
      cancel(toRpcError(error));
    }
  }

  begin();
  return {
    cancel,
    next: () => inbox === undefined ? opened.promise.then((box) => box.next()) : inbox.next(),
  };
}

function createCallInbox(channel: Channel, link: Link, grant: (octets: number) => void): Inbox {
  return createInbox({
    maxMessageBytes: channel.maxMessageBytes,
    budget: link.budget,
    threshold: channel.limits.streamWindow / 2,
    grant,
  });
}

async function sendAll(stream: Stream, messages: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const message of messages) {
    if (!await stream.sendData(frameMessage(message), false)) return;
  }
  await stream.sendData(new Uint8Array(0), true);
}

interface ResponseTarget {
  inbox(): Inbox | undefined;
  finish(error?: RpcError): void;
  cancel(error: RpcError): void;
  /** Sends the request once more, where that is allowed. */
  again: (() => void) | undefined;
}

/** What the server's frames mean to a call. */
function responseEvents(target: ResponseTarget): StreamEvents {
  let responding = false;

  function headers(list: HeaderList, end: boolean): void {
    if (!responding) {
      if (!end && findHeader(list, ":status")?.startsWith("1")) return; // informational, another list follows
      responding = true;
      const refusal = refuseResponse(list);
      if (refusal !== undefined) return target.cancel(refusal);
      if (!end) return;
    } else if (!end) {
      return target.cancel(new RpcError(Code.INTERNAL, "headers came twice"));
    }
    target.finish(readStatus(list));
  }

  function received(chunk: Uint8Array, end: boolean): void {
    if (!responding) return target.cancel(new RpcError(Code.INTERNAL, "a message came before the headers"));
    try {
      target.inbox()?.push(chunk);
    } catch (error) {
      return target.cancel(toRpcError(error));
    }
    if (end) target.finish(new RpcError(Code.INTERNAL, "the response ended without trailers"));
  }

  function lost(loss: StreamLoss): void {
    if (loss.refused && !responding && target.again !== undefined) target.again();
    else target.finish(lossStatus(loss));
  }

  return { headers, received, lost };
}

const left = new RpcError(Code.CANCELLED, "nobody reads the responses any more");

async function* readAll<Res>(method: MethodDefinition<unknown, Res>, start: () => Call): AsyncGenerator<Res> {
  const call = start();
  try {
    for (;;) {
      const message = await call.next();
      if (message === undefined) return;
      yield decode(method, message);
    }
  } finally {
    call.cancel(left);
  }
}

async function readOne<Res>(method: MethodDefinition<unknown, Res>, call: Call): Promise<Res> {
  try {
    const message = await call.next();
    if (message === undefined) throw new RpcError(Code.INTERNAL, `${method.name} ended without a response`);
    if (await call.next() !== undefined) {
      throw new RpcError(Code.INTERNAL, `${method.name} gave two responses`);
    }
    return decode(method, message);
  } finally {
    call.cancel(left);
  }
}

function decode<Res>(method: MethodDefinition<unknown, Res>, message: Uint8Array): Res {
  try {
    return method.responseType.decode(message);
  } catch (cause) {
    throw new RpcError(Code.INTERNAL, `the response of ${method.name} cannot be decoded`, { cause });
  }
}

async function* encodeAll(
  method: MethodDefinition,
  requests: AsyncIterable<object>,
): AsyncGenerator<Uint8Array> {
  for await (const request of requests) yield encode(method, request);
}

function encode(method: MethodDefinition, request: object): Uint8Array {
  return method.requestType.encode(method.requestType.fromPartial(request)).finish();
}

function createMethod(channel: Channel, path: string, method: MethodDefinition) {
  return (request: object, options: CallOptions): Promise<unknown> | AsyncIterable<unknown> => {
    const start = () => {
      const outgoing = method.requestStream
        ? encodeAll(method, request as AsyncIterable<object>)
        : encode(method, request);
      return startCall(channel, path, outgoing, options);
    };
    return method.responseStream ? readAll(method, start) : Promise.try(() => readOne(method, start()));
  };
}

/** A typed client: one function for each method of the definition. Many clients may share a channel. */
export function createClient<S extends ServiceDefinition>(definition: S, channel: Channel): Client<S> {
  const entries = Object.entries(definition.methods)
    .map(([key, method]) => [key, createMethod(channel, methodPath(definition, method), method)]);
  return Object.fromEntries(entries) as Client<S>;
}
