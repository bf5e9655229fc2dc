/**
 * Files of this machine below a directory that somebody else may fill: names as they are, and no symlink followed on the
 * way to them. Not for: archives (tree_pack.ts, tree_unpack.ts).
 */
import { closeSync, constants, fchmodSync, openSync, promises, writeSync } from "node:fs";
import { errorText } from "../model/errors.ts";
import { CommandError } from "./command.ts";

/** What the system says, without the call and its path. */
export const osText = (error: unknown): string =>
  errorText(error).replace(/ \(os error \d+\)[^]*$/, "").replace(/^[A-Z]+: ([^]*), \w+ '[^]*$/, "$1");

/** Throws CommandError, which names the path as the user knows it. */
export async function orSay<T>(shown: string, result: T | Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw error instanceof CommandError ? error : new CommandError(`${shown}: ${osText(error)}`);
  }
}

/** Names in a directory, sorted. Throws for a name that is not UTF-8, which could not be opened. */
export async function entriesOf(path: string): Promise<string[]> {
  const names = await promises.readdir(path);
  const illegible = names.find((name) => name.includes("\ufffd"));
  if (illegible !== undefined) throw new CommandError(`${path} holds a name that is not UTF-8: ${illegible}`);
  return names.sort();
}

/** An open directory: what is named below it stays below it, whatever happens to the names above. */
export interface Directory {
  /** The path of an entry. The entry itself may be a symlink, so only for calls that do not follow one. */
  at(name: string): string;
  chmod(mode: number): void;
  close(): void;
}

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY;

/** The directory that the user named: symlinks are the user's own here. */
export const openDirectory = (path: string): Directory => directoryOf(openSync(path, directoryFlags));

const directoryOf = (fd: number): Directory => ({
  at: (name) => `/proc/self/fd/${fd}/${name}`,
  chmod: (mode) => fchmodSync(fd, mode),
  close: () => closeSync(fd),
});

/** An entry that is a directory, made when it is missing. Throws CommandError when it is anything else. */
export async function enter(parent: Directory, name: string, shown: string): Promise<Directory> {
  try {
    await Deno.mkdir(parent.at(name), { mode: 0o755 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw new CommandError(`${shown}: ${osText(error)}`);
  }
  try {
    return directoryOf(openSync(parent.at(name), directoryFlags | constants.O_NOFOLLOW));
  } catch (error) {
    const isLink = (await Deno.lstat(parent.at(name))).isSymlink;
    throw new CommandError(`${shown}: ${isLink ? "a symbolic link, which is not followed" : osText(error)}`);
  }
}

/** Whole or not at all: what bears the name already, be it a symlink, is replaced when the content has come. */
export async function writeFile(
  directory: Directory,
  name: string,
  mode: number,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  await replace(directory, name, async (path) => {
    const fd = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
    try {
      for await (const bytes of content) {
        for (let sent = 0; sent < bytes.length;) sent += writeSync(fd, bytes, sent);
      }
      fchmodSync(fd, mode);
    } finally {
      closeSync(fd);
    }
  });
}

export const writeSymlink = (directory: Directory, name: string, target: string): Promise<void> =>
  replace(directory, name, (path) => Deno.symlink(target, path));

export const writeLink = (directory: Directory, name: string, existing: string): Promise<void> =>
  replace(directory, name, (path) => Deno.link(existing, path));

async function replace(
  directory: Directory,
  name: string,
  create: (path: string) => Promise<void>,
): Promise<void> {
  const temporary = directory.at(`.agent-cp-${crypto.randomUUID()}`);
  try {
    await create(temporary);
    await Deno.rename(temporary, directory.at(name));
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
