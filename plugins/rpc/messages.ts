/**
 * gRPC's length-prefixed messages: framing for sending, and the inbox that cuts received DATA into messages, bounds
 * what it keeps, and gives flow-control credit back as messages are taken. Not for encoding or decoding them.
 */
import { Code, RpcError } from "./status.ts";

const prefixSize = 5;

/** The message with its prefix: one octet for "not compressed", four for the length. */
export function frameMessage(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(prefixSize + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, prefixSize);
  return framed;
}

/** Octets kept by all streams of one connection together. */
export interface Budget {
  /** False when the octets would go over the limit; nothing is taken then. */
  take(octets: number): boolean;
  give(octets: number): void;
}

export function createBudget(limit: number): Budget {
  let used = 0;
  return {
    take(octets: number): boolean {
      if (used + octets > limit) return false;
      used += octets;
      return true;
    },
    give: (octets) => void (used -= octets),
  };
}

export interface InboxOptions {
  maxMessageBytes: number;
  budget: Budget;
  /** Undelivered octets up to which the sender gets its credit back at once. */
  threshold: number;
  /** Gives the sender credit for this many octets. */
  grant(octets: number): void;
}

export interface Inbox {
  /** @throws {RpcError} RESOURCE_EXHAUSTED over a limit, UNIMPLEMENTED for a compressed message. */
  push(chunk: Uint8Array): void;
  /** No more messages; with an error, `next` rejects with it after the messages that came before. */
  end(error?: RpcError): void;
  /** Drops what is queued; every `next` from now on rejects. */
  abort(error: RpcError): void;
  /** The next message, or undefined after the last. One caller at a time. */
  next(): Promise<Uint8Array | undefined>;
}

/** Puts chunks together into messages; calls `complete` for each. Returns how many octets of the chunk it keeps. */
function createAssembler(maxMessageBytes: number, complete: (message: Uint8Array) => void) {
  const prefix = new Uint8Array(prefixSize);
  let prefixFilled = 0;
  let expected = 0;
  let body = new Uint8Array(0);
  let filled = 0;

  function readPrefix(): void {
    if (prefix[0] !== 0) {
      throw new RpcError(Code.UNIMPLEMENTED, "a compressed message came; none was agreed on");
    }
    expected = new DataView(prefix.buffer).getUint32(1);
    if (expected > maxMessageBytes) {
      throw new RpcError(
        Code.RESOURCE_EXHAUSTED,
        `a message of ${expected} octets came; at most ${maxMessageBytes} are taken`,
      );
    }
  }

  /** Grows with what really comes, so that a length alone costs nothing. */
  function append(part: Uint8Array): void {
    if (body.length < filled + part.length) {
      const grown = new Uint8Array(Math.min(expected, Math.max(filled + part.length, 2 * body.length)));
      grown.set(body.subarray(0, filled));
      body = grown;
    }
    body.set(part, filled);
    filled += part.length;
  }

  function push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (prefixFilled < prefixSize) {
        prefix[prefixFilled++] = chunk[at++] ?? 0;
        if (prefixFilled < prefixSize) continue;
        readPrefix();
      }
      const part = chunk.subarray(at, at + expected - filled);
      append(part);
      at += part.length;
      if (filled < expected) return;
      const message = body;
      prefixFilled = 0;
      filled = 0;
      body = new Uint8Array(0);
      complete(message);
    }
  }

  return { push, partial: () => prefixFilled > 0 };
}

export function createInbox(options: InboxOptions): Inbox {
  const queue: Uint8Array[] = [];
  let queuedBytes = 0;
  let reserved = 0;
  let withheld = 0;
  let ended = false;
  let failure: RpcError | undefined;
  let waiting: PromiseWithResolvers<Uint8Array | undefined> | undefined;
  const assembler = createAssembler(options.maxMessageBytes, (message) => {
    queue.push(message);
    queuedBytes += message.length;
  });

  function release(octets: number): void {
    options.budget.give(octets);
    reserved -= octets;
  }

  function take(): Uint8Array | undefined {
    const message = queue.shift();
    if (message === undefined) return undefined;
    queuedBytes -= message.length;
    release(message.length + prefixSize);
    return message;
  }

  function settleCredit(): void {
    if (withheld === 0 || queuedBytes > options.threshold) return;
    const octets = withheld;
    withheld = 0;
    options.grant(octets);
  }

  function wake(): void {
    if (waiting === undefined) return;
    const message = take();
    if (message === undefined && !ended) return;
    const { resolve, reject } = waiting;
    waiting = undefined;
    if (message === undefined && failure !== undefined) reject(failure);
    else resolve(message);
  }

  function push(chunk: Uint8Array): void {
    if (ended) return;
    if (!options.budget.take(chunk.length)) {
      throw new RpcError(
        Code.RESOURCE_EXHAUSTED,
        "the connection holds too many octets that nobody has taken",
      );
    }
    reserved += chunk.length;
    withheld += chunk.length;
    assembler.push(chunk);
    wake();
    settleCredit();
  }

  function end(error?: RpcError): void {
    if (ended) return;
    ended = true;
    failure = error ??
      (assembler.partial() ? new RpcError(Code.INTERNAL, "the stream ended within a message") : undefined);
    release(reserved - queuedBytes - prefixSize * queue.length);
    wake();
  }

  function abort(error: RpcError): void {
    queue.length = 0;
    queuedBytes = 0;
    release(reserved);
    ended = true;
    failure = error;
    wake();
  }

  function next(): Promise<Uint8Array | undefined> {
    const message = take();
    if (message !== undefined) {
      settleCredit();
      return Promise.resolve(message);
    }
    if (failure !== undefined) return Promise.reject(failure);
    if (ended) return Promise.resolve(undefined);
    waiting = Promise.withResolvers();
    return waiting.promise;
  }

  return { push, end, abort, next };
}
