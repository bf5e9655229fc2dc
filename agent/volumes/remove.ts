/**
 * Removes a pod's directory: first everything that is mounted below it, as the mount table says and not as anybody
 * remembers, then the files. Never across a mount point. Not for: hostPath, whose content is not the pod's.
 */
import { AgentError } from "../model/errors.ts";
import type { Host } from "../ports.ts";
import { type PodPaths, within } from "./paths.ts";

/** Mounts can lie on each other and propagate; each round takes what it sees. */
const rounds = 5;

export async function removePod(host: Host, paths: PodPaths, signal: AbortSignal): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted();
    const below = (await host.mounts()).map((m) => m.path).filter((path) => within(path, paths.pod));
    if (below.length === 0) return await host.removeTree(paths.pod);
    // Later ones lie on top of earlier ones.
    for (const path of below.reverse()) await unmount(host, path);
  }
  throw new AgentError("FailedKillPod", `${paths.pod} is not removed: something keeps mounting below it`);
}

/** What is still in use disappears from the tree now and from memory when its last user goes. */
async function unmount(host: Host, path: string): Promise<void> {
  try {
    await host.unmount(path);
  } catch {
    await host.unmount(path, { lazy: true });
  }
}
