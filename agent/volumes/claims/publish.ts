/**
 * PersistentVolumes that need no driver: directories, devices and exports that are there, given to a pod. Not for:
 * volumes of CSI drivers.
 *
 * Source: kubernetes pkg/volume/{local,hostpath,nfs}.
 */
import { AgentError } from "../../model/errors.ts";
import type { PersistentVolume, Pod } from "../../model/gen/v1.ts";
import type { Host, MountPoint, PublishedVolume } from "../../ports.ts";
import { publishHostPath } from "../host_path.ts";
import { publishNfs } from "../nfs.ts";
import { giveToGroup } from "../ownership.ts";

export interface PersistentRequest {
  /** Of the volume in the pod. */
  name: string;
  pod: Pod;
  volume: PersistentVolume;
  readonly: boolean;
  /** Where an export is mounted for the pod, and what lies there. */
  mountPath: string;
  mounted: MountPoint | undefined;
}

export async function publishPersistent(
  host: Host,
  r: PersistentRequest,
  signal: AbortSignal,
): Promise<PublishedVolume> {
  const { name, readonly } = r;
  const { local, hostPath, nfs, volumeMode } = r.volume.spec ?? {};
  const volumeName = r.volume.metadata?.name;
  if (local !== undefined) {
    const kind = (await host.stat(local.path))?.kind;
    const expected = volumeMode === "Block" ? "block" : "directory";
    if (kind !== expected) {
      const found = kind === undefined ? "does not exist" : `is a ${kind}`;
      const message = `PersistentVolume "${volumeName}": ${local.path} ${found}, expected a ${
        expected === "block" ? "block device" : "directory"
      }`;
      throw new AgentError("FailedMount", message);
    }
    if (expected === "block") return { name, hostPath: "", readonly, device: local.path };
    const { fsGroup, fsGroupChangePolicy: changePolicy } = r.pod.spec?.securityContext ?? {};
    if (fsGroup !== undefined && !readonly) {
      await giveToGroup(host, { path: local.path, fsGroup, changePolicy, readonly }, signal);
    }
    return { name, hostPath: local.path, readonly, relabel: true };
  }
  if (hostPath !== undefined) {
    return { name, hostPath: await publishHostPath(host, hostPath, signal), readonly };
  }
  if (nfs !== undefined) {
    await publishNfs(host, nfs, r.mountPath, r.mounted, signal);
    return { name, hostPath: r.mountPath, readonly: readonly || nfs.readOnly === true };
  }
  const message = `PersistentVolume "${volumeName}": its kind cannot be mounted on this node`;
  throw new AgentError("FailedMount", message, { retry: false });
}
