/**
 * Where the kubelet has what belongs to a CSI volume, below the agent's root. Pure but for the hash. Source: kubernetes
 * pkg/volume/csi (csi_attacher.go, csi_mounter.go, csi_block.go). Not for: creating anything.
 */
import { join } from "@std/path";
import { sha256 } from "../../lib/sha256.ts";
import type { CsiWish } from "../../model/csi.ts";
import { part, podsDirectory } from "../paths.ts";

export const csiPlugin = "kubernetes.io~csi";

/** The volume handle of an inline volume. */
export const inlineHandle = async (uid: string, name: string): Promise<string> =>
  `csi-${await sha256(uid + name)}`;

/** What a volume is told apart by, on this node. */
export type VolumeId = Pick<CsiWish, "driver" | "handle" | "specName" | "ephemeral" | "block">;

export interface PodPlace {
  /** What the driver publishes to. */
  target: string;
  /** The kubelet's record beside it. */
  record: string;
  /** Ours, with how far it came. */
  marker: string;
  /** Of a block device: leads to it. */
  link: string;
}

export interface NodePlace {
  staging: string;
  /** The kubelet's record. */
  record: string;
  /** Directories that go when nobody needs the volume any more, the deepest first. */
  directories: readonly string[];
}

export interface CsiPlaces {
  root: string;
  pods: string;
  /** Of the volumes that it has of one kind: mounted, block, and our markers. */
  mounted(uid: string): string;
  markers(uid: string): string;
  inPod(uid: string, volume: Pick<VolumeId, "specName" | "block">): PodPlace;
  onNode(volume: VolumeId): Promise<NodePlace>;
  /** Staged file systems of a driver, a directory each. */
  staged(driver: string): string;
  /** Block devices, a directory each that has `data`. */
  devices: string;
}

export function csiPlaces(root: string): CsiPlaces {
  const pods = podsDirectory(root);
  const plugin = join(root, "plugins", "kubernetes.io", "csi");
  const devices = join(plugin, "volumeDevices");
  const mounted = (uid: string) => join(pods, part(uid, "pod uid"), "volumes", csiPlugin);
  const markers = (uid: string) => join(pods, part(uid, "pod uid"), "plugins", csiPlugin);
  return {
    root,
    pods,
    devices,
    mounted,
    markers,
    staged: (driver) => join(plugin, part(driver, "driver name")),
    inPod(uid, { specName, block }) {
      const name = part(specName, "volume name");
      const directory = join(mounted(uid), name);
      return {
        target: block ? join(devices, "publish", name, uid) : join(directory, "mount"),
        record: join(directory, "vol_data.json"),
        marker: join(markers(uid), name, "volume.json"),
        link: join(pods, uid, "volumeDevices", csiPlugin, name),
      };
    },
    async onNode({ driver, handle, specName, block }) {
      if (block) {
        const name = part(specName, "volume name");
        const own = join(devices, name);
        const staging = join(devices, "staging", name);
        const [records, publish] = [join(own, "data"), join(devices, "publish", name)];
        return {
          staging,
          record: join(records, "vol_data.json"),
          directories: [staging, publish, records, join(own, "dev"), own],
        };
      }
      const own = join(plugin, part(driver, "driver name"), await sha256(handle));
      const staging = join(own, "globalmount");
      return { staging, record: join(own, "vol_data.json"), directories: [staging, own] };
    },
  };
}
