/**
 * The kubelet's API over HTTPS: connections, TLS, whose certificate a client has, answers and sessions. What strangers may
 * take is bounded in number, size and time. Not for: who may (access.ts), what is answered (routes.ts and its users), the
 * port (compose/).
 */
import type http from "node:http";
import type https from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type tls from "node:tls";
import { errorText } from "../../model/errors.ts";
import type { Log } from "../../lib/log.ts";
import { type AccessControl, admit, type Credentials } from "./access.ts";
import { answerUpgrade, send } from "./answer.ts";
import type { EarlyConnection } from "./early.ts";
import { type KubeletRequest, matchRoute, type Route, splitTarget, text } from "./routes.ts";
import { createStrangers, limits, type ServerLimits } from "./strangers.ts";
import type { User } from "../../model/kubelet_access.ts";

/** PEM. */
export interface ServerIdentity {
  cert: string;
  key: string;
  /** Whose client certificates are believed; none are where it is absent. */
  clientCA?: string;
}

export interface KubeletServerOptions {
  address: string;
  port: number;
  /** Connections that came before there was this server. */
  early?: readonly EarlyConnection[];
  /** Absent: without TLS, for what everybody may see. */
  identity?: ServerIdentity;
  minVersion?: "TLSv1.2" | "TLSv1.3";
  routes: readonly Route[];
  control: AccessControl;
  /** Whom a certificate (DER) names; undefined for one that does not hold now. */
  userOf(certificate: Uint8Array): User | undefined;
  log: Log;
  /** Told of each request when it is answered, or the session ends: path as the kubelet groups them, time in ms. */
  answered?(method: string, path: string, ms: number): void;
  /** Beside the ordinary ones. */
  limits?: Partial<ServerLimits>;
  signal: AbortSignal;
}

export interface KubeletServer {
  port: number;
  /** Connections made from now on see it; those that trusted another authority are believed no more. */
  renew(identity: ServerIdentity): void;
  /** After the signal. */
  finished: Promise<void>;
}

const timesOf = ({ handshake, head, headTime, idle }: ServerLimits) => ({
  handshakeTimeout: handshake,
  maxHeaderSize: head,
  headersTimeout: headTime,
  // A body may come slowly: only who may send one is listened to.
  requestTimeout: 0,
  keepAliveTimeout: idle,
  connectionsCheckingInterval: Math.min(1000, headTime),
});

/** Rejects with Node's error when the port cannot be had. Node's HTTP and TLS cost some 8 MB: they are loaded here. */
export async function serveKubelet(o: KubeletServerOptions): Promise<KubeletServer> {
  let { identity } = o;
  const bounds = { ...limits, ...o.limits };
  const times = timesOf(bounds);
  const server = identity === undefined
    ? (await import("node:http")).createServer(times)
    : (await import("node:https")).createServer(
      { ...tlsOptions(o, identity), ...times } as https.ServerOptions,
    );
  server.maxConnections = bounds.connections;
  const strangers = createStrangers(bounds);
  const trustOf = new WeakMap<object, string | undefined>();
  const open = new Set<Duplex>();
  const keep = (socket: Duplex) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
  };
  server.on("connection", (socket: Duplex & { remoteAddress?: string }) => {
    keep(socket);
    strangers.add(socket, socket.remoteAddress ?? "");
  });
  server.on("secureConnection", (socket: tls.TLSSocket) => {
    keep(socket);
    trustOf.set(socket, identity?.clientCA);
  });
  server.on("tlsClientError", (_error: Error, socket: Duplex) => socket.destroy());
  server.on("clientError", (_error: Error, socket: Duplex) => socket.destroy());
  const credentialsOf = (request: http.IncomingMessage) => {
    const socket = request.socket as tls.TLSSocket;
    const believed = socket.authorized && trustOf.get(socket) === identity?.clientCA;
    return readCredentials(request, believed, o.userOf);
  };
  const known = ({ socket }: http.IncomingMessage) => {
    const raw = rawSocket(socket);
    strangers.introduce(socket);
    strangers.remove(raw);
    // What is below an early connection's TLS cannot be told: one that is known stands for all; handshake and head are timed.
    if (raw === socket) { for (const early of o.early ?? []) strangers.remove(early.socket); }
  };
  const serving: Serving = { ...o, credentialsOf, known };
  const listensTo = ({ socket }: http.IncomingMessage) => strangers.mayAsk(socket) || !socket.destroy();
  server.on("request", (request, response) => {
    if (listensTo(request)) void respond(serving, request, response);
  });
  server.on("upgrade", (request, socket, head) => {
    if (listensTo(request)) void upgrade(serving, request, socket, head);
  });
  await listening(server, o);
  for (const { socket, remoteAddress } of o.early ?? []) {
    server.emit("connection", Object.assign(socket, { remoteAddress }));
  }
  return {
    port: (server.address() as AddressInfo).port,
    renew(next) {
      (server as https.Server).setSecureContext(tlsOptions(o, next));
      identity = next;
    },
    finished: closed(server, open, o.signal),
  };
}

function tlsOptions({ minVersion }: KubeletServerOptions, { cert, key, clientCA }: ServerIdentity) {
  return {
    cert,
    key,
    ...(clientCA === undefined ? {} : { ca: clientCA }),
    requestCert: clientCA !== undefined,
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
    minVersion: minVersion ?? "TLSv1.2" as const,
  };
}

