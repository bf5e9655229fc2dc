/**
 * What one attempt of a container gets from its pod's directory: its volume mounts, /etc/hosts and the file for its
 * termination message. Not for: publishing volumes.
 *
 * Source: kubernetes pkg/kubelet/kubelet_pods.go (makeMounts), kuberuntime_container.go (makeMounts).
 */
import { join } from "@std/path";
import type { Container, VolumeMount, VolumeMountStatus } from "../model/gen/v1.ts";
import type { ContainerEdits, DeviceEdit, MountEdit } from "../model/edits.ts";
import { expandSubPath } from "../model/env.ts";
import { AgentError, errorText } from "../model/errors.ts";
import { recursiveReadOnly, volumeMountStatus } from "../model/volume_mounts.ts";
import { podHosts } from "../model/hosts.ts";
import type { DesiredPod } from "../model/wish.ts";
import type { EditsRequest, Host, ImageVolumes, Storage } from "../ports.ts";
import { imageVolumeId, mountImage } from "./image_volume.ts";
import { inTime } from "./mount_program.ts";
import { part, type PodPaths, within } from "./paths.ts";
import { bindSubPath } from "./sub_path.ts";
import { createTerminationLog } from "./termination.ts";

const etcHosts = "/etc/hosts";

export interface EditsOptions {
  host: Host;
  clusterDomain: string;
  images: ImageVolumes;
  pathsOf(uid: string): Promise<PodPaths>;
}

export function createContainerEdits(o: EditsOptions): Storage["containerEdits"] {
  const { host, clusterDomain } = o;
  return async (request, signal): Promise<ContainerEdits> => {
    const { pod, container, attempt, podIPs } = request;
    const paths = await o.pathsOf(pod.uid);
    const mounts: MountEdit[] = [];
    const told: VolumeMountStatus[] = [];
    for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
      const edit = await volumeMount(request, paths, mount, index, signal);
      mounts.push(edit);
      told.push(volumeMountStatus(mount, edit.recursiveReadOnly === true, request.images.get(mount.name)));
    }
    const taken = new Set(mounts.map((m) => m.containerPath));
    const hosts = taken.has(etcHosts) ? undefined : await hostsMount(pod, podIPs, paths);
    const last = container.terminationMessagePath || "/dev/termination-log";
    const log = taken.has(last)
      ? undefined
      : await createTerminationLog(host, paths, container.name, attempt);
    return {
      owner: "volumes",
      ...(told.length > 0 && { volumeMounts: told }),
      ...((container.volumeDevices ?? []).length > 0 &&
        { devices: blockDevices(container, request.published) }),
      mounts: [
        ...mounts,
        ...hosts === undefined ? [] : [generated(hosts, etcHosts)],
        ...log === undefined ? [] : [generated(log, last)],
      ],
    };
  };

  async function volumeMount(
    request: EditsRequest,
    paths: PodPaths,
    mount: VolumeMount,
    index: number,
    signal: AbortSignal,
  ): Promise<MountEdit> {
    const { pod, container, published, env } = request;
    const volume = published.get(mount.name);
    if (volume === undefined) {
      throw failed(`cannot find volume "${mount.name}" to mount into container "${container.name}"`);
    }
    const subPath = subPathOf(mount, env);
    const source = pod.pod.spec?.volumes?.find((v) => v.name === mount.name)?.image;
    if (source !== undefined) return await imageMount(request, paths, mount, subPath, index, signal);
    const hostPath = subPath === ""
      ? volume.hostPath
      : await bind(paths, container, mount, index, { path: volume.hostPath, subPath, create: true }, signal);
    const managed = volume.relabel === true || within(volume.hostPath, paths.pod);
    return mountEdit(request, mount, hostPath, volume.readonly, managed);
  }

  async function imageMount(
    request: EditsRequest,
    paths: PodPaths,
    mount: VolumeMount,
    subPath: string,
    index: number,
    signal: AbortSignal,
  ): Promise<MountEdit> {
    const { pod, container, images } = request;
    const image = images.get(mount.name);
    const wanted = pod.pod.spec?.volumes?.find((v) => v.name === mount.name)?.image?.reference;
    if (image === undefined || image.reference !== wanted) {
      throw failed(`the image of volume "${mount.name}" is not ready`);
    }
    if (await o.images.byRuntime(signal)) {
      return { ...mountEdit(request, mount, "", true, false), image: { ref: image.ref, subPath } };
    }
    // Before any is held: by it the next run of the agent knows that there are images to let go.
    await host.mkdir(paths.images, 0o750);
    const path = await mountImage(
      host,
      paths,
      await o.images.hold(image.ref, pod.uid, imageVolumeId(mount.name, image.ref), signal),
      signal,
    );
    const hostPath = subPath === ""
      ? path
      : await bind(paths, container, mount, index, { path, subPath, create: false }, signal);
    // The mount brings its options with it; told to make it read-only, OCI runtimes would take `noexec` from it.
    return { ...mountEdit(request, mount, hostPath, true, true), readonly: false, recursiveReadOnly: false };
  }

  async function bind(
    paths: PodPaths,
    container: Container,
    mount: VolumeMount,
    index: number,
    { path, subPath, create }: { path: string; subPath: string; create: boolean },
    signal: AbortSignal,
  ): Promise<string> {
    try {
      const bound = bindSubPath(host, {
        volumePath: path,
        subPath,
        create,
        target: paths.subPath(mount.name, container.name, index),
        staging: join(paths.subPaths, ".staging", part(container.name, "container name")),
      }, signal);
      // A server may hold the look at its files, which nothing ends.
      return await inTime(bound, "the volume does not answer", signal);
    } catch (error) {
      throw subPathFailure(mount, container, error);
    }
  }

  /** Writes /etc/hosts in place: running containers of the pod have this very file mounted. */
  async function hostsMount(
    pod: DesiredPod,
    podIPs: readonly string[],
    paths: PodPaths,
  ): Promise<string | undefined> {
    const nodeHosts = pod.pod.spec?.hostNetwork === true ? await host.readText(etcHosts) ?? "" : "";
    const text = podHosts(pod.pod, { podIPs, clusterDomain, nodeHosts });
    if (text === undefined) return undefined;
    if (await host.readText(paths.hosts) !== text) await host.writeFile(paths.hosts, text, 0o644);
    return paths.hosts;
  }
}

