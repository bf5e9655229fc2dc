/**
 * The volumes and generated files of pods below ROOT/pods/UID: the Storage port on a real host. What a volume holds is
 * decided in model/volumes.ts; each kind that needs more has a file of its own here. Not for: images, logs.
 */
import { dirname, join } from "@std/path";
import { boundVolume } from "../model/cluster_claim.ts";
import type { PersistentVolume, Pod, Volume, VolumeMountStatus } from "../model/gen/v1.ts";
import type { DesiredPod, Objects } from "../model/wish.ts";
import type { PodFacts } from "../model/downward.ts";
import { once } from "../lib/once.ts";
import { AgentError, errorText } from "../model/errors.ts";
import { parseGiven } from "../model/resize.ts";
import {
  nestedMountPoints,
  tokenKey,
  tokenProjections,
  type Tokens,
  volumePayload,
} from "../model/volumes.ts";
import type { Host, ImageVolumes, MountPoint, PublishedVolume, Storage, TokenSource } from "../ports.ts";
import { writeAtomically } from "./atomic_writer.ts";
import type { Claims } from "./claims/port.ts";
import { publishPersistent } from "./claims/publish.ts";
import { clearEmptyDirs } from "./clear.ts";
import { createContainerEdits } from "./container_edits.ts";
import { createDirectories, emptyDirMemory, tmpfsSize } from "./empty_dir.ts";
import { readEnvFiles } from "./env_files.ts";
import { publishHostPath } from "./host_path.ts";
import type { CsiUser, CsiVolumes } from "./csi/volumes.ts";
import { isPart, part, type PodPaths, podPaths, podsDirectory } from "./paths.ts";
import { imageVolumeId } from "./image_volume.ts";
import { publishNfs } from "./nfs.ts";
import { removePod } from "./remove.ts";
import { kindOf, removeStale, staleVolumes } from "./stale.ts";
import { readTerminationMessage } from "./termination.ts";
import { diskUsage } from "./usage.ts";

export interface PodVolumesOptions {
  host: Host;
  /** Absolute; created with mode 0750 when missing. */
  rootDir: string;
  clusterDomain: string;
  images: ImageVolumes;
  /** Absent: volumes of CSI drivers are refused. */
  csi?: CsiVolumes;
  claims: Claims;
  /** Absent: this node has not joined a cluster. */
  tokens?: TokenSource;
  node: Omit<PodFacts, "podIPs">;
}

/** Everything that publishing one pod's volumes needs. */
interface Publishing {
  desired: DesiredPod;
  objects: Objects;
  paths: PodPaths;
  /** Mount points by path; of several at one path the one on top. */
  mounted: ReadonlyMap<string, MountPoint>;
  signal: AbortSignal;
}

