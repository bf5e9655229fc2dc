/**
 * What is on record of CSI volumes: in each pod's directory that it uses one, and on the node that one is attached and
 * staged. The kubelet's vol_data.json stands beside ours, so that either can be lost. No secrets. Not for: drivers.
 */
import { join } from "@std/path";
import type { Host } from "../../ports.ts";
import type { SecretReference } from "../../model/gen/v1.ts";
import { isPart } from "../paths.ts";
import { sha256 } from "../../lib/sha256.ts";
import type { CsiPlaces, VolumeId } from "./places.ts";

/**
 * How far a pod's volume came. `staging`: nothing is at its target. `publishing`: something may be. `published`: it is
 * whole.
 */
export type Stage = "staging" | "publishing" | "published";

export interface PodRecord extends VolumeId {
  stage: Stage;
  /** Hash of what was asked for; "" when it is not known. */
  content: string;
}

export interface NodeRecord extends VolumeId {
  /**
   * `maybe`: the driver was asked, its answer is not on record. `awaited`, `elsewhere`: the control plane is to attach it, or
   * has done so.
   */
  attached: typeof attachedWords[number];
  publishContext: Record<string, string>;
  /** Of the Secret that detaching needs. */
  secret?: SecretReference;
  /** Bytes that the file system on it was made or grown to, as far as we know; 0: unknown. */
  size: number;
}

const attachedWords = ["no", "maybe", "yes", "awaited", "elsewhere"] as const;

export interface CsiRecords {
  /** Of one pod: everything it may have of CSI volumes; also what only the kubelet's files tell. */
  ofPod(uid: string): Promise<PodRecord[]>;
  read(uid: string, volume: Pick<VolumeId, "specName" | "block">): Promise<PodRecord | undefined>;
  write(uid: string, record: PodRecord): Promise<void>;
  forget(uid: string, record: PodRecord): Promise<void>;
  /** By uid; whatever their pods are. */
  all(): Promise<Map<string, PodRecord[]>>;
  node(volume: Pick<VolumeId, "driver" | "handle">): Promise<NodeRecord | undefined>;
  writeNode(record: NodeRecord): Promise<void>;
  forgetNode(volume: Pick<VolumeId, "driver" | "handle">): Promise<void>;
  /** Those that the control plane attaches. */
  controlled(): Promise<VolumeId[]>;
  /** Volumes of a driver that are on record on the node, by either file. */
  nodesOf(driver: string): Promise<VolumeId[]>;
}

/** In the kubelet's form. */
export type VolumeData = Record<string, string>;

