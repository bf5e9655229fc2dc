/** The HTTPS server of the double: connections, faults, bodies, streams. Not for: what is answered (router.ts). */
import type http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import type tls from "node:tls";
import { parseCertificate } from "../../../agent/cluster/certificates/certificate.ts";
import { pause } from "../../../agent/lib/pause.ts";
import type { OpenWatch, Seen } from "./audit.ts";
import type { Credentials } from "./authenticate.ts";
import type { Answer, Call } from "./call.ts";
import { ApiError, badRequest, failure } from "./errors.ts";
import type { Fault, Faults } from "./faults.ts";
import { isProxied, kubeletAddress, proxyRequest, proxyUpgrade } from "./kubelet_proxy.ts";
import { answer, route } from "./router.ts";
import { asFailure } from "./watch.ts";
import type { World } from "./world.ts";

export interface Serving {
  port: number;
  /** All connections break. */
  stop(): Promise<void>;
}

export interface ServeOptions {
  world: World;
  faults: Faults;
  /** Everything that was asked, in order. */
  requests: Seen[];
  watches: Set<OpenWatch>;
  identity: { cert: string; key: string };
  hostname: string;
  port: number;
}

const largestBody = 3 * 1024 * 1024;

export async function serve(options: ServeOptions): Promise<Serving> {
  const server = https.createServer({
    ...options.identity,
    ca: options.world.authority.cert,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const sockets = new Set<Duplex>();
  const keep = (socket: Duplex) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  };
  // Before and after the handshake: one that is cut off in it would be waited for.
  server.on("connection", keep);
  server.on("secureConnection", keep);
  server.on("request", (request, response) => void respond(options, request, response));
  server.on("upgrade", (request, socket, head) => void upgrade(options, request, socket, head));
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options.port, options.hostname, resolve);
  await promise;
  return {
    port: (server.address() as { port: number }).port,
    async stop() {
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      // It listens no more; the platform has been seen to forget a connection that is not there any more.
      const patience = new AbortController();
      await Promise.race([closed, pause(1_000, patience.signal)]);
      patience.abort();
    },
  };
}

function seenOf(request: http.IncomingMessage): Seen {
  const url = new URL(request.url ?? "/", "https://double");
  return {
    at: Date.now(),
    method: request.method ?? "GET",
    path: url.pathname,
    query: url.searchParams,
    user: "",
    verb: "",
    resource: "",
    status: 0,
  };
}

