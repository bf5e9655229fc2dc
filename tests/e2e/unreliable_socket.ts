/**
 * A unix socket before another one, which passes bytes on as a test wants: freely, not at all, in drips, as garbage, or
 * by hanging up. Not for: what the bytes mean.
 */

export type Manner = "passes" | "stalls" | "drips" | "babbles" | "hangs up";

export interface UnreliableSocket extends AsyncDisposable {
  path: string;
  /** From now on, on open connections too; what was held back in a stall goes on afterwards. */
  behave(manner: Manner): void;
}

const drop = 48;

export function createUnreliableSocket(path: string, target: string): UnreliableSocket {
  const listener = Deno.listen({ transport: "unix", path });
  const open = new Set<Deno.Conn>();
  let manner: Manner = "passes";
  let changed = Promise.withResolvers<void>();

  const close = (conn: Deno.Conn) => {
    open.delete(conn);
    try {
      conn.close();
    } catch {
      // The other side was first.
    }
  };
  const write = async (conn: Deno.Conn, bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  };
  const pass = async (bytes: Uint8Array, to: Deno.Conn) => {
    while (manner === "stalls") await changed.promise;
    if (manner === "hangs up") throw new Error("hung up");
    if (manner === "babbles") return await write(to, crypto.getRandomValues(new Uint8Array(bytes.length)));
    if (manner === "passes") return await write(to, bytes);
    for (let at = 0; at < bytes.length; at += drop) {
      await write(to, bytes.subarray(at, at + drop));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  const pump = async (from: Deno.Conn, to: Deno.Conn) => {
    const buffer = new Uint8Array(16384);
    try {
      for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) {
        await pass(buffer.slice(0, n), to);
      }
    } catch {
      // Either side has gone.
    } finally {
      close(from);
      close(to);
    }
  };
  const join = async (client: Deno.Conn) => {
    open.add(client);
    if (manner === "hangs up") return close(client);
    try {
      const server = await Deno.connect({ transport: "unix", path: target });
      open.add(server);
      await Promise.all([pump(client, server), pump(server, client)]);
    } catch {
      close(client);
    }
  };
  const serving = (async () => {
    for await (const client of listener) join(client);
  })();

  return {
    path,
    behave(next) {
      manner = next;
      if (next === "hangs up") { for (const conn of [...open]) close(conn); }
      changed.resolve();
      changed = Promise.withResolvers();
    },
    async [Symbol.asyncDispose]() {
      this.behave("hangs up");
      listener.close();
      await serving;
    },
  };
}
