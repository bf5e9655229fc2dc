/**
 * Takes away what emptyDirs of a pod hold, for a pod that has ended and may begin anew: its containers are gone. Not
 * for: the pod's directory, which goes with the pod (remove.ts).
 */
import { join } from "@std/path";
import type { Host } from "../ports.ts";
import type { PodPaths } from "./paths.ts";
import { unmountBelow } from "./remove.ts";

const kind = "kubernetes.io~empty-dir";

export async function clearEmptyDirs(host: Host, paths: PodPaths, signal: AbortSignal): Promise<void> {
  const volumes = join(paths.volumes, kind);
  await unmountBelow(host, [volumes, paths.subPaths], signal);
  // The marks of what is complete go first: after a crash in between nothing half empty passes for complete.
  for (const directory of [join(paths.plugins, kind), volumes]) {
    if (await host.lstat(directory) !== undefined) await host.removeTree(directory);
  }
}
