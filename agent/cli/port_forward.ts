/** `agent port-forward`: ports of this machine that lead into a pod's network. */
import type { Pod } from "../model/gen/v1.ts";
import { errorText } from "../model/errors.ts";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, CommandError, type ParsedArgs, UsageError } from "./command.ts";
import { findPod, plainName } from "./describe.ts";
import { namespaceFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";

export interface Forward {
  /** 0: any that is free. */
  local: number;
  remote: number;
}

/**
 * `8080:80`, `80` for the same on both sides, `:80` for any free one here; REMOTE may be the name of one of the pod's
 * ports. Throws UsageError.
 */
export function parseForward(word: string, named: ReadonlyMap<string, number> = new Map()): Forward {
  const [, local, remote = ""] = /^(?:(\d*):)?(\d+|[a-z0-9-]*[a-z][a-z0-9-]*)$/.exec(word) ?? [];
  const port = named.get(remote) ?? Number(remote);
  const forward = { local: Number(local ?? port), remote: port };
  if (remote !== "" && forward.remote >= 1 && forward.remote <= 65535 && forward.local <= 65535) {
    return forward;
  }
  const names = named.size === 0 ? "" : `, or one of the pod's ports ${[...named.keys()].join(", ")}`;
  throw new UsageError(
    `PORT: expected [LOCAL:]REMOTE with numbers up to 65535 (8080:80, 80, :80)${names}, found "${word}"`,
  );
}

/** The ports of a pod that have names. */
export function namedPorts(pod: Pod): Map<string, number> {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  const ports = [...initContainers, ...containers].flatMap((container) => container.ports ?? []);
  return new Map(ports.flatMap(({ name, containerPort }) => name ? [[name, containerPort] as const] : []));
}

/** `localhost` is both of its addresses. Throws UsageError. */
export function parseAddresses(words: string): string[] {
  return words.split(",").flatMap((word) => {
    const address = word.trim();
    if (address === "localhost") return ["127.0.0.1", "::1"];
    if (/^[\d.]+$|^[\da-f:.]*:[\da-f:.]*$/i.test(address)) return [address];
    throw new UsageError(`--address: expected IP addresses or localhost, found "${word}"`);
  });
}

/** Carries one connection to its end, whichever side ends it; both directions at once. */
async function forwardOne(
  connection: Deno.TcpConn,
  url: string,
  port: number,
  signal: AbortSignal,
): Promise<void> {
  // Loaded here, since the agent itself never needs it.
  const { openSession } = await import("./session.ts");
  const session = await openSession(url, "portforward.k8s.io", signal);
  try {
    let complaint = "";
    const headers = { port: String(port), requestid: "0" };
    const errors = await session.open({ ...headers, streamtype: "error" }, (bytes) => {
      complaint += new TextDecoder().decode(bytes);
    });
    await errors.end();
    const remote = await session.open(
      { ...headers, streamtype: "data" },
      (bytes) => writeAll(connection, bytes),
    );
    const sent = (async () => {
      const buffer = new Uint8Array(32 * 1024);
      for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
        await remote.write(buffer.subarray(0, count));
      }
      await remote.end();
    })().catch(() => {}); // a side has left: the other is told by the end below
    await Promise.all([remote.ended, errors.ended]);
    if (complaint !== "") throw new CommandError(complaint);
    await connection.closeWrite();
    await sent;
  } finally {
    session.close();
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

/** Accepts until the signal; each connection asks for a session of its own, so that a restarted pod is found again. */
async function acceptAll(
  listener: Deno.TcpListener,
  port: number,
  pod: { client: ApiClient; path: string },
  io: Io,
): Promise<void> {
  for await (const connection of listener) {
    await io.out(`Handling connection for ${listener.addr.port}\n`);
    pod.client.redirect(`${pod.path}?port=${port}`, io.signal)
      .then((url) => forwardOne(connection, url, port, io.signal))
      .catch((error) => io.err(`port ${port}: ${errorText(error).trim()}\n`))
      .finally(() => closeQuietly(connection));
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // The peer was faster.
  }
}

function listen(hostname: string, forward: Forward): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port: forward.local });
  } catch (error) {
    throw new CommandError(`cannot listen on ${hostname}:${forward.local}: ${errorText(error)}`);
  }
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const [named = "", ...words] = args.positional;
  const namespace = args.text("namespace") ?? "default";
  const name = plainName(named);
  const client = createApiClient(socketPath(args, io));
  const addresses = parseAddresses(args.text("address") ?? "127.0.0.1");
  const listeners: Deno.TcpListener[] = [];
  try {
    const ports = namedPorts(await findPod(client, namespace, name, io));
    const forwards = addresses.flatMap((address) =>
      words.map((word) => ({ address, ...parseForward(word, ports) }))
    );
    const path = `/portForward/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
    for (const forward of forwards) listeners.push(listen(forward.address, forward));
    for (const [i, listener] of listeners.entries()) {
      const { address, remote } = forwards[i]!;
      const host = address.includes(":") ? `[${address}]` : address;
      await io.out(`Forwarding from ${host}:${listener.addr.port} -> ${remote}\n`);
    }
    await Promise.all(listeners.map((l, i) => acceptAll(l, forwards[i]!.remote, { client, path }, io)));
    return 0;
  } finally {
    for (const listener of listeners) listener.close();
    client.close();
  }
}

export const portForward: Command = {
  name: "port-forward",
  summary: "Lead ports of this machine into a pod, until Ctrl-C",
  arguments: [
    { name: "POD", required: true, complete: "pods" },
    {
      name: "PORT",
      required: true,
      repeated: true,
      summary: "[LOCAL:]REMOTE, a number or a port's name; without LOCAL the same, :REMOTE any",
    },
  ],
  flags: [
    namespaceFlag,
    {
      name: "address",
      kind: "text",
      placeholder: "IP",
      summary: "where to listen: addresses, or localhost (default 127.0.0.1)",
    },
  ],
  examples: [
    { does: "Port 80 of the pod as 8080 here", line: "agent port-forward web 8080:80" },
    { does: "Any free port", line: "agent port-forward web :80" },
  ],
  run,
};