function credentialsOf(request: http.IncomingMessage): Credentials {
  const socket = request.socket as tls.TLSSocket;
  const raw = socket.getPeerCertificate()?.raw;
  const { authorization } = request.headers;
  return {
    ...(raw === undefined
      ? {}
      : { certificate: parseCertificate(Uint8Array.from(raw)), trusted: socket.authorized }),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

/** Whether the request is done with. */
async function suffer(
  fault: Fault | undefined,
  signal: AbortSignal,
  response: http.ServerResponse,
): Promise<boolean> {
  if (fault?.delay !== undefined) await pause(fault.delay, signal);
  const wrong = fault?.answer;
  if (wrong === undefined) return signal.aborted;
  if (wrong === "hang") return true;
  if (wrong === "drop") response.socket?.destroy();
  else if (wrong === "garbage") {
    response.writeHead(200, { "content-type": "application/json" }).end('{"kind":"Stat\u0000<html>');
  } else {
    const error = new ApiError(wrong.status, reasons[wrong.status] ?? "InternalError", "a fault on purpose", {
      ...(wrong.retryAfter === undefined ? {} : { retryAfterSeconds: wrong.retryAfter }),
    });
    const headers = wrong.retryAfter === undefined ? {} : { "retry-after": String(wrong.retryAfter) };
    const text = wrong.text ?? JSON.stringify(failure(error));
    response.writeHead(wrong.status, { "content-type": "application/json", ...headers }).end(text);
  }
  return true;
}

const reasons: Readonly<Record<number, string>> = {
  429: "TooManyRequests",
  503: "ServiceUnavailable",
  504: "Timeout",
};

async function respond(
  options: ServeOptions,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const seen = seenOf(request);
  options.requests.push(seen);
  response.on("close", () => seen.status = response.headersSent ? response.statusCode : 0);
  const leaving = new AbortController();
  response.on("close", () => leaving.abort());
  response.on("error", () => leaving.abort());
  try {
    const { world } = options;
    const routed = await route(world, seen, credentialsOf(request), seen.query).catch((error) => ({ error }));
    if (await suffer(options.faults.take(seen), leaving.signal, response)) return;
    if ("error" in routed) throw routed.error;
    const { user, target } = routed;
    if (target !== undefined && isProxied(target)) {
      const address = kubeletAddress(world, target, seen.query);
      seen.status = await proxyRequest(world, address, request, response, target.subresource === "log");
      return;
    }
    const call: Call = {
      method: seen.method,
      path: seen.path,
      query: seen.query,
      header: (name) => {
        const value = request.headers[name];
        return Array.isArray(value) ? value[0] : value;
      },
      user,
      body: () => readBody(request),
      signal: leaving.signal,
    };
    await send(options, seen, response, await answer(world, call, target));
  } catch (error) {
    seen.status = refuse(response, error);
  }
}

function refuse(response: http.ServerResponse, error: unknown): number {
  const status = asFailure(error);
  const wait = status.details.retryAfterSeconds;
  if (response.headersSent) response.destroy();
  else {
    response.writeHead(status.code, {
      "content-type": "application/json",
      ...(wait === undefined ? {} : { "retry-after": String(wait) }),
    }).end(JSON.stringify(status));
  }
  return status.code;
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > largestBody) throw new ApiError(413, "RequestEntityTooLarge", `limit is ${largestBody}`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

async function send(
  options: ServeOptions,
  seen: Seen,
  response: http.ServerResponse,
  given: Answer,
): Promise<void> {
  if ("events" in given) return await stream(options, seen, response, given.events);
  seen.status = given.status;
  if ("text" in given) response.writeHead(given.status, { "content-type": given.type }).end(given.text);
  else {
    response.writeHead(given.status, { "content-type": "application/json", ...given.headers });
    response.end(JSON.stringify(given.json));
  }
}

async function stream(
  { watches }: ServeOptions,
  seen: Seen,
  response: http.ServerResponse,
  events: AsyncIterable<unknown>,
): Promise<void> {
  seen.status = 200;
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  const open: OpenWatch = {
    seen,
    end: () => response.end(),
    cut(half) {
      // What is written last must leave before the connection breaks.
      if (half) {
        response.write('{"type":"MODIFIED","object":{"kind":"Pod","meta', () => response.socket?.destroy());
      } else response.socket?.destroy();
    },
  };
  watches.add(open);
  response.on("close", () => watches.delete(open));
  for await (const event of events) {
    if (response.writableEnded || response.destroyed) break;
    response.write(JSON.stringify(event) + "\n");
  }
  response.end();
}

async function upgrade(
  options: ServeOptions,
  request: http.IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): Promise<void> {
  const seen = seenOf(request);
  options.requests.push(seen);
  socket.on("error", () => socket.destroy());
  try {
    const { target } = await route(options.world, seen, credentialsOf(request), seen.query);
    if (target === undefined || !isProxied(target)) throw badRequest("nothing to upgrade to");
    await proxyUpgrade(
      options.world,
      kubeletAddress(options.world, target, seen.query),
      request,
      socket,
      head,
    );
    seen.status = 101;
  } catch (error) {
    const status = asFailure(error);
    seen.status = status.code;
    const body = JSON.stringify(status);
    socket.end(
      `HTTP/1.1 ${status.code} ${status.reason}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${new TextEncoder().encode(body).length}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
}
