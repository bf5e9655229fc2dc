/** What publishing and releasing share. Not for: doing either. */
import type { Host, TokenSource } from "../../ports.ts";
import type { Attachments, CsiDrivers } from "../../plugin_ports.ts";
import type { Objects } from "../../model/wish.ts";
import type { Turns } from "../../lib/turns.ts";
import { once } from "../../lib/once.ts";
import { sha256 } from "../../lib/sha256.ts";
import { type CsiPlaces, csiPlaces, type VolumeId } from "./places.ts";
import { createRecords, type CsiRecords } from "./records.ts";

export interface CsiOptions {
  host: Host;
  drivers: CsiDrivers;
  nodeName: string;
  /** Where the agent keeps its own files. */
  stateDir: string;
  rootDir: string;
  /** Of volumes of pods of an API server; absent: their drivers are asked here. */
  attachments?: Attachments;
  /** The newest objects, for Secrets that detaching needs. */
  objects(): Objects;
  /** Those of the pods of a control plane, and who signs tokens for these; absent: there is none. */
  cluster?: { objects(): Objects; tokens: TokenSource };
}

export interface CsiParts extends CsiOptions {
  turns: Turns;
  places(): Promise<CsiPlaces>;
  records: CsiRecords;
  /** Keys of the volumes that this run of the agent has staged. */
  staged: Set<string>;
  keyOf(volume: Pick<VolumeId, "driver" | "handle">): string;
  hasSELinux(): Promise<boolean>;
  /** Writes the kubelet's vol_data.json; `whole`: of a pod's volume or a block device, which has more in it. */
  keepVolumeData(path: string, volume: VolumeId, whole: boolean): Promise<void>;
}

export function createParts(o: CsiOptions, turns: Turns): CsiParts {
  const { host, nodeName } = o;
  // Mount tables know only paths without symlinks.
  const places = once(async () => csiPlaces(await host.realPath(o.rootDir) ?? o.rootDir));
  return {
    ...o,
    turns,
    places,
    records: createRecords({ host, places, stateDir: o.stateDir }),
    staged: new Set(),
    keyOf: ({ driver, handle }) => `${driver} ${handle}`,
    hasSELinux: once(async () => await host.stat("/sys/fs/selinux/enforce") !== undefined),
    async keepVolumeData(path, { driver, handle, specName, ephemeral }, whole) {
      const text = JSON.stringify({
        ...(whole && {
          attachmentID: `csi-${await sha256(handle + driver + nodeName)}`,
        }),
        driverName: driver,
        ...(whole && { nodeName, specVolID: specName }),
        volumeHandle: handle,
        ...(whole && { volumeLifecycleMode: ephemeral ? "Ephemeral" : "Persistent" }),
      }) + "\n";
      if (await host.readText(path) === text) return;
      await host.mkdir(path.slice(0, path.lastIndexOf("/")), 0o750);
      await host.writeFileAtomic(path, text, 0o600);
    },
  };
}

/** The newest that the pod may use. */
export const objectsOf = (
  { objects, cluster }: Pick<CsiParts, "objects" | "cluster">,
  { controlled }: { controlled?: boolean },
): Objects => controlled === true && cluster !== undefined ? cluster.objects() : objects();

export const isMounted = async ({ host }: Pick<CsiParts, "host">, path: string): Promise<boolean> =>
  (await host.mounts()).some((m) => m.path === path);
