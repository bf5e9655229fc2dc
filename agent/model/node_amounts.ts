/**
 * What a node has, and what of it pods may have. Pure. Not for: devices (devices.ts).
 *
 * Source: kubernetes pkg/kubelet/cm, node_container_manager_linux.go, and pkg/kubelet/nodestatus, MachineInfo.
 */
import { keptFree, type Threshold } from "./eviction_thresholds.ts";
import type { Amounts } from "./qos.ts";
import { formatQuantity } from "./quantity.ts";

export interface Whole {
  cpus: number;
  /** Bytes. */
  memory: number;
  /** Bytes of huge pages by the bytes of one. */
  hugePages: ReadonlyMap<number, number>;
  pods: number;
  /** Bytes of the file system that pods write to; absent: not known yet. */
  disk?: number;
}

/** Kept for the host. */
export interface KeptForHost {
  /** Cores. */
  cpu: number;
  /** Bytes. */
  memory: number;
  ephemeralStorage: number;
}

/** In base units. */
export interface NodeAmounts {
  capacity: Amounts;
  allocatable: Amounts;
}

export function nodeAmounts(
  { cpus, memory, hugePages, pods, disk }: Whole,
  kept: KeptForHost,
  thresholds: readonly Threshold[],
): NodeAmounts {
  const pages = Object.fromEntries(
    [...hugePages].map(([size, bytes]) => [`hugepages-${formatQuantity("memory", size)}`, bytes]),
  );
  const paged = Object.values(pages).reduce((sum, bytes) => sum + bytes, 0);
  const free = keptFree(thresholds, "memory.available", memory);
  const left = (whole: number, ...gone: number[]) => Math.max(0, gone.reduce((rest, n) => rest - n, whole));
  const storage = disk === undefined ? undefined : {
    capacity: { "ephemeral-storage": disk },
    allocatable: {
      "ephemeral-storage": left(disk, kept.ephemeralStorage, keptFree(thresholds, "nodefs.available", disk)),
    },
  };
  return {
    capacity: { cpu: cpus, memory, ...pages, pods, ...storage?.capacity },
    allocatable: {
      cpu: left(cpus, kept.cpu),
      memory: left(memory, kept.memory, free, paged),
      ...pages,
      pods,
      ...storage?.allocatable,
    },
  };
}
