/**
 * How an API server since v1.31 passes on what kubectl says over WebSocket: it speaks SPDY to the kubelet. Source:
 * k8s.io/apiserver/pkg/util/proxy (StreamTranslatorHandler, TunnelingHandler). Not for: other upgrades, which pass as they
 * are (kubelet_proxy.ts).
 */
import type http from "node:http";
import type tls from "node:tls";
import type { Duplex } from "node:stream";
import { concatBytes } from "../../../agent/lib/bytes.ts";
import { createSpdySession, type SpdyStream, type Wire } from "../../../agent/lib/spdy/session.ts";
import { ApiError, failure } from "./errors.ts";
import { acceptWebSocket, drained, protocolsOf, type WebSocketServerSide } from "./websocket.ts";

const closable = "v5.channel.k8s.io";
const tunnelled = "SPDY/3.1+portforward.k8s.io";

export type Dial = () => Promise<tls.TLSSocket>;

/** Of the request to the kubelet. */
interface Onward {
  host: string;
  path: string;
}

/** @returns what carries the session to its end, or undefined where the upgrade passes as it is */
export function translator(
  request: http.IncomingMessage,
): ((client: Duplex, early: Uint8Array, dial: Dial, onward: Onward) => Promise<void>) | undefined {
  const protocols = protocolsOf(request);
  if (protocols.includes(closable)) {
    return async (client, early, dial, onward) =>
      await translate(acceptWebSocket(request, client, early, closable), dial, onward);
  }
  if (protocols.includes(tunnelled)) {
    return async (client, early, dial, onward) => {
      // The kubelet's refusal is the answer to the client's own request.
      const kubelet = await upgradeTo(dial, onward, ["portforward.k8s.io"]);
      await tunnel(acceptWebSocket(request, client, early, tunnelled), kubelet);
    };
  }
  return undefined;
}

interface Upgraded {
  socket: tls.TLSSocket;
  rest: Uint8Array;
}

/** @throws {ApiError} with the kubelet's words when it does not agree */
async function upgradeTo(dial: Dial, { host, path }: Onward, protocols: string[]): Promise<Upgraded> {
  const socket = await dial();
  const versions = protocols.map((name) => `X-Stream-Protocol-Version: ${name}\r\n`).join("");
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n${versions}` +
      "Content-Length: 0\r\n\r\n",
  );
  const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
  let seen: Uint8Array = new Uint8Array();
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    seen = concatBytes([seen, chunk]);
    const end = text(seen).indexOf("\r\n\r\n") + 4;
    if (end < 4) continue;
    if (text(seen).startsWith("HTTP/1.1 101 ")) return { socket, rest: seen.subarray(end) };
    const length = /content-length: *(\d+)/i.exec(text(seen))?.[1];
    if (length === undefined ? text(seen).endsWith("\r\n0\r\n\r\n") : seen.length >= end + Number(length)) {
      break;
    }
  }
  socket.destroy();
  const body = text(seen).split("\r\n\r\n").slice(1).join("\r\n\r\n");
  const chunks = /transfer-encoding: *chunked/i.test(text(seen))
    ? body.replace(/(^|\r\n)[0-9a-f]+\r\n/g, "")
    : body;
  const words = chunks.trim();
  throw new ApiError(500, "InternalError", `Internal error occurred: unable to upgrade connection: ${words}`);
}

function wireOf({ socket }: Upgraded): Wire {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let ahead: Uint8Array = new Uint8Array();
  return {
    async read(buffer) {
      if (ahead.length === 0) {
        const next = await chunks.next();
        if (next.done) return null;
        ahead = next.value;
      }
      const part = ahead.subarray(0, buffer.length);
      ahead = ahead.subarray(part.length);
      buffer.set(part);
      return part.length;
    },
    async write(bytes) {
      if (!socket.write(bytes.slice())) await drained(socket);
      return bytes.length;
    },
    close: () => socket.destroy(),
  };
}

/** Of the channels of a WebSocket. */
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const succeeded = { metadata: {}, status: "Success" };

async function translate(client: WebSocketServerSide, dial: Dial, onward: Onward): Promise<void> {
  const say = (to: number, bytes: Uint8Array) => client.send(concatBytes([new Uint8Array([to]), bytes]));
  const conclude = (status: unknown) => say(channel.error, new TextEncoder().encode(JSON.stringify(status)));
  try {
    const versions = [5, 4, 3, 2].map((n) => `v${n}.channel.k8s.io`);
    const upgraded = await upgradeTo(dial, onward, [...versions, "channel.k8s.io"]);
    const session = createSpdySession(wireOf(upgraded), upgraded.rest);
    let told = "";
    const error = await session.open({ streamtype: "error" }, (bytes) => {
      told += new TextDecoder().decode(bytes);
    });
    await error.end();
    const asked = new URLSearchParams(onward.path.split("?")[1]);
    const opened = new Map<number, SpdyStream>();
    const open = async (name: "stdin" | "stdout" | "stderr" | "resize") => {
      opened.set(
        channel[name],
        await session.open({ streamtype: name }, (bytes) => say(channel[name], bytes)),
      );
    };
    if (asked.has("input")) await open("stdin");
    if (asked.has("output")) await open("stdout");
    if (asked.has("error") && !asked.has("tty")) await open("stderr");
    if (asked.has("tty")) await open("resize");
    const heard = hear(client, opened).finally(() => session.close());
    const outputs = [channel.stdout, channel.stderr].flatMap((n) => opened.get(n)?.ended ?? []);
    await Promise.race([heard, Promise.allSettled([error.ended, ...outputs])]);
    await conclude(told === "" ? succeeded : JSON.parse(told));
    session.close();
  } catch (error) {
    await conclude(
      error instanceof ApiError ? failure(error) : { status: "Failure", message: String(error) },
    );
  } finally {
    client.close();
  }
}

/** Until the client has left. */
async function hear(client: WebSocketServerSide, opened: ReadonlyMap<number, SpdyStream>): Promise<void> {
  for await (const message of client.messages) {
    const [to = channel.error, ...ended] = message.subarray(0, 2);
    if (to === channel.close) await opened.get(ended[0] ?? channel.stdin)?.end().catch(() => {});
    else await opened.get(to)?.write(message.subarray(1)).catch(() => {});
  }
}

/** The client's SPDY, cut into messages. */
async function tunnel(client: WebSocketServerSide, { socket, rest }: Upgraded): Promise<void> {
  const onward = (async () => {
    for await (const message of client.messages) {
      // kubectl sends a frame's content apart, also where there is none; to write nothing breaks the platform's TLS sockets.
      if (message.length > 0 && !socket.write(message)) await drained(socket);
    }
    socket.end();
  })();
  if (rest.length > 0) await client.send(rest);
  try {
    for await (const chunk of socket) await client.send(chunk);
  } finally {
    client.close();
    await onward.catch(() => {});
  }
}
