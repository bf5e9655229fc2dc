/** What those may take of the kubelet's port who have not shown who they are. Not for: showing it (access.ts). */
import type { Duplex } from "node:stream";

export interface ServerLimits {
  /** In bytes; the largest heads are those with a service account's token. */
  head: number;
  /** In all. */
  connections: number;
  /** Of those that have not shown who they are. */
  strangers: number;
  /** Of those, from one address. */
  strangersOfOne: number;
  /** Ms until a stranger has shown who it is: handshake, head, and being looked up. */
  introduction: number;
  handshake: number;
  headTime: number;
  /** Ms without a request. */
  idle: number;
}

export const limits: ServerLimits = {
  head: 64 * 1024,
  connections: 1000,
  strangers: 256,
  strangersOfOne: 128,
  introduction: 15_000,
  handshake: 10_000,
  headTime: 10_000,
  idle: 90_000,
};

export interface Strangers {
  add(socket: Duplex, address: string): void;
  /** It is not counted any more. */
  remove(socket: Duplex): void;
  /** Has shown who it is on a connection, as requests have it: above TLS. */
  introduce(connection: Duplex): void;
  /** A stranger asks once and waits for the answer: what it sends on without listening would be kept for it. */
  mayAsk(connection: Duplex): boolean;
}

/** Those that have shown nothing yet: where they are too many, the one that has had most time goes. */
export function createStrangers(bounds: ServerLimits): Strangers {
  const known = new Map<Duplex, { address: string; timer: ReturnType<typeof setTimeout> }>();
  const heard = new WeakMap<Duplex, "stranger" | "known">();
  const remove = (socket: Duplex) => {
    clearTimeout(known.get(socket)?.timer);
    known.delete(socket);
  };
  const dropOldest = (of: (address: string) => boolean) => {
    for (const [socket, { address }] of known) if (of(address)) return void socket.destroy();
  };
  return {
    remove,
    introduce: (connection) => void heard.set(connection, "known"),
    mayAsk(connection) {
      if (heard.get(connection) === "stranger") return false;
      if (!heard.has(connection)) heard.set(connection, "stranger");
      return true;
    },
    add(socket, address) {
      const ofOne = [...known.values()].filter((k) => k.address === address).length;
      if (ofOne >= bounds.strangersOfOne) dropOldest((a) => a === address);
      else if (known.size >= bounds.strangers) dropOldest(() => true);
      known.set(socket, { address, timer: setTimeout(() => socket.destroy(), bounds.introduction) });
      socket.once("close", () => remove(socket));
    },
  };
}
