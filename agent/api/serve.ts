/**
 * Binds the API: everything on a unix socket that only its owner can open; health alone on a TCP port that anyone on the
 * machine can reach, so there connections, sizes and times are bounded. Not for: what is answered.
 */
import { aborted } from "../lib/pause.ts";
import { AgentError, errorText, type Problem } from "../model/errors.ts";
import { formatResponse, maxHead, parseRequestHead } from "./http_head.ts";

/** A hono app, or anything that answers requests. */
export interface App {
  fetch(request: Request): Response | Promise<Response>;
}

export interface ServeOptions {
  socket: string;
  /** The whole API. */
  app: App;
  /** Absent: no TCP port. Port 0 lets the system choose. */
  healthz?: { address: string; port: number };
  /** What the TCP port answers: createHealthApi. */
  health: App;
  /** Told each time the TCP port's troubles change. */
  report(problems: Problem[]): void;
  signal: AbortSignal;
}

export interface Serving {
  /** Where health checks are answered; `undefined` while the port cannot be had. */
  healthzPort(): number | undefined;
  /** After the signal: when all is closed. */
  finished: Promise<void>;
}

/** Throws AgentError when the socket cannot be had; a taken TCP port is only reported, and tried again. */
export async function serveApi(options: ServeOptions): Promise<Serving> {
  const server = await serveSocket(options.socket, options.app);
  const stopSocket = async () => {
    await aborted(options.signal);
    const patience = new AbortController();
    await Promise.race([
      server.shutdown(),
      aborted(AbortSignal.any([AbortSignal.timeout(2000), patience.signal])),
    ]);
    patience.abort();
  };
  let port: number | undefined;
  const health = options.healthz === undefined
    ? Promise.resolve()
    : serveHealth(options, options.healthz, (bound) => port = bound);
  return { healthzPort: () => port, finished: Promise.all([stopSocket(), health]).then(() => {}) };
}

// ---- unix socket ---------------------------------------------------------------------------------------------------

const longestPath = 107; // sun_path without its end mark, unix(7)

async function serveSocket(path: string, app: App): Promise<Deno.HttpServer> {
  if (new TextEncoder().encode(path).length > longestPath) {
    throw new AgentError(
      "Unknown",
      `--socket ${path}: longer than the ${longestPath} bytes a socket path may have`,
      {
        retry: false,
      },
    );
  }
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true });
  try {
    return listenPrivately(path, app);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
  }
  await removeStale(path);
  return listenPrivately(path, app);
}

/** The file is private from its first moment: bind(2) obeys the umask, and nothing else runs in between. */
function listenPrivately(path: string, app: App): Deno.HttpServer {
  const before = Deno.umask(0o177);
  try {
    return Deno.serve({ path, onListen: () => {} }, (request) => app.fetch(request));
  } finally {
    Deno.umask(before);
  }
}

/** Removes what an agent that died left behind; a socket somebody answers on, or another kind of file, stays. */
async function removeStale(path: string): Promise<void> {
  const refuse = (message: string) =>
    new AgentError("Unknown", `--socket ${path}: ${message}`, { retry: false });
  if (!(await Deno.lstat(path)).isSocket) {
    throw refuse("exists and is not a socket; expected a path that is free");
  }
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return await Deno.remove(path);
    if (error instanceof Deno.errors.NotFound) return;
    throw refuse(errorText(error));
  }
  throw refuse(
    "another agent (or another program) answers there; stop it, or give this one another --socket",
  );
}

// ---- health over TCP -----------------------------------------------------------------------------------------------
// Deno.serve sets no bounds on connections or on how long a request may take to arrive, and node:http, which does, costs
// 10 MB of memory; for three paths a small reader of our own is enough.

const maxConnections = 32;
const patienceMs = 1000;
const retryMs = 10_000;

async function serveHealth(
  options: ServeOptions,
  { address, port }: { address: string; port: number },
  bound: (port: number | undefined) => void,
): Promise<void> {
  const { signal } = options;
  while (!signal.aborted) {
    let listener: Deno.Listener;
    try {
      listener = Deno.listen({ hostname: address, port });
    } catch (error) {
      options.report([portProblem(address, port, error)]);
      await aborted(AbortSignal.any([signal, AbortSignal.timeout(retryMs)]));
      continue;
    }
    options.report([]);
    bound((listener.addr as Deno.NetAddr).port);
    const close = () => listener.close();
    signal.addEventListener("abort", close, { once: true });
    await acceptAll(listener, options.health, signal);
    bound(undefined);
  }
}

function portProblem(address: string, port: number, error: unknown): Problem {
  const where = `${address}:${port}`;
  const why = error instanceof Deno.errors.AddrInUse
    ? `${where} is in use by another program (a kubelet, another agent?)`
    : `cannot listen on ${where}: ${errorText(error)}`;
  return {
    severity: "warning",
    file: "flag --healthz-port",
    field: "healthzPort",
    message: `${why}; health checks over TCP wait until it is free; another port, or 0 for none, can be set`,
  };
}

async function acceptAll(listener: Deno.Listener, app: App, signal: AbortSignal): Promise<void> {
  const open = new Set<Promise<void>>();
  while (!signal.aborted) {
    let connection: Deno.Conn;
    try {
      connection = await listener.accept();
    } catch {
      // Out of descriptors, or a peer that left before it was accepted; a closed listener ends by the signal.
      if (!signal.aborted) await aborted(AbortSignal.any([signal, AbortSignal.timeout(100)]));
      continue;
    }
    const answered = answerOne(connection, app, signal).finally(() => open.delete(answered));
    open.add(answered);
    if (open.size >= maxConnections) await Promise.race(open);
  }
  await Promise.all(open);
}

/** One request, one answer, within the time; whatever goes wrong only closes the connection. */
async function answerOne(connection: Deno.Conn, app: App, signal: AbortSignal): Promise<void> {
  let closed = false;
  const close = () => {
    if (!closed) connection.close();
    closed = true;
  };
  const timer = setTimeout(close, patienceMs);
  signal.addEventListener("abort", close, { once: true });
  try {
    const response = await respond(await readHead(connection), app);
    for (let sent = 0; sent < response.length;) sent += await connection.write(response.subarray(sent));
    await connection.closeWrite();
  } catch {
    // The peer left or was too slow.
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", close);
    close();
  }
}

async function readHead(connection: Deno.Conn): Promise<ReturnType<typeof parseRequestHead>> {
  const buffer = new Uint8Array(maxHead);
  let size = 0;
  for (;;) {
    const count = await connection.read(buffer.subarray(size));
    if (count === null) return undefined;
    size += count;
    const head = parseRequestHead(buffer.subarray(0, size));
    if (head !== "more") return head;
  }
}

async function respond(head: ReturnType<typeof parseRequestHead>, app: App): Promise<Uint8Array> {
  if (head === undefined || head === "more") {
    return formatResponse(400, "text/plain", "expected an HTTP request\n");
  }
  if (head.method !== "GET" && head.method !== "HEAD") {
    return formatResponse(405, "text/plain", "only GET here\n");
  }
  const response = await app.fetch(new Request(`http://localhost${head.target}`));
  const body = await response.text();
  return formatResponse(
    response.status,
    response.headers.get("content-type") ?? "text/plain",
    head.method === "HEAD" ? "" : body,
  );
}
