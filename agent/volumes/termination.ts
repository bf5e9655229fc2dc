/**
 * The file that takes a container's termination message, one for each attempt. Not for: logs, or for falling back to
 * them (reconcile/last_words.ts).
 */
import { join } from "@std/path";
import { readEnd } from "../lib/file_end.ts";
import { maxMessage, messageText } from "../model/termination.ts";
import type { Host } from "../ports.ts";
import type { PodPaths } from "./paths.ts";

/** An empty file that any user in the container may write. The attempt before it is kept: it is lastState. */
export async function createTerminationLog(
  host: Host,
  paths: PodPaths,
  container: string,
  attempt: number,
): Promise<string> {
  const directory = paths.containers(container);
  const path = paths.terminationLog(container, attempt);
  const kept = new Set([path, paths.terminationLog(container, Math.max(0, attempt - 1))]);
  for (const name of await host.list(directory) ?? []) {
    if (!kept.has(join(directory, name))) await host.remove(join(directory, name));
  }
  await host.mkdir(directory, 0o750);
  // What is there is of an attempt that never ran, or is not a file of ours.
  await host.remove(path);
  await host.writeFile(path, "", 0o666);
  return path;
}

/** The end of the message; `undefined` when there is none. */
export async function readTerminationMessage(host: Host, path: string): Promise<string | undefined> {
  const end = await readEnd(host, path, maxMessage);
  return end && messageText(end.bytes, end.whole);
}
