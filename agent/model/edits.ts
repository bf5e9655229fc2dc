/**
 * ContainerEdits: what preparers (volumes, devices, networks) contribute to a container.
 * Not for: reading a Pod or touching the host.
 */

/** One bind mount into a container (CRI `Mount`). Paths are absolute. */
export interface MountEdit {
  hostPath: string;
  containerPath: string;
  readonly: boolean;
  /** CRI MountPropagation; default `None` (private). */
  propagation?: "None" | "HostToContainer" | "Bidirectional";
  recursiveReadOnly?: boolean;
  selinuxRelabel?: boolean;
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
  /** Fully qualified CDI device names. */
  cdiDevices?: string[];
}
