/**
 * A session with a container: the agent names the URL, the runtime's streaming server is at its other end. Not for:
 * terminals (exec.ts).
 */
import type { ApiClient } from "./client.ts";
import type { RemoteEnds } from "./remote_command.ts";
import type { SpdySession } from "../lib/spdy/session.ts";

export interface SessionTarget {
  namespace: string;
  pod: string;
  container: string;
}

/** The path of the API, with the kubelet's names. */
export function sessionPath(
  kind: "exec" | "attach",
  target: SessionTarget,
  kinds: { stdin: boolean; tty: boolean },
  command: readonly string[] = [],
): string {
  const query = new URLSearchParams(command.map((word) => ["command", word]));
  if (kinds.stdin) query.set("input", "1");
  query.set("output", "1");
  query.set(kinds.tty ? "tty" : "error", "1");
  const words = [kind, target.namespace, target.pod, target.container].map(encodeURIComponent);
  return `/${words.join("/")}?${query}`;
}

/** Resolves to the exit status. Calls back with the session when it is open; whoever closes it ends the command. */
export async function converse(
  client: ApiClient,
  path: string,
  ends: RemoteEnds,
  signal: AbortSignal,
  opened: (session: SpdySession) => void = () => {},
): Promise<number> {
  // Loaded here, since the agent itself never needs them.
  const [{ openSession }, remote] = await Promise.all([
    import("./session.ts"),
    import("./remote_command.ts"),
  ]);
  const url = await client.redirect(path, signal);
  const session = await openSession(url, remote.remoteCommandProtocol, signal);
  try {
    opened(session);
    return await remote.runRemoteCommand(session, ends);
  } finally {
    session.close();
  }
}
