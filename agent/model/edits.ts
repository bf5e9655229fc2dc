/**
 * ContainerEdits: what preparers (volumes, devices, networks) contribute to a container, and how contributions join.
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

/** Joins contributions in order; a clash names both owners. */
export function mergeEdits(list: readonly ContainerEdits[]): { edits: ContainerEdits; clashes: string[] } {
  const edits: Required<ContainerEdits> = {
    owner: "merged",
    env: {},
    mounts: [],
    devices: [],
    annotations: {},
    cdiDevices: [],
  };
  const clashes: string[] = [];
  const owners = new Map<string, string>();
  const claim = (what: string, owner: string): boolean => {
    const other = owners.get(what);
    if (other !== undefined) clashes.push(`${what} is set by both ${other} and ${owner}`);
    else owners.set(what, owner);
    return other === undefined;
  };
  for (const e of list) {
    for (const [k, v] of Object.entries(e.env ?? {})) if (claim(`env ${k}`, e.owner)) edits.env[k] = v;
    for (const m of e.mounts ?? []) if (claim(`mount ${m.containerPath}`, e.owner)) edits.mounts.push(m);
    for (const d of e.devices ?? []) if (claim(`device ${d.containerPath}`, e.owner)) edits.devices.push(d);
    for (const [k, v] of Object.entries(e.annotations ?? {})) {
      if (claim(`annotation ${k}`, e.owner)) edits.annotations[k] = v;
    }
    for (const c of e.cdiDevices ?? []) if (claim(`CDI device ${c}`, e.owner)) edits.cdiDevices.push(c);
  }
  return { edits, clashes };
}
