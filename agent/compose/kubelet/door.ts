/**
 * Holds the kubelet API's port until somebody comes: a server with TLS is costly to have, and on many nodes nobody asks.
 * Not for: serving (api/kubelet/server.ts).
 */
import { type EarlyConnection, earlyConnection } from "../../api/kubelet/early.ts";
import { pause } from "../../lib/pause.ts";

export interface Door {
  /** True as soon as somebody has come; false when the signal came first. */
  someone(): Promise<boolean>;
  /** Gives the port up: who came meanwhile. */
  open(): Promise<EarlyConnection[]>;
}

/** More than these wait outside. */
const most = 64;
/** Ms without a newcomer after which all who knocked are in. */
const quiet = 20;

/** Throws what the platform throws when the port cannot be had. */
export function holdPort(address: string, port: number, signal: AbortSignal): Door {
  const listener = Deno.listen({ hostname: address, port });
  const came: Deno.TcpConn[] = [];
  let open = true;
  const { promise: first, resolve } = Promise.withResolvers<boolean>();
  const close = () => {
    if (open) listener.close();
    open = false;
  };
  const leave = () => {
    close();
    for (const conn of came.splice(0)) conn.close();
    resolve(false);
  };
  signal.addEventListener("abort", leave, { once: true });
  const accepting = acceptUntilClosed(listener, (conn) => {
    came.push(conn);
    resolve(true);
    return came.length < most;
  }, () => open);
  return {
    someone: () => first,
    async open() {
      // The system breaks the connections that nobody has taken when a port is given up.
      for (let [before, rounds] = [-1, 0]; rounds < 3; rounds = before === came.length ? rounds + 1 : 0) {
        before = came.length;
        await pause(quiet, signal);
      }
      signal.removeEventListener("abort", leave);
      close();
      await accepting;
      return await Promise.all(came.map(asEarly));
    },
  };
}

async function acceptUntilClosed(
  listener: Deno.TcpListener,
  take: (conn: Deno.TcpConn) => boolean,
  isOpen: () => boolean,
): Promise<void> {
  while (isOpen()) {
    try {
      if (!take(await listener.accept())) return;
    } catch {
      // A peer that left before it was accepted, or no descriptor free.
      if (isOpen()) await pause(quiet, AbortSignal.timeout(quiet));
    }
  }
}

const asEarly = (conn: Deno.TcpConn): Promise<EarlyConnection> =>
  earlyConnection(conn, (conn.remoteAddr as Deno.NetAddr).hostname);