export function createRecords(
  o: { host: Host; places(): Promise<CsiPlaces>; stateDir: string },
): CsiRecords {
  const { host } = o;
  const directory = join(o.stateDir, "csi");

  async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
    const text = await host.readText(path);
    if (text === undefined) return undefined;
    try {
      const value: unknown = JSON.parse(text);
      return typeof value === "object" && value !== null ? value as Record<string, unknown> : undefined;
    } catch {
      return undefined; // half a file is as good as none: the other one tells
    }
  }

  const nodePath = async ({ driver, handle }: Pick<VolumeId, "driver" | "handle">) =>
    join(directory, `${await sha256(`${driver}\0${handle}`)}.json`);

  async function read(
    uid: string,
    volume: Pick<VolumeId, "specName" | "block">,
  ): Promise<PodRecord | undefined> {
    const place = (await o.places()).inPod(uid, volume);
    return parsePodRecord(volume.specName, await readJson(place.marker)) ??
      fromVolumeData(volume.specName, await readJson(place.record));
  }

  async function ofPod(uid: string): Promise<PodRecord[]> {
    const places = await o.places();
    const names = new Set([
      ...await host.list(places.markers(uid)) ?? [],
      ...await host.list(places.mounted(uid)) ?? [],
    ]);
    const found = await Promise.all(
      [...names].filter(isPart).map((specName) => read(uid, { specName, block: false })),
    );
    return found.filter((r) => r !== undefined);
  }

  async function allNodes(): Promise<NodeRecord[]> {
    const names = (await host.list(directory) ?? []).filter((n) => n.endsWith(".json"));
    const records = await Promise.all(names.map((name) => readJson(join(directory, name))));
    return records.flatMap((record) => parseNodeRecord(record) ?? []);
  }

  async function nodesOf(driver: string): Promise<VolumeId[]> {
    const places = await o.places();
    const found: VolumeId[] = (await allNodes()).filter((record) => record.driver === driver);
    const lists = [
      { list: places.staged(driver), file: "vol_data.json", block: false },
      { list: places.devices, file: join("data", "vol_data.json"), block: true },
    ];
    for (const { list, file, block } of lists) {
      for (const name of await host.list(list) ?? []) {
        const known = fromVolumeData(name, await readJson(join(list, name, file)));
        if (known?.driver !== driver || found.some((f) => f.handle === known.handle)) continue;
        found.push({ driver, handle: known.handle, specName: block ? name : "", ephemeral: false, block });
      }
    }
    return found;
  }

  return {
    ofPod,
    read,
    nodesOf,
    controlled: async () => (await allNodes()).filter((record) => isControlled(record)),
    async write(uid, record) {
      const { marker } = (await o.places()).inPod(uid, record);
      await host.mkdir(join(marker, ".."), 0o750);
      await host.writeFileAtomic(marker, JSON.stringify(record), 0o600);
    },
    async forget(uid, record) {
      const { marker } = (await o.places()).inPod(uid, record);
      await host.remove(marker);
      if (await host.lstat(join(marker, "..")) !== undefined) await host.remove(join(marker, ".."));
    },
    async all() {
      const uids = (await host.list((await o.places()).pods) ?? []).filter(isPart);
      return new Map(await Promise.all(uids.map(async (uid) => [uid, await ofPod(uid)] as const)));
    },
    node: async (volume) => parseNodeRecord(await readJson(await nodePath(volume))),
    async writeNode(record) {
      await host.mkdir(directory, 0o700);
      await host.writeFileAtomic(await nodePath(record), JSON.stringify(record), 0o600);
    },
    forgetNode: async (volume) => await host.remove(await nodePath(volume)),
  };
}

export const isControlled = ({ attached }: NodeRecord): boolean =>
  attached === "awaited" || attached === "elsewhere";

const text = (value: unknown): string => typeof value === "string" ? value : "";

function parsePodRecord(specName: string, value: Record<string, unknown> | undefined): PodRecord | undefined {
  const { driver, handle, ephemeral, block, stage, content } = value ?? {};
  if (text(driver) === "" || text(handle) === "") return undefined;
  return {
    driver: text(driver),
    handle: text(handle),
    specName,
    ephemeral: ephemeral === true,
    block: block === true,
    stage: stage === "staging" || stage === "published" ? stage : "publishing",
    content: text(content),
  };
}

/** Of a volume that only the kubelet's file tells of: something may be at its target. */
function fromVolumeData(specName: string, value: Record<string, unknown> | undefined): PodRecord | undefined {
  const { driverName, volumeHandle, volumeLifecycleMode } = value ?? {};
  if (text(driverName) === "" || text(volumeHandle) === "") return undefined;
  return {
    driver: text(driverName),
    handle: text(volumeHandle),
    specName,
    ephemeral: volumeLifecycleMode === "Ephemeral",
    block: false,
    stage: "publishing",
    content: "",
  };
}

function parseNodeRecord(value: Record<string, unknown> | undefined): NodeRecord | undefined {
  const { attached, publishContext, secret, size } = value ?? {};
  const volume = parsePodRecord(text(value?.["specName"]), value);
  if (volume === undefined) return undefined;
  const { driver, handle, specName, ephemeral, block } = volume;
  const context = typeof publishContext === "object" && publishContext !== null ? publishContext : {};
  return {
    driver,
    handle,
    specName,
    ephemeral,
    block,
    attached: attachedWords.find((word) => word === attached) ?? "maybe",
    publishContext: Object.fromEntries(Object.entries(context).map(([key, v]) => [key, text(v)])),
    ...(typeof secret === "object" && secret !== null && { secret: secret as SecretReference }),
    size: typeof size === "number" ? size : 0,
  };
}
