/**
 * What an edit has left of a running pod's volumes: directories and mounts of volumes, images and sub paths that the pod
 * no longer asks for. The directory tells, so that a kill at any time leaves nothing that is not found again. Not for:
 * deciding that nobody uses it any more (model/plan_start.ts).
 */
import { join } from "@std/path";
import type { Pod, Volume } from "../model/gen/v1.ts";
import type { Host } from "../ports.ts";
import { type PodPaths, within } from "./paths.ts";
import { unmount } from "./unmount.ts";

/** The part of a volume's path that says its kind. */
export const kindOf = (volume: Volume): string =>
  volume.configMap !== undefined
    ? "configmap"
    : volume.secret !== undefined
    ? "secret"
    : volume.downwardAPI !== undefined
    ? "downward-api"
    : volume.projected !== undefined
    ? "projected"
    // Of PersistentVolumes without a driver only those are mounted.
    : [volume.nfs, volume.persistentVolumeClaim, volume.ephemeral].some((source) => source !== undefined)
    ? "nfs"
    : "empty-dir";

/**
 * Paths below a pod's directory that its volumes no longer need. `images` are the `VOLUME/CONTENT` that its containers
 * have mounted; without them every image may be stale: which one a volume has now is seen only when it is mounted.
 */
export async function staleVolumes(
  host: Host,
  paths: PodPaths,
  pod: Pod,
  images: ReadonlySet<string> | undefined,
): Promise<string[]> {
  const volumes = pod.spec?.volumes ?? [];
  const wanted = new Set(
    volumes.filter((v) => v.image === undefined).map((v) => paths.volume(kindOf(v), v.name)),
  );
  const withImages = new Set(volumes.filter((v) => v.image !== undefined).map((v) => v.name));
  const targets = subPathTargets(pod, paths);
  const stale: string[] = [];
  for (const kind of await below(host, paths.volumes)) {
    if (kind === paths.images || kind === paths.csi) continue;
    stale.push(...(await below(host, kind)).filter((path) => !wanted.has(path)));
  }
  for (const volume of await below(host, paths.images)) {
    const contents = await below(host, volume);
    const isKept = (path: string) => images?.has(path.slice(paths.images.length + 1)) === true;
    if (!withImages.has(volume.slice(paths.images.length + 1))) stale.push(volume);
    else stale.push(...contents.filter((path) => !isKept(path)));
  }
  for (const volume of (await below(host, paths.subPaths)).filter((path) => !path.includes("/."))) {
    for (const container of await below(host, volume)) {
      stale.push(...(await below(host, container)).filter((path) => !targets.has(path)));
    }
  }
  return stale;
}

/** Unmounts and removes them; never across a mount point, and never what is mounted there. */
export async function removeStale(host: Host, stale: readonly string[], signal: AbortSignal): Promise<void> {
  const mounts = (await host.mounts()).reverse();
  for (const path of stale) {
    signal.throwIfAborted();
    for (const mount of mounts.filter((m) => within(m.path, path))) await unmount(host, mount, signal);
    await host.removeTree(path);
  }
}

function subPathTargets(pod: Pod, paths: PodPaths): Set<string> {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  return new Set(
    [...initContainers, ...containers].flatMap((c) =>
      (c.volumeMounts ?? []).flatMap((m, index) =>
        m.subPath || m.subPathExpr ? [paths.subPath(m.name, c.name, index)] : []
      )
    ),
  );
}

const below = async (host: Host, directory: string): Promise<string[]> =>
  (await host.list(directory) ?? []).map((name) => join(directory, name));
