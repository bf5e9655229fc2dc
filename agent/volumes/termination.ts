/**
 * The file that takes a container's termination message, one for each attempt. Not for: logs, or for falling back to
 * them.
 */
import { join } from "@std/path";
import type { Host } from "../ports.ts";
import type { PodPaths } from "./paths.ts";

/** MaxContainerTerminationMessageLength of the kubelet. */
const maxMessage = 4096;

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

/** The end of the message; `undefined` when there is none. Whatever is not a regular file is never opened. */
export async function readTerminationMessage(host: Host, path: string): Promise<string | undefined> {
  if ((await host.lstat(path))?.kind !== "file") return undefined;
  const file = await host.openFile(path);
  if (file === undefined) return undefined;
  try {
    const { kind, size } = await file.stat();
    if (kind !== "file" || size === 0) return undefined;
    const start = Math.max(0, size - maxMessage);
    const bytes = await file.read(start, maxMessage);
    return new TextDecoder().decode(start === 0 ? bytes : bytes.subarray(cutCharacter(bytes)));
  } finally {
    file.close();
  }
}

/** How many bytes at the beginning are the rest of a character that began before. */
const cutCharacter = (bytes: Uint8Array): number => {
  const first = bytes.findIndex((byte) => (byte & 0xc0) !== 0x80);
  return first > 0 && first < 4 ? first : 0;
};
