/**
 * Unmounting that does not hang: what is in use disappears from the tree now and from memory when its last user goes;
 * file systems of servers are unmounted by a program that may be left behind. Not for: deciding what is to go.
 */
import type { Host, MountPoint } from "../ports.ts";
import { runInTime } from "./mount_program.ts";

const serverTypes = /^(nfs|nfs4)$/;
/** What a server that does not answer may cost. */
const limitMs = 10_000;

export async function unmount(
  host: Host,
  { path, fsType }: Pick<MountPoint, "path" | "fsType">,
  signal: AbortSignal,
): Promise<void> {
  if (serverTypes.test(fsType)) return await unmountServer(host, path, signal);
  try {
    await host.unmount(path);
  } catch {
    await host.unmount(path, { lazy: true });
  }
}

/** First as it should be, with all that was written; then by force, as soon as nobody needs it. */
async function unmountServer(host: Host, path: string, signal: AbortSignal): Promise<void> {
  const umount = (...options: string[]) =>
    runInTime(host, ["umount", "-n", ...options, "--", path], { limitMs }, signal).then(
      ({ code }) => code === 0,
      () => false,
    );
  if (await umount() || await umount("-f", "-l")) return;
  await host.unmount(path, { lazy: true });
}
