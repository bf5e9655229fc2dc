/**
 * ContainerEdits: what preparers (volumes, devices, networks) contribute to a container.
 * Not for: reading a Pod or touching the host.
 */
import type { VolumeMountStatus } from "./gen/v1.ts";

/** One mount into a container (CRI `Mount`), a bind mount unless it names an image. Paths are absolute. */
export interface MountEdit {
  /** "" with `image`. */
  hostPath: string;
  containerPath: string;
  readonly: boolean;
  /** CRI MountPropagation; default `None` (private). */
  propagation?: "None" | "HostToContainer" | "Bidirectional";
  recursiveReadOnly?: boolean;
  selinuxRelabel?: boolean;
  /** Mounted by the runtime itself; `subPath` is relative to the image's root, "" is all of it. */
  image?: { ref: string; subPath: string };
}

/** One device node (CRI `Device`). `permissions` is a subset of `rwm`. */
export interface DeviceEdit {
  hostPath: string;
  containerPath: string;
  permissions: string;
}

export interface ContainerEdits {
  /** Who contributed, for messages: `volume "config"`. */
  owner: string;
  env?: Record<string, string>;
  mounts?: MountEdit[];
  devices?: DeviceEdit[];
  annotations?: Record<string, string>;
  /** What becomes of the container's volumeMounts, for its status; kept with the container. */
  volumeMounts?: VolumeMountStatus[];
  /** Fully qualified CDI device names. */
  cdiDevices?: string[];
  /** Groups that the container's processes belong to besides the pod's. */
  groups?: number[];
  /** Ids of the devices that it was given, by resource; kept with the container. */
  granted?: Readonly<Record<string, readonly string[]>>;
}

/** Of several contributors, later ones give way: their mounts at a path and their variables that are there already. */
export function mergeEdits(first: ContainerEdits, ...more: readonly ContainerEdits[]): ContainerEdits {
  return more.reduce((a, b): ContainerEdits => {
    const mounted = new Set((a.mounts ?? []).map((m) => m.containerPath));
    const present = new Set((a.devices ?? []).map((d) => d.containerPath));
    return {
      owner: `${a.owner}, ${b.owner}`,
      env: { ...b.env, ...a.env },
      mounts: [...a.mounts ?? [], ...(b.mounts ?? []).filter((m) => !mounted.has(m.containerPath))],
      devices: [...a.devices ?? [], ...(b.devices ?? []).filter((d) => !present.has(d.containerPath))],
      annotations: { ...b.annotations, ...a.annotations },
      volumeMounts: [...a.volumeMounts ?? [], ...b.volumeMounts ?? []],
      cdiDevices: [...new Set([...a.cdiDevices ?? [], ...b.cdiDevices ?? []])],
      groups: [...new Set([...a.groups ?? [], ...b.groups ?? []])],
      granted: { ...b.granted, ...a.granted },
    };
  }, first);
}