export function createPodVolumes(options: PodVolumesOptions): Storage {
  const { host, node } = options;
  const facts: PodFacts = { ...node, podIPs: [] };
  const allocatableMemory = node.allocatable["memory"] ?? 0;
  const publishDirectory = createDirectories(host);

  /** Mount tables know only paths without symlinks. */
  async function resolveRoot(): Promise<string> {
    if (await host.stat(podsDirectory(options.rootDir)) === undefined) {
      if (await host.stat(options.rootDir) === undefined) await host.mkdir(options.rootDir, 0o750);
      await host.mkdir(podsDirectory(options.rootDir), 0o750);
    }
    return await host.realPath(options.rootDir) ?? options.rootDir;
  }
  const root = once(resolveRoot);
  const pathsOf = async (uid: string) => podPaths(await root(), uid);

  async function publish(
    desired: DesiredPod,
    objects: Objects,
    signal: AbortSignal,
  ): Promise<Map<string, PublishedVolume>> {
    const paths = await pathsOf(desired.uid);
    for (const directory of [paths.pod, paths.volumes, paths.plugins]) await host.mkdir(directory, 0o750);
    const mounted = new Map((await host.mounts()).map((m) => [m.path, m]));
    const all = desired.pod.spec?.volumes ?? [];
    const settled = await Promise.allSettled(all.map(async (volume): Promise<PublishedVolume> => {
      signal.throwIfAborted();
      return await publishVolume(volume, { desired, objects, paths, mounted, signal });
    }));
    const failures = settled.flatMap((s, i) =>
      s.status === "rejected" ? [failure(all[i]?.name, s.reason)] : []
    );
    if (failures.length > 0) {
      throw new AgentError("FailedMount", failures.map((f) => f.message).join("; "), {
        retry: failures.some((f) => f.retry),
      });
    }
    return new Map(settled.flatMap((s) => s.status === "fulfilled" ? [[s.value.name, s.value]] : []));
  }

  async function sweep(
    desired: DesiredPod,
    mounted: readonly VolumeMountStatus[],
    signal: AbortSignal,
  ): Promise<void> {
    const { pod, uid } = desired;
    const paths = await pathsOf(uid);
    const images = new Set(
      mounted.flatMap(({ name, volumeStatus }) =>
        volumeStatus?.image === undefined ? [] : [imageVolumeId(name, volumeStatus.image.imageRef)]
      ),
    );
    await removeStale(host, await staleVolumes(host, paths, pod, images), signal);
    await options.csi?.release(uid, await options.csi.stale(uid, pod), signal);
    await options.claims.sweep(desired);
    if (await host.lstat(paths.images) !== undefined) await options.images.release(uid, images, signal);
  }

  async function publishVolume(volume: Volume, p: Publishing): Promise<PublishedVolume> {
    const { name } = volume;
    const { pod } = p.desired;
    if (volume.hostPath !== undefined) {
      return { name, hostPath: await publishHostPath(host, volume.hostPath, p.signal), readonly: false };
    }
    if (volume.emptyDir !== undefined) {
      const memory = emptyDirMemory(volume.emptyDir, pod, allocatableMemory);
      const path = p.paths.volume("empty-dir", name);
      await publishDirectory({
        path,
        ready: p.paths.ready(name),
        fsGroup: fsGroupOf(pod),
        groupMode: 0o770,
        ...(memory && { memory }),
      }, p.mounted);
      return { name, hostPath: path, readonly: false };
    }
    if (volume.nfs !== undefined) {
      const hostPath = p.paths.volume("nfs", name);
      await publishNfs(host, volume.nfs, hostPath, p.mounted.get(hostPath), p.signal);
      return { name, hostPath, readonly: volume.nfs.readOnly === true };
    }
    if (volume.csi !== undefined && options.csi !== undefined) {
      return await options.csi.publishInline(volume, csiUser(p), p.signal);
    }
    if (volume.image !== undefined) return { name, hostPath: "", readonly: true };
    if (volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined) {
      return await publishClaim(volume, p);
    }
    return { name, hostPath: await publishFiles(volume, p), readonly: true };
  }

  async function publishClaim(claim: Volume, p: Publishing): Promise<PublishedVolume> {
    const { pod } = p.desired;
    const { name } = claim;
    const volume = p.desired.source === "api"
      ? boundByCluster(claim, p)
      : await options.claims.volumeFor(p.desired, claim, p.signal);
    checkVolumeMode(name, pod, volume.spec?.volumeMode ?? "Filesystem");
    const readonly = claim.persistentVolumeClaim?.readOnly === true;
    if (volume.spec?.csi !== undefined && options.csi !== undefined) {
      return await options.csi.publishPersistent({ name, volume, readonly }, csiUser(p), p.signal);
    }
    const mountPath = p.paths.volume("nfs", name);
    return await publishPersistent(host, {
      name,
      pod,
      volume,
      readonly,
      mountPath,
      mounted: p.mounted.get(mountPath),
    }, p.signal);
  }

  async function publishFiles(volume: Volume, p: Publishing): Promise<string> {
    const { pod } = p.desired;
    const payload = volumePayload(volume, pod, p.objects, facts, await requestTokens(volume, p));
    if (payload === undefined) throw unsupported(volume);
    if ("error" in payload) throw new AgentError("FailedMount", payload.error);
    const path = p.paths.volume(kindOf(volume), volume.name);
    const fsGroup = fsGroupOf(pod);
    await publishDirectory({
      path,
      ready: undefined,
      fsGroup,
      groupMode: 0o550,
      // Only a ConfigMap alone may touch the disk.
      ...(volume.configMap === undefined &&
        {
          memory: { fsType: "tmpfs", size: tmpfsSize(pod, undefined, allocatableMemory), inert: true },
        }),
    }, p.mounted);
    for (const nested of nestedMountPoints(pod, volume.name)) await makeMountPoint(join(path, nested));
    await writeAtomically(host, path, payload.files, fsGroup);
    return path;
  }

  async function requestTokens(volume: Volume, { desired, signal }: Publishing): Promise<Tokens> {
    const tokens = new Map<string, string>();
    if (options.tokens === undefined) return tokens;
    for (const wanted of tokenProjections(volume)) {
      tokens.set(tokenKey(wanted), (await options.tokens.request(desired, wanted, signal)).token);
    }
    return tokens;
  }

  /** A place that the volume's own files take is left to them. */
  async function makeMountPoint(path: string): Promise<void> {
    if (await host.stat(path) === undefined) await host.mkdir(path, 0o755);
  }

  return {
    claim: async (uid) => await host.mkdir((await pathsOf(uid)).pod, 0o750),
    publish,
    isStale: async (desired) => {
      const { pod, uid } = desired;
      return options.claims.isStale(desired) ||
        (await staleVolumes(host, await pathsOf(uid), pod, undefined)).length > 0 ||
        (await options.csi?.stale(uid, pod) ?? []).length > 0;
    },
    sweep,
    containerEdits: createContainerEdits({ ...options, pathsOf }),
    envFiles: async (uid, container, published) =>
      await readEnvFiles(host, await pathsOf(uid), container, published),
    async remove(uid, signal) {
      const holders = {
        images: () => options.images.release(uid, new Set(), signal),
        csi: async () => await options.csi?.release(uid, undefined, signal),
      };
      await removePod(host, await pathsOf(uid), holders, signal);
      options.claims.gone(uid);
    },
    clear: async (uid, signal) => await clearEmptyDirs(host, await pathsOf(uid), signal),
    async known() {
      const pods = podsDirectory(options.rootDir);
      // A file system's own `lost+found` is no pod.
      const names = (await host.list(pods) ?? []).filter(isPart);
      const stats = await Promise.all(names.map((name) => host.lstat(join(pods, name))));
      return names.filter((_, i) => stats[i]?.kind === "directory");
    },
    async emptyDirUsage(volumes, unit, signal) {
      const places = new Map<string, { uid: string; name: string }>();
      for (const [uid, names] of volumes) {
        const paths = await pathsOf(uid);
        for (const name of names) places.set(paths.volume("empty-dir", name), { uid, name });
      }
      const usage = new Map([...volumes.keys()].map((uid) => [uid, new Map<string, number>()]));
      for (const [path, bytes] of await diskUsage(host, [...places.keys()], unit, signal)) {
        const { uid, name } = places.get(path)!;
        usage.get(uid)!.set(name, bytes);
      }
      return usage;
    },
    keepResources: async (uid, container, given) =>
      await host.writeFileAtomic((await pathsOf(uid)).resources(container), JSON.stringify(given), 0o600),
    keptResources: async (uid, container) =>
      parseGiven(await host.readText((await pathsOf(uid)).resources(container))),
    keepNote: async (uid, name, text) => {
      const path = join((await pathsOf(uid)).notes, part(name, "name of a note"));
      if (text === undefined) return await host.remove(path);
      await host.mkdir(dirname(path), 0o750);
      await host.writeFileAtomic(path, text, 0o600);
    },
    notes: async (uid) => {
      const { notes } = await pathsOf(uid);
      const names = (await host.list(notes) ?? []).filter(isPart);
      const texts = await Promise.all(names.map((name) => host.readText(join(notes, name))));
      return new Map(names.flatMap((name, i) => texts[i] === undefined ? [] : [[name, texts[i]]]));
    },
    terminationMessage: async (uid, container: string, attempt) =>
      await readTerminationMessage(host, (await pathsOf(uid)).terminationLog(container, attempt)),
  };
}

