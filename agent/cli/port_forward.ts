/** `agent port-forward`: ports of this machine that lead into a pod's network. */
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

/** `8080:80`, `80` for the same on both sides, `:80` for any free one here. Throws UsageError. */
export function parseForward(word: string): Forward {
  const [, local, remote = ""] = /^(?:(\d*):)?(\d+)$/.exec(word) ?? [];
  const forward = { local: Number(local ?? remote), remote: Number(remote) };
  if (remote !== "" && forward.remote >= 1 && forward.remote <= 65535 && forward.local <= 65535) {
    return forward;
  }
  throw new UsageError(
    `PORT: expected [LOCAL:]REMOTE with numbers up to 65535 (8080:80, 80, :80), found "${word}"`,
  );
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
  const forwards = words.map(parseForward);
  const namespace = args.text("namespace") ?? "default";
  const name = plainName(named);
  const client = createApiClient(socketPath(args, io));
  const address = args.text("address") ?? "127.0.0.1";
  const listeners: Deno.TcpListener[] = [];
  try {
    await findPod(client, namespace, name, io);
    const path = `/portForward/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
    for (const forward of forwards) listeners.push(listen(address, forward));
    for (const [i, listener] of listeners.entries()) {
      await io.out(`Forwarding from ${address}:${listener.addr.port} -> ${forwards[i]!.remote}\n`);
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
      summary: "[LOCAL:]REMOTE; without LOCAL the same, :REMOTE any",
    },
  ],
  flags: [
    namespaceFlag,
    { name: "address", kind: "text", placeholder: "IP", summary: "where to listen (default 127.0.0.1)" },
  ],
  examples: [
    { does: "Port 80 of the pod as 8080 here", line: "agent port-forward web 8080:80" },
    { does: "Any free port", line: "agent port-forward web :80" },
  ],
  run,
};
