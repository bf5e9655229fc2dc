/**
 * A file or a tree of this machine as a tar archive, made while it is read. Links are archived as links. Not for: where
 * the archive goes.
 */
import { join } from "@std/path";
import { formatTarHeader, type TarHeader, tarPadding } from "../lib/tar/header.ts";
import { CommandError } from "./command.ts";
import { entriesOf, orSay } from "./local_files.ts";

export interface PackOptions {
  /** What the file or the directory is called in the archive. */
  name: string;
  /** Modes and numeric owners as they are; otherwise root's, with what a usual umask leaves of the mode. */
  preserve: boolean;
  /** Of what cannot be archived and is left out. */
  warn(text: string): Promise<void>;
}

/** Throws CommandError when a file cannot be read, or shrinks meanwhile: the archive ends there and is of no use. */
export async function* packTree(path: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  yield* packOne(await Deno.realPath(path), options.name, options);
  yield new Uint8Array(1024);
}

async function* packOne(path: string, name: string, options: PackOptions): AsyncGenerator<Uint8Array> {
  const stat = await orSay(path, Deno.lstat(path));
  const headerOf = (header: Pick<TarHeader, "kind"> & Partial<TarHeader>) => {
    const mode = (stat.mode ?? 0o644) & 0o7777;
    const { uid, gid } = options.preserve ? stat : { uid: 0, gid: 0 };
    return formatTarHeader(
      { path: name, size: 0, mode: options.preserve ? mode : mode & 0o755, target: "", ...header },
      { uid: uid ?? 0, gid: gid ?? 0, mtime: (stat.mtime?.getTime() ?? 0) / 1000 },
    );
  };
  if (stat.isSymlink) {
    yield headerOf({ kind: "symlink", target: await orSay(path, Deno.readLink(path)) });
  } else if (stat.isDirectory) {
    yield headerOf({ kind: "directory", path: `${name}/` });
    for (const entry of await orSay(path, entriesOf(path))) {
      yield* packOne(join(path, entry), `${name}/${entry}`, options);
    }
  } else if (stat.isFile) {
    yield headerOf({ kind: "file", size: stat.size });
    yield* contentOf(path, stat.size);
  } else {
    await options.warn(`${path} is left out: neither a file nor a directory nor a link`);
  }
}

/** Exactly `size` bytes and the padding after them: a file that grows meanwhile is taken as it was. */
async function* contentOf(path: string, size: number): AsyncGenerator<Uint8Array> {
  using file = await orSay(path, Deno.open(path));
  for (let left = size; left > 0;) {
    const buffer = new Uint8Array(Math.min(left, 64 * 1024));
    const count = await orSay(path, file.read(buffer));
    if (count === null) throw new CommandError(`${path} became shorter while it was copied`);
    left -= count;
    yield buffer.subarray(0, count);
  }
  if (size % 512 !== 0) yield new Uint8Array(tarPadding(size));
}
