/**
 * The client's way to one server: a connection that is made when it is needed and again after it was lost. Not for
 * calls; those are client.ts.
 */
import { type Connection, type ConnectionLimits, createConnection, defaultLimits } from "./connection.ts";
import { type Budget, createBudget } from "./messages.ts";
import { Code, RpcError } from "./status.ts";

export interface ChannelOptions {
  /** Octets of the largest message that is taken; 16 MiB unless told, as the kubelet has it for CRI. */
  maxMessageBytes?: number;
  limits?: Partial<ConnectionLimits>;
}

export interface Link {
  readonly connection: Connection;
  readonly budget: Budget;
}

/** Connects with the first call and again after a loss. Safe for any number of calls at once. */
export interface Channel {
  readonly maxMessageBytes: number;
  readonly limits: ConnectionLimits;
  /**
   * A link on which a stream can be opened at once, with nothing awaited in between.
   * @throws {RpcError} UNAVAILABLE when nobody listens at the socket, CANCELLED when the channel is closed.
   */
  link(): Promise<Link>;
  /** Fails the calls that are open, and closes. No calls after this. */
  close(): void;
}

/** @param socketPath path of the server's unix socket; it need not exist before the first call. */
export function createChannel(socketPath: string, options: ChannelOptions = {}): Channel {
  const limits = { ...defaultLimits, ...options.limits };
  const maxMessageBytes = options.maxMessageBytes ?? 16 * 1024 * 1024;
  let current: Promise<Link> | undefined;
  let ended = false;

  async function connect(): Promise<Link> {
    const socket = await Deno.connect({ transport: "unix", path: socketPath }).catch((cause) => {
      throw new RpcError(Code.UNAVAILABLE, `nobody answers at ${socketPath}: ${cause.message}`, { cause });
    });
    const connection = createConnection(socket, { side: "client", limits });
    if (ended) connection.close();
    return { connection, budget: createBudget(4 * maxMessageBytes) };
  }

  function start(): Promise<Link> {
    const attempt = connect();
    current = attempt;
    const forget = () => {
      if (current === attempt) current = undefined;
    };
    attempt.then(({ connection }) => connection.closed).then(forget, forget);
    return attempt;
  }

  async function link(): Promise<Link> {
    for (;;) {
      if (ended) throw new RpcError(Code.CANCELLED, `the channel to ${socketPath} is closed`);
      const attempt = current ?? start();
      const found = await attempt;
      if (!found.connection.usable) {
        if (current === attempt) current = undefined;
      } else if (found.connection.full) {
        await found.connection.changed();
      } else {
        return found;
      }
    }
  }

  function close(): void {
    ended = true;
    current?.then(({ connection }) => connection.close(), () => {});
    current = undefined;
  }

  return { maxMessageBytes, limits, link, close };
}
