/**
 * What `agent cp` does: one tar in the container, the other side here. Loaded when it is needed. Not for: what is typed
 * (cp.ts), archives (tree_pack.ts, tree_unpack.ts).
 */
import { basename, dirname, join, normalize } from "@std/path";
import { readTar, type TarMember } from "../lib/tar/read.ts";
import { errorText } from "../model/errors.ts";
import type { ApiClient } from "./client.ts";
import { CommandError } from "./command.ts";
import type { Place } from "./cp.ts";
import { converse, sessionPath, type SessionTarget } from "./exec_session.ts";
import type { Io } from "./io.ts";
import { orSay } from "./local_files.ts";
import { printable } from "./render/text.ts";
import type { Transfer } from "./render/transfer.ts";
import { packTree } from "./tree_pack.ts";
import { unpackTree } from "./tree_unpack.ts";

export interface Copy {
  client: ApiClient;
  target: SessionTarget;
  preserve: boolean;
  io: Io;
  transfer: Transfer;
}

/** Runs a command to its end; what it complains of is shown. */
async function runIn(
  o: Copy,
  command: readonly string[],
  streams: { input?: AsyncIterable<Uint8Array>; out(bytes: Uint8Array): Promise<void> },
  signal = o.io.signal,
): Promise<number> {
  const path = sessionPath("exec", o.target, { stdin: streams.input !== undefined, tty: false }, command);
  try {
    return await converse(o.client, path, { ...streams, err: (bytes) => o.io.err(bytes) }, signal);
  } catch (error) {
    if (!/\btar\b[^]*(not found|no such file)/i.test(errorText(error))) throw error;
    const { container, pod } = o.target;
    throw new CommandError(
      `the image of container ${container} in pod ${pod} has no tar, which cp needs; ` +
        `one file can be had by: agent exec ${pod} -c ${container} -- cat PATH`,
    );
  }
}

function checkEnd(status: number, { target }: Copy): void {
  if (status === 0) return;
  throw new CommandError(`tar in container ${target.container} ended with exit code ${status}`);
}

/** Names in it may be a container's: they shall not move the reader's cursor. */
const warnOn = (io: Io) => (text: string): Promise<void> => io.err(`${printable(text)}\n`);

const nowhere = () => Promise.resolve();

/** As the container's own user sees it; `undefined` where the image has no program `test`. */
async function isDirectory(path: string, o: Copy): Promise<boolean | undefined> {
  const quiet = sessionPath("exec", o.target, { stdin: false, tty: false }, ["test", "-d", path]);
  const ends = { out: nowhere, err: nowhere };
  try {
    return await converse(o.client, quiet, ends, o.io.signal) === 0;
  } catch (error) {
    if (error instanceof CommandError && /not found|no such file/i.test(error.message)) return undefined;
    throw error;
  }
}

async function upload(from: string, to: string, o: Copy): Promise<void> {
  await orSay(from, Deno.stat(from));
  const into = await isDirectory(to, o) ?? to.endsWith("/");
  const path = withoutSlash(into ? join(to, withoutSlash(from) === "/" ? "." : basename(from)) : to);
  const { directory, name } = splitPath(path);
  if (!into && (to.endsWith("/") || await isDirectory(directory, o) === false)) {
    const missing = to.endsWith("/") ? to : directory;
    throw new CommandError(`${missing} is not a directory in container ${o.target.container}`);
  }
  const stop = new AbortController();
  let failure: unknown;
  const input = async function* () {
    try {
      yield* o.transfer.count(
        packTree(from, { name: name || ".", preserve: o.preserve, warn: warnOn(o.io) }),
      );
    } catch (error) {
      failure = error;
      stop.abort();
    }
  };
  const signal = AbortSignal.any([o.io.signal, stop.signal]);
  const command = ["tar", "-xmf", "-", "-C", directory];
  const status = await runIn(o, command, { input: input(), out: nowhere }, signal).catch((error) => {
    throw failure ?? error;
  });
  if (failure !== undefined) throw failure;
  checkEnd(status, o);
}

async function uploadArchive(to: string, o: Copy): Promise<void> {
  const plain = o.preserve ? [] : ["--no-same-permissions", "--no-same-owner"];
  const input = o.transfer.count(o.io.input.chunks());
  checkEnd(await runIn(o, ["tar", ...plain, "-xmf", "-", "-C", to], { input, out: nowhere }), o);
}

/** Trailing slashes and `a/../` away. */
const withoutSlash = (path: string): string => normalize(path).replace(/(.)\/+$/, "$1");

/** The directory that tar is to begin in, and the name below it; "" for all that is in it. */
function splitPath(path: string): { directory: string; name: string } {
  const isNameless = path === "/" || /^\.{1,2}$/.test(basename(path));
  return isNameless ? { directory: path, name: "" } : { directory: dirname(path), name: basename(path) };
}

const tarOf = ({ directory, name }: ReturnType<typeof splitPath>): string[] => [
  ...["tar", "cf", "-", "-C", directory],
  name === "" ? "." : `./${name}`,
];

const longestChain = 40;

/** A symlink alone is followed, within the container: what is wanted is what it leads to. */
async function download(from: string, to: string, o: Copy): Promise<void> {
  let path = withoutSlash(from);
  for (let links = 0; links <= longestChain; links++) {
    const parts = splitPath(path);
    const options = { root: parts.name, destination: to, preserve: o.preserve, warn: warnOn(o.io) };
    const target = await takeTar(tarOf(parts), (members) => unpackTree(members, options), o);
    if (target === undefined) return;
    path = withoutSlash(target.startsWith("/") ? target : join(dirname(path), target));
  }
  throw new CommandError(`${from}: too many symbolic links`);
}

/** Both sides at once: the command writes no faster than `take` reads. */
async function takeTar<T>(
  command: readonly string[],
  take: (members: AsyncGenerator<TarMember>) => Promise<T>,
  o: Copy,
): Promise<T> {
  const pipe = new TransformStream<Uint8Array, Uint8Array>();
  const writer = pipe.writable.getWriter();
  const members = readTar(o.transfer.count(pipe.readable));
  const taken = (async () => {
    const result = await take(members);
    for await (const _ of members);
    return result;
  })();
  // Whoever fails ends the other; of a command that fails that is the reason, not the archive that it leaves cut off.
  taken.catch((error) => writer.abort(error).catch(() => {}));
  try {
    const status = await runIn(o, command, { out: (bytes) => writer.write(bytes) });
    await writer.close().catch(() => {});
    await taken.catch(() => {});
    checkEnd(status, o);
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
  return await taken;
}

async function downloadArchive(from: string, o: Copy): Promise<void> {
  if (o.io.outIsTerminal) {
    throw new CommandError("a tar archive is not for a terminal: send it to a file or a pipe");
  }
  const out = (bytes: Uint8Array) => {
    o.transfer.add(bytes.length);
    return o.io.out(bytes);
  };
  checkEnd(await runIn(o, tarOf(splitPath(withoutSlash(from))), { out }), o);
}

/** Throws CommandError. */
export async function copy(from: Place, to: Place, o: Copy): Promise<void> {
  if (to.kind === "remote") {
    if (from.kind === "local") return await upload(from.path, to.path, o);
    return await uploadArchive(to.path, o);
  }
  const path = from.kind === "remote" ? from.path : "";
  return to.kind === "local" ? await download(path, to.path, o) : await downloadArchive(path, o);
}
