/**
 * The streams of a remote command (exec, attach): input, output, errors, the terminal's size and how it ended.
 * Source: k8s.io/apimachinery/pkg/util/remotecommand, protocol v4.channel.k8s.io. Not for: the connection (session.ts).
 */
import type { SpdySession } from "../lib/spdy/session.ts";
import { errorText } from "../model/errors.ts";
import { CommandError } from "./command.ts";

export const remoteCommandProtocol = "v4.channel.k8s.io";

export interface RemoteEnds {
  /** Absent: the command gets no input. */
  input?: AsyncIterable<Uint8Array>;
  out(bytes: Uint8Array): Promise<void>;
  /** Absent with a terminal, whose output is one. */
  err?(bytes: Uint8Array): Promise<void>;
  /** Present with a terminal: calls back with its size, now and at each change. */
  sizes?(tell: (size: { columns: number; rows: number }) => void): void;
}

/** Resolves to the command's exit status. Throws CommandError when it could not be run or the connection broke. */
export async function runRemoteCommand(session: SpdySession, ends: RemoteEnds): Promise<number> {
  let said = "";
  const decoder = new TextDecoder();
  const stream = (type: string, receive: (bytes: Uint8Array) => void | Promise<void>) =>
    session.open({ streamtype: type }, receive);
  const none = () => {};
  // The server waits for all of them, so one after the other is right; the verdict's comes first.
  const verdict = await stream("error", (bytes) => {
    said += decoder.decode(bytes, { stream: true });
  });
  const input = ends.input && await stream("stdin", none);
  const out = await stream("stdout", ends.out);
  const err = ends.err && await stream("stderr", ends.err);
  const resize = ends.sizes && await stream("resize", none);
  if (resize !== undefined) {
    ends.sizes!(({ columns, rows }) => {
      const line = JSON.stringify({ Width: columns, Height: rows }) + "\n";
      resize.write(new TextEncoder().encode(line)).catch(none); // it has ended
    });
  }
  if (input !== undefined) {
    (async () => {
      for await (const bytes of ends.input!) await input.write(bytes);
      await input.end();
    })().catch(none); // the command has ended without reading all
  }
  await Promise.all([verdict.ended, out.ended, err?.ended]);
  return exitStatus(said);
}

interface Verdict {
  status?: string;
  reason?: string;
  message?: string;
  details?: { causes?: { reason?: string; message?: string }[] };
}

/** The exit status in a v1 Status. Throws CommandError when there is none: the command was not run to its end. */
export function exitStatus(text: string): number {
  if (text === "") throw new CommandError("the connection broke before the command ended");
  let verdict: Verdict;
  try {
    verdict = JSON.parse(text) as Verdict;
  } catch (error) {
    throw new CommandError(
      `expected a v1 Status at the end of the command, found "${text}": ${errorText(error)}`,
    );
  }
  if (verdict.status === "Success") return 0;
  const cause = verdict.details?.causes?.find((c) => c.reason === "ExitCode")?.message;
  if (verdict.reason === "NonZeroExitCode" && cause !== undefined && /^\d+$/.test(cause)) {
    return Number(cause);
  }
  throw new CommandError(verdict.message ?? text);
}