/** In the kubelet's words: pkg/kubelet/volumemanager/populator. */
function checkVolumeMode(name: string, pod: Pod, volumeMode: string): void {
  const containers = [...pod.spec?.initContainers ?? [], ...pod.spec?.containers ?? []];
  const field = volumeMode === "Block" ? "volumeMounts" : "volumeDevices";
  if (!containers.some((c) => c[field]?.some((use) => use.name === name))) return;
  const message = `volume ${name} has volumeMode ${volumeMode}, but is specified in ${field}`;
  throw new AgentError("FailedMount", message, { retry: false });
}

const csiUser = ({ desired: { pod, uid, source }, objects }: Publishing): CsiUser => ({
  pod,
  uid,
  objects,
  controlled: source === "api",
});

function boundByCluster(claim: Volume, { desired, objects }: Publishing): PersistentVolume {
  const found = boundVolume(desired, claim, objects);
  if ("error" in found) throw new AgentError("FailedMount", found.error);
  return found.volume;
}

const fsGroupOf = (pod: Pod): number | undefined => pod.spec?.securityContext?.fsGroup;

function failure(name: string | undefined, error: unknown): AgentError {
  const retry = error instanceof AgentError ? error.retry : true;
  return new AgentError(
    "FailedMount",
    `MountVolume.SetUp failed for volume "${name}" : ${errorText(error)}`,
    { retry },
  );
}

function unsupported(volume: Volume): AgentError {
  const kind = Object.keys(volume).find((key) => key !== "name") ?? "nothing";
  return new AgentError("FailedMount", `volumes of kind ${kind} are not supported`, { retry: false });
}
