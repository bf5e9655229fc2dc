/**
 * Which sockets lie below the registration directory. As the kubelet's plugin watcher has it: links to sockets count,
 * links to directories are not followed, names that begin with a dot are passed over. Not for: who answers there.
 */
import { join } from "@std/path";
import type { Host } from "../../agent/ports.ts";

export interface FoundSocket {
  path: string;
  /** Another socket at the same path has another one. */
  identity: string;
  /** When it was bound, in milliseconds since the epoch. */
  bornMs: number;
}

/** More directories than this are not looked into. */
export const maxDirectories = 1000;

/** By path. A directory below that cannot be read is as if empty; throws when the first one cannot be. */
export async function findSockets(
  host: Pick<Host, "list" | "lstat" | "stat">,
  directory: string,
): Promise<Map<string, FoundSocket>> {
  const found = new Map<string, FoundSocket>();
  const queue = [directory];
  for (const at of queue) {
    const listed = at === directory ? await host.list(at) : await host.list(at).catch(() => undefined);
    for (const name of listed ?? []) {
      if (name.startsWith(".")) continue;
      const path = join(at, name);
      const entry = await host.lstat(path).catch(() => undefined);
      if (entry?.kind === "directory" && queue.length < maxDirectories) queue.push(path);
      const target = entry?.kind === "symlink" ? await host.stat(path).catch(() => undefined) : entry;
      if (target?.kind !== "socket") continue;
      // The inode alone may be given to the next socket at once.
      const identity = `${target.dev}:${target.ino}:${target.mtimeMs}`;
      found.set(path, { path, identity, bornMs: target.mtimeMs });
    }
  }
  return found;
}