function listening(server: http.Server, { address, port }: KubeletServerOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, address, () => {
    server.off("error", reject);
    server.on("error", () => {});
    resolve();
  });
  return promise;
}

/** Node counts a connection that has changed its protocol among the server's, but leaves it open. */
function closed(server: http.Server, open: ReadonlySet<Duplex>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const close = () => {
    server.close(() => resolve());
    for (const socket of [...open]) socket.destroy();
  };
  if (signal.aborted) close();
  else signal.addEventListener("abort", close, { once: true });
  return promise;
}

/** The TCP connection below a TLS one: what was counted. */
const rawSocket = (socket: Duplex): Duplex => (socket as unknown as { _parent?: Duplex })._parent ?? socket;

interface Serving extends KubeletServerOptions {
  credentialsOf(request: http.IncomingMessage): Credentials;
  known(request: http.IncomingMessage): void;
}

function readCredentials(
  request: http.IncomingMessage,
  believed: boolean,
  userOf: KubeletServerOptions["userOf"],
): Credentials {
  const raw = (request.socket as Partial<tls.TLSSocket>).getPeerCertificate?.()?.raw;
  const user = believed && raw !== undefined ? userOf(Uint8Array.from(raw)) : undefined;
  const [, token] = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? "") ?? [];
  return {
    ...(raw === undefined ? {} : { certificate: user ?? "untrusted" as const }),
    ...(token === undefined ? {} : { token }),
  };
}

/** Who asks and may, and which route is meant; or what to say instead. */
async function admitted(
  o: Serving,
  request: http.IncomingMessage,
  signal: AbortSignal,
): Promise<{ route: Route; asked: KubeletRequest } | { refusal: Response }> {
  const { method = "GET", url: target = "/", rawHeaders } = request;
  const split = splitTarget(target);
  if (split === undefined) return { refusal: text(400, "Bad Request") };
  const verdict = await admit(o.control, o.credentialsOf(request), method, split.path, signal);
  if ("refusal" in verdict) return verdict;
  o.known(request);
  const match = matchRoute(o.routes, method, split.path);
  if (match === undefined) return { refusal: text(404, "404: Page Not Found") };
  if ("allowed" in match) {
    return { refusal: text(405, "405: Method Not Allowed", { allow: match.allowed.join(", ") }) };
  }
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  const { route, params } = match;
  const body = request as AsyncIterable<Uint8Array>;
  const asked = { ...split, method, target, headers, rawHeaders, params, user: verdict.user, body, signal };
  return { route, asked };
}

/** One for each connection: until the client has left. The server's stop ends all connections. */
const goneOf = new WeakMap<Duplex, AbortSignal>();

function untilGone(socket: Duplex): AbortSignal {
  const known = goneOf.get(socket);
  if (known !== undefined) return known;
  const gone = new AbortController();
  if (socket.destroyed) gone.abort();
  socket.once("close", () => gone.abort());
  goneOf.set(socket, gone.signal);
  return gone.signal;
}

const methods = ["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"];

/** From now on until the call of what is returned. */
function counting(
  { answered, routes }: Serving,
  { method = "", url = "" }: http.IncomingMessage,
): () => void {
  const start = performance.now();
  const wordsOf = (path: string) => path.split("?")[0]!.split("/").slice(1, 3);
  const [root = "", below = ""] = wordsOf(url);
  const known = routes.some((route) => wordsOf(route.path)[0] === root);
  const sub = root === "metrics" && routes.some((route) => route.path === `/metrics/${below}`);
  const path = !known ? "other" : sub ? `metrics/${below}` : root;
  return () => answered?.(methods.includes(method) ? method : "other", path, performance.now() - start);
}

/** What a query says, such as a command's words, is nobody else's affair. */
const broken = (log: Log, { url }: http.IncomingMessage, error: unknown): Response => {
  log.error("a request could not be answered", { path: url?.split("?")[0], error: errorText(error) });
  return text(500, errorText(error));
};

async function respond(
  o: Serving,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  response.on("error", () => request.socket.destroy());
  response.once("close", counting(o, request));
  const signal = untilGone(request.socket);
  try {
    const result = await admitted(o, request, signal);
    if ("route" in result) return await send(response, await result.route.answer(result.asked), signal);
    // What a stranger goes on to send is not listened to.
    response.setHeader("connection", "close");
    await send(response, result.refusal, signal);
  } catch (error) {
    if (signal.aborted || response.headersSent) return void request.socket.destroy();
    await send(response, broken(o.log, request, error), signal).catch(() => request.socket.destroy());
  }
}

async function upgrade(
  o: Serving,
  request: http.IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): Promise<void> {
  socket.on("error", () => socket.destroy());
  socket.once("close", counting(o, request));
  const signal = untilGone(socket);
  let answer: Response | undefined;
  try {
    const result = await admitted(o, request, signal);
    if ("refusal" in result) answer = result.refusal;
    else if (result.route.upgrade === undefined) answer = await result.route.answer(result.asked);
    else answer = await result.route.upgrade(result.asked, { socket, head });
  } catch (error) {
    answer = broken(o.log, request, error);
  }
  if (answer !== undefined) {
    await answerUpgrade(request, socket, answer, signal).catch(() => socket.destroy());
  }
}
