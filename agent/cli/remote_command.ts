/**
 * The streams of a remote command (exec, attach): input, output, errors, the terminal's size and how it ended.
 * Source: k8s.io/apimachinery/pkg/util/remotecommand, protocol v4.channel.k8s.io. Not for: the connection (session.ts).
 */
import type { SpdySession, SpdyStream } from "../lib/spdy/session.ts";
import { pause } from "../lib/pause.ts";
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
  const feed = input && startFeed(ends.input!, input);
  await Promise.all([out.ended, err?.ended]);
  const over = new AbortController();
  const ended = verdict.ended.finally(() => over.abort());
  await Promise.race([ended, feed?.stalled(over.signal) ?? ended]);
  return exitStatus(said);
}

const stallMs = 2000;
/** What a pipe holds: less than that keeps nobody waiting. */
const pipeSize = 64 * 1024;

/** Sends the input, while the command takes it. */
function startFeed(chunks: AsyncIterable<Uint8Array>, input: SpdyStream) {
  let given = 0;
  (async () => {
    for await (const bytes of chunks) {
      given += bytes.length;
      await input.write(bytes);
    }
    await input.end();
  })().catch(() => {}); // the command has ended without reading all
  return {
    /**
     * For when the command has closed its outputs. Where it ended without reading its input, containerd goes on to wait
     * for somebody who reads, and never tells how it ended. Throws CommandError then; resolves with the signal.
     */
    async stalled(signal: AbortSignal): Promise<void> {
      for (let before = -1; !signal.aborted; before = given) {
        await pause(stallMs, signal);
        if (signal.aborted || given <= pipeSize || given !== before) continue;
        throw new CommandError(
          "the command ended before it had read all its input, and the runtime does not tell its exit code",
        );
      }
    },
  };
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
