/**
 * A gRPC server on a unix socket: the socket file, its connections, and their end. Not for what a call is; that is
 * server_call.ts.
 */
import { type Connection, type ConnectionLimits, createConnection, defaultLimits } from "./connection.ts";
import { createBudget } from "./messages.ts";
import { acceptCall } from "./server_call.ts";
import type { BoundMethod, BoundService } from "./service.ts";
import { Code, RpcError } from "./status.ts";

export interface ServeOptions {
  /** Abort ends the server: open calls are answered UNAVAILABLE, connections close, the socket file goes. */
  signal: AbortSignal;
  /** Mode of the socket file; 0600 unless told. */
  mode?: number;
  /** Octets of the largest message that is taken; 4 MiB unless told. */
  maxMessageBytes?: number;
  /** Octets of requests that one connection may have waiting; 32 MiB unless told. */
  maxWaitingBytes?: number;
  /** Connections at once; one more is closed at once. 64 unless told. */
  maxConnections?: number;
  limits?: Partial<ConnectionLimits>;
  /** Hears what handlers throw besides RpcError; the client gets UNKNOWN with its message. */
  report?(error: unknown, path: string): void;
}

export interface Server {
  /** Resolves when the signal has aborted, every handler has returned and every connection is closed. */
  readonly finished: Promise<void>;
}

/**
 * Listens at a path, replacing a socket file that nobody listens at. The file appears with its final mode.
 * @throws {RpcError} ALREADY_EXISTS when a server answers there or the path is something else than a socket.
 */
export async function serve(
  socketPath: string,
  services: readonly BoundService[],
  options: ServeOptions,
): Promise<Server> {
  await refuseTaken(socketPath);
  const listener = listen(socketPath, options.mode ?? 0o600);
  const methods = new Map(services.flatMap((service) => [...service.methods]));
  return { finished: run(listener, methods, socketPath, options) };
}

async function refuseTaken(socketPath: string): Promise<void> {
  let found: Deno.FileInfo;
  try {
    found = await Deno.lstat(socketPath);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!found.isSocket) throw new RpcError(Code.ALREADY_EXISTS, `${socketPath} exists and is not a socket`);
  const live = await Deno.connect({ transport: "unix", path: socketPath }).then(
    (socket) => (socket.close(), true),
    () => false,
  );
  if (live) throw new RpcError(Code.ALREADY_EXISTS, `another server answers at ${socketPath}`);
}

/** Binds in a private directory beside the path and renames, so that nobody meets the file with a wider mode. */
function listen(socketPath: string, mode: number): Deno.UnixListener {
  const slash = socketPath.lastIndexOf("/");
  const dir = slash < 0 ? "." : socketPath.slice(0, slash) || "/";
  const nest = Deno.makeTempDirSync({ dir, prefix: "." });
  try {
    const path = `${nest}/s`;
    const listener = Deno.listen({ transport: "unix", path });
    Deno.chmodSync(path, mode);
    Deno.renameSync(path, socketPath);
    return listener;
  } finally {
    Deno.removeSync(nest, { recursive: true });
  }
}

async function run(
  listener: Deno.UnixListener,
  methods: ReadonlyMap<string, BoundMethod>,
  socketPath: string,
  options: ServeOptions,
): Promise<void> {
  const inode = (await Deno.lstat(socketPath)).ino;
  const running = new Set<Promise<unknown>>();
  const track = (work: Promise<unknown>): void => {
    running.add(work);
    work.finally(() => running.delete(work));
  };
  const connections = new Set<Connection>();
  const stop = () => {
    listener.close();
    for (const connection of connections) connection.drain();
  };
  if (options.signal.aborted) stop();
  else options.signal.addEventListener("abort", stop);
  for await (const socket of listener) {
    if (connections.size >= (options.maxConnections ?? 64)) {
      socket.close();
      continue;
    }
    const connection = serveConnection(socket, methods, options, track);
    connections.add(connection);
    track(connection.closed.then(() => connections.delete(connection)));
  }
  options.signal.removeEventListener("abort", stop);
  await removeOwn(socketPath, inode);
  while (running.size > 0) await Promise.all(running);
}

function serveConnection(
  socket: Deno.Conn,
  methods: ReadonlyMap<string, BoundMethod>,
  options: ServeOptions,
  track: (work: Promise<unknown>) => void,
): Connection {
  const limits = { ...defaultLimits, ...options.limits };
  let handlers = 0;
  const scope = {
    methods,
    maxMessageBytes: options.maxMessageBytes ?? 4 * 1024 * 1024,
    threshold: limits.streamWindow / 2,
    budget: createBudget(options.maxWaitingBytes ?? 32 * 1024 * 1024),
    signal: options.signal,
    report: options.report ?? (() => {}),
  };
  return createConnection(socket, {
    side: "server",
    limits,
    accept(stream, headers) {
      // Handlers count, not streams: a client that resets each stream at once must not pile them up.
      if (handlers >= limits.maxStreams) return undefined;
      handlers++;
      const call = acceptCall(stream, headers, scope);
      track(call.finished.finally(() => handlers--));
      return call.events;
    },
  });
}

/** Removes the socket file unless another server has put its own there. */
async function removeOwn(socketPath: string, inode: number | null): Promise<void> {
  try {
    if ((await Deno.lstat(socketPath)).ino === inode) await Deno.remove(socketPath);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
