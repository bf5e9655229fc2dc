/**
 * Carries a session between a client's connection and the runtime's streaming server: octets in both directions, at the
 * pace of the slower side, whatever protocol they agreed on (SPDY/3.1, WebSocket). Source: the kubelet's proxyStream and
 * apimachinery's UpgradeAwareHandler. Not for: which session (streams.ts).
 */
import type net from "node:net";
import type { Duplex } from "node:stream";
import { AgentError, errorText } from "../../model/errors.ts";

export interface Relayed {
  socket: Duplex;
  /** What came after the request's head. */
  head: Uint8Array;
  method: string;
  /** Of the client's request: name, value, name, value, … */
  rawHeaders: readonly string[];
  /** `http://127.0.0.1:PORT/exec/TOKEN`, from the runtime. */
  url: string;
  /** Closes what has been silent for so long, in ms; 0 never does. */
  idleMs: number;
  /** Ends the session at once. */
  signal: AbortSignal;
}

/** For the runtime to be reached and to answer. */
const answerMs = 30_000;
/** For a client to take the last words, once the other side has closed. */
const lingerMs = 10_000;
const longestHead = 16 * 1024;
const longestRefusal = 64 * 1024;
/** For the agent alone, or of the connection that we replace. */
const ownHeaders = new Set(["host", "authorization", "proxy-authorization", "cookie"]);

/**
 * @returns the runtime's answer where it does not agree to the other protocol; else undefined, when the session has ended.
 * @throws {AgentError} when the runtime's server cannot be reached or understood; nothing was written to the client then
 */
export async function relay(o: Relayed): Promise<Response | undefined> {
  const { protocol, hostname, port, host, pathname, search } = new URL(o.url);
  if (protocol !== "http:") {
    throw new AgentError("Unknown", `the runtime streams over ${protocol}//; expected http://`, {
      retry: false,
    });
  }
  const server = await reach(hostname.replace(/^\[|\]$/g, ""), Number(port || 80), o.signal);
  try {
    const lines = [`${o.method} ${pathname}${search} HTTP/1.1`, `Host: ${host}`];
    for (let i = 0; i + 1 < o.rawHeaders.length; i += 2) {
      const [name, value] = [o.rawHeaders[i]!, o.rawHeaders[i + 1]!];
      if (!ownHeaders.has(name.toLowerCase())) lines.push(`${name}: ${value}`);
    }
    server.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
    const { head, rest } = await readHead(server);
    if (!/^HTTP\/1\.1 101 /.test(head)) return await refusal(server, head, rest);
    // The client's next words follow its request; the runtime has them only now that it speaks the protocol.
    if (o.head.length > 0) server.write(o.head);
    o.socket.write(head, "latin1");
    if (rest.length > 0) o.socket.write(rest);
    await join(o.socket, server, o);
    return undefined;
  } finally {
    server.destroy();
  }
}

async function reach(host: string, port: number, signal: AbortSignal): Promise<net.Socket> {
  // Node's sockets cost memory that a node without sessions need not have.
  const { default: { connect } } = await import("node:net");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host, port, allowHalfOpen: true });
  const fail = (why: string) =>
    reject(new AgentError("RuntimeUnavailable", `the runtime's streaming server at ${host}:${port}: ${why}`));
  socket.once("connect", resolve);
  socket.once("error", (error) => fail(errorText(error)));
  socket.once("close", () => fail("the connection was closed"));
  socket.setTimeout(answerMs, () => {
    fail(`no answer within ${answerMs / 1000} s`);
    socket.destroy();
  });
  signal.addEventListener("abort", () => socket.destroy(), { once: true });
  if (signal.aborted) socket.destroy();
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  }
  socket.setNoDelay(true);
  return socket;
}

/** Up to the empty line; what was read beyond it is `rest`. */
async function readHead(server: Duplex): Promise<{ head: string; rest: Uint8Array }> {
  let seen = new Uint8Array();
  for await (const chunk of chunksOf(server)) {
    seen = append(seen, chunk);
    const end = latin1.decode(seen).indexOf("\r\n\r\n");
    if (end >= 0) return { head: latin1.decode(seen.subarray(0, end + 4)), rest: seen.subarray(end + 4) };
    if (seen.length > longestHead) break;
  }
  throw new AgentError("Unknown", "the runtime's streaming server does not speak HTTP as expected");
}
const latin1 = new TextDecoder("latin1"); // one character for each byte

function append(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** Leaves the stream as it is when the reader has had enough. */
async function* chunksOf(stream: Duplex): AsyncGenerator<Uint8Array> {
  yield* stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}

/** A server that goes on with HTTP keeps the connection, so that the body's end is in its head, or a matter of time. */
async function refusal(server: net.Socket, head: string, rest: Uint8Array): Promise<Response> {
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 502);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? longestRefusal);
  const type = /\r\ncontent-type: *([^\r\n]*)/i.exec(head)?.[1] ?? "text/plain; charset=utf-8";
  let body = append(rest, new Uint8Array());
  server.setTimeout(1000, () => server.destroy());
  try {
    if (body.length < length) {
      for await (const chunk of chunksOf(server)) {
        body = append(body, chunk);
        if (body.length >= Math.min(length, longestRefusal)) break;
      }
    }
  } catch {
    // What came will do.
  }
  const shown = body.subarray(0, Math.min(length, longestRefusal));
  return new Response(shown, { status: status < 200 ? 502 : status, headers: { "content-type": type } });
}

/** Resolves when both are closed. */
async function join(client: Duplex, server: net.Socket, o: Relayed): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const patience = client as net.Socket;
  const end = () => {
    client.destroy();
    server.destroy();
    resolve();
  };
  server.setTimeout(0);
  patience.setTimeout(o.idleMs, end);
  patience.setNoDelay(true);
  o.signal.addEventListener("abort", end, { once: true });
  client.on("error", end);
  client.on("close", end);
  // A runtime that has done with a session may reset it: what it said before is the client's still.
  const lastWords = () => {
    client.end();
    patience.setTimeout(lingerMs, end);
  };
  server.on("error", lastWords);
  server.on("close", lastWords);
  server.pipe(client);
  client.pipe(server);
  if (o.signal.aborted || client.destroyed || server.destroyed) end();
  await promise;
  o.signal.removeEventListener("abort", end);
}
