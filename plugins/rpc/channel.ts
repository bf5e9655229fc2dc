/**
 * The client's way to one server: a connection that is made when it is needed and again after it was lost. Not for
 * calls; those are client.ts.
 */
import { type Connection, type ConnectionLimits, createConnection, defaultLimits } from "./connection.ts";
import { type Budget, createBudget } from "./messages.ts";
import type { Caller } from "./metadata.ts";
import { Code, RpcError } from "./status.ts";

/** Where a server listens: the path of its unix socket, which need not exist before the first call, or a TCP port. */
export type Address = string | { readonly hostname: string; readonly port: number };

export interface ChannelOptions {
  /** Octets of the largest message that is taken; 16 MiB unless told, as the kubelet has it for CRI. */
  maxMessageBytes?: number;
  limits?: Partial<ConnectionLimits>;
  /** The caller's name in every request; none unless told. */
  userAgent?: string;
}

export interface Link {
  readonly connection: Connection;
  readonly budget: Budget;
}

/** Connects with the first call and again after a loss. Safe for any number of calls at once. */
export interface Channel {
  readonly maxMessageBytes: number;
  readonly limits: ConnectionLimits;
  readonly caller: Caller;
  /**
   * Calls `use` with a link on which one stream can be opened, as soon as there is one.
   * @throws {RpcError} UNAVAILABLE when nobody listens at the address, CANCELLED when the channel is closed.
   */
  withLink(use: (link: Link) => void): Promise<void>;
  /** Fails the calls that are open, and closes. No calls after this. */
  close(): void;
}

const nameOf = (address: Address): string => {
  if (typeof address === "string") return address;
  const { hostname, port } = address;
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
};

export function createChannel(address: Address, options: ChannelOptions = {}): Channel {
  const name = nameOf(address);
  const limits = { ...defaultLimits, ...options.limits };
  const maxMessageBytes = options.maxMessageBytes ?? 16 * 1024 * 1024;
  const caller = {
    authority: typeof address === "string" ? "localhost" : name,
    ...(options.userAgent === undefined ? {} : { userAgent: options.userAgent }),
  };
  const leaving = new AbortController();
  const open = new Set<Connection>();
  let current: Promise<Link> | undefined;
  let ended = false;

  async function connect(): Promise<Link> {
    const dial = typeof address === "string"
      ? Deno.connect({ transport: "unix", path: address })
      : Deno.connect({ ...address, signal: leaving.signal });
    const socket = await dial.catch((cause) => {
      throw new RpcError(Code.UNAVAILABLE, `nobody answers at ${name}: ${cause.message}`, { cause });
    });
    const connection = createConnection(socket, { side: "client", limits });
    if (ended) connection.close();
    open.add(connection);
    connection.closed.then(() => open.delete(connection));
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

  async function withLink(use: (link: Link) => void): Promise<void> {
    for (;;) {
      if (ended) throw new RpcError(Code.CANCELLED, `the channel to ${name} is closed`);
      const attempt = current ?? start();
      const found = await attempt;
      if (!found.connection.usable) {
        if (current === attempt) current = undefined;
        // Who hangs up before a word would do so again, at once and for ever.
        const cause = found.connection.unmet;
        if (cause !== undefined && !ended) {
          throw new RpcError(Code.UNAVAILABLE, `${name} does not answer as a gRPC server: ${cause.message}`, {
            cause,
          });
        }
      } else if (found.connection.roomy) {
        return use(found); // in this turn, before another takes the room
      } else {
        await found.connection.changed();
      }
    }
  }

  function close(): void {
    ended = true;
    current = undefined;
    leaving.abort();
    for (const connection of open) connection.close();
  }

  return { maxMessageBytes, limits, caller, withLink, close };
}
