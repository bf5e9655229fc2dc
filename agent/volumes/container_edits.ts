/**
 * What one attempt of a container gets from its pod's directory: its volume mounts, /etc/hosts and the file for its
 * termination message. Not for: publishing volumes.
 *
 * Source: kubernetes pkg/kubelet/kubelet_pods.go (makeMounts), kuberuntime_container.go (makeMounts).
 */
import { join } from "@std/path";
import type { Container, VolumeMount } from "../model/gen/v1.ts";
import type { ContainerEdits, MountEdit } from "../model/edits.ts";
import { expandSubPath } from "../model/env.ts";
import { AgentError, errorText } from "../model/errors.ts";
import { podHosts } from "../model/hosts.ts";
import type { DesiredPod } from "../model/wish.ts";
import type { Host, PublishedVolume, Storage } from "../ports.ts";
import { part, type PodPaths, within } from "./paths.ts";
import { bindSubPath } from "./sub_path.ts";
import { createTerminationLog } from "./termination.ts";

const etcHosts = "/etc/hosts";

export function createContainerEdits(
  host: Host,
  clusterDomain: string,
  pathsOf: (uid: string) => Promise<PodPaths>,
): Storage["containerEdits"] {
  return async (pod, container, attempt, published, env, podIPs, signal): Promise<ContainerEdits> => {
    const paths = await pathsOf(pod.uid);
    if ((container.volumeDevices ?? []).length > 0) {
      throw failed("volumeDevices need a cluster: this node has not joined one");
    }
    const mounts: MountEdit[] = [];
    for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
      const volume = published.get(mount.name);
      if (volume === undefined) {
        throw failed(`cannot find volume "${mount.name}" to mount into container "${container.name}"`);
      }
      const subPath = subPathOf(mount, env);
      const hostPath = subPath === ""
        ? volume.hostPath
        : await bindSubPath(host, subPathPlaces(paths, container, mount, index, volume, subPath), signal)
          .catch((error) => Promise.reject(subPathFailure(mount, container, error)));
      mounts.push(mountEdit(mount, hostPath, volume.readonly, within(volume.hostPath, paths.pod)));
    }
    const taken = new Set(mounts.map((m) => m.containerPath));
    const hosts = taken.has(etcHosts) ? undefined : await hostsMount(pod, podIPs, paths);
    const last = container.terminationMessagePath || "/dev/termination-log";
    const log = taken.has(last)
      ? undefined
      : await createTerminationLog(host, paths, container.name, attempt);
    return {
      owner: "volumes",
      mounts: [
        ...mounts,
        ...hosts === undefined ? [] : [generated(hosts, etcHosts)],
        ...log === undefined ? [] : [generated(log, last)],
      ],
    };
  };

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

const subPathPlaces = (
  paths: PodPaths,
  container: Container,
  mount: VolumeMount,
  index: number,
  volume: PublishedVolume,
  subPath: string,
) => ({
  volumePath: volume.hostPath,
  subPath,
  target: join(
    paths.subPaths,
    part(mount.name, "volume name"),
    part(container.name, "container name"),
    `${index}`,
  ),
  staging: join(paths.subPaths, ".staging", part(container.name, "container name")),
});

function mountEdit(
  mount: VolumeMount,
  hostPath: string,
  readonlyVolume: boolean,
  managed: boolean,
): MountEdit {
  return {
    hostPath,
    containerPath: mount.mountPath.startsWith("/") ? mount.mountPath : `/${mount.mountPath}`,
    readonly: mount.readOnly === true || readonlyVolume,
    ...propagation(mount.mountPropagation),
    ...(mount.readOnly === true && mount.recursiveReadOnly === "Enabled" && { recursiveReadOnly: true }),
    ...(managed && !readonlyVolume && { selinuxRelabel: true }),
  };
}

function propagation(mode: string | undefined): Pick<MountEdit, "propagation"> {
  if (mode === undefined || mode === "" || mode === "None") return {};
  if (mode === "HostToContainer" || mode === "Bidirectional") return { propagation: mode };
  throw failed(`invalid MountPropagation mode: "${mode}"`);
}
