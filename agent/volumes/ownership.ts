/**
 * Gives the files of a volume to a pod's fsGroup. Follows no symlink. Source: kubernetes pkg/volume/volume_linux.go
 * (SetVolumeOwnership). Not for: which volumes that is done to.
 */
import { join } from "@std/path";
import type { FileStat, Host } from "../ports.ts";

const setgid = 0o2000;
const enter = 0o110;

export interface Ownership {
  path: string;
  fsGroup: number;
  /** Of the pod's securityContext: with `OnRootMismatch` a volume whose root is right already is left alone. */
  changePolicy: string | undefined;
  readonly: boolean;
}

const modeOf = (stat: FileStat, readonly: boolean): number =>
  (readonly ? 0o440 : 0o660) | (stat.kind === "directory" ? setgid | enter : 0);

/** Crosses no mount below the volume. */
export async function giveToGroup(host: Host, o: Ownership, signal: AbortSignal): Promise<void> {
  const root = await host.lstat(o.path);
  if (root === undefined) return;
  const wanted = modeOf(root, o.readonly);
  if (o.changePolicy === "OnRootMismatch" && root.gid === o.fsGroup && (root.mode & wanted) === wanted) {
    return;
  }
  await giveTree(host, o, root.dev, o.path, signal);
}

/** The root comes last: until then the volume does not look as if it were done. */
async function giveTree(
  host: Host,
  o: Ownership,
  dev: number,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const stat = await host.lstat(path);
  if (stat === undefined || stat.dev !== dev) return;
  if (stat.kind === "directory") {
    for (const name of await host.list(path) ?? []) await giveTree(host, o, dev, join(path, name), signal);
  }
  // chown clears setgid, so it comes first.
  if (stat.gid !== o.fsGroup) await host.chown(path, -1, o.fsGroup);
  const mode = stat.mode | modeOf(stat, o.readonly);
  if (stat.kind !== "symlink" && (mode !== stat.mode || stat.gid !== o.fsGroup)) {
    await host.chmod(path, mode & 0o7777);
  }
}