const failed = (message: string) => new AgentError("CreateContainerConfigError", message, { retry: false });

/** Source: kubernetes pkg/kubelet/kubelet_pods.go (makeBlockVolumes). */
function blockDevices(container: Container, published: EditsRequest["published"]): DeviceEdit[] {
  return (container.volumeDevices ?? []).map(({ name, devicePath }) => {
    const volume = published.get(name);
    if (volume?.device === undefined) {
      throw failed(`cannot find volume "${name}" to pass into container "${container.name}"`);
    }
    return {
      hostPath: volume.device,
      containerPath: devicePath,
      permissions: volume.readonly ? "r" : "rwm",
    };
  });
}

const subPathFailure = (mount: VolumeMount, container: Container, error: unknown) =>
  new AgentError(
    "CreateContainerConfigError",
    `failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}": ${
      errorText(error)
    }`,
    { cause: error },
  );

const generated = (hostPath: string, containerPath: string): MountEdit => ({
  hostPath,
  containerPath,
  readonly: false,
  selinuxRelabel: true,
});

function subPathOf(mount: VolumeMount, env: readonly { name: string; value: string }[]): string {
  if (!mount.subPathExpr) return mount.subPath ?? "";
  const expanded = expandSubPath(mount.subPathExpr, env);
  if ("error" in expanded) throw new AgentError("CreateContainerConfigError", expanded.error);
  return expanded.value;
}

function mountEdit(
  { recursiveReadOnly: supported }: EditsRequest,
  mount: VolumeMount,
  hostPath: string,
  readonlyVolume: boolean,
  managed: boolean,
): MountEdit {
  const recursive = recursiveReadOnly(mount, supported);
  if ("error" in recursive) throw failed(recursive.error);
  return {
    hostPath,
    containerPath: mount.mountPath.startsWith("/") ? mount.mountPath : `/${mount.mountPath}`,
    readonly: mount.readOnly === true || readonlyVolume,
    ...propagation(mount.mountPropagation),
    ...(recursive.value && { recursiveReadOnly: true }),
    ...(managed && !readonlyVolume && { selinuxRelabel: true }),
  };
}

function propagation(mode: string | undefined): Pick<MountEdit, "propagation"> {
  if (mode === undefined || mode === "" || mode === "None") return {};
  if (mode === "HostToContainer" || mode === "Bidirectional") return { propagation: mode };
  throw failed(`invalid MountPropagation mode: "${mode}"`);
}
