/**
 * Removes a pod's directory: first everything that is mounted below it, as the mount table says and not as anybody
 * remembers, then the files. Never across a mount point. Not for: hostPath, whose content is not the pod's.
 */
import { AgentError } from "../model/errors.ts";
import type { Host } from "../ports.ts";
import { type PodPaths, within } from "./paths.ts";
import { unmount } from "./unmount.ts";

/** Mounts can lie on each other and propagate; each round takes what it sees. */
const rounds = 5;

/** Who else has something of a pod's volumes. */
export interface Holders {
  /** Lets go of the images that were held for them. */
  images(): Promise<void>;
  /** Has drivers take back their volumes. */
  csi(): Promise<void>;
}

export async function removePod(
  host: Host,
  paths: PodPaths,
  holders: Holders,
  signal: AbortSignal,
): Promise<void> {
  await unmountBelow(host, [paths.pod], signal, paths.csi);
  await holders.csi();
  // What of drivers nobody knows any more.
  await unmountBelow(host, [paths.pod], signal);
  // First: without the directory nobody would know that any are held.
  if (await host.lstat(paths.images) !== undefined) await holders.images();
  await host.removeTree(paths.pod);
}

export async function unmountBelow(
  host: Host,
  directories: readonly string[],
  signal: AbortSignal,
  except?: string,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted();
    const below = (await host.mounts()).filter((m) =>
      directories.some((d) => within(m.path, d)) && !(except !== undefined && within(m.path, except))
    );
    if (below.length === 0) return;
    // Later ones lie on top of earlier ones.
    for (const mount of below.reverse()) await unmount(host, mount, signal);
  }
  const where = directories.join(" and ");
  throw new AgentError("FailedKillPod", `${where} is not removed: something keeps mounting below it`);
}
