/**
 * PersistentVolumeClaims without a control plane: from what is on record and what is wanted to what is on record then,
 * what is to be done, and what each claim waits for. Pure; whoever calls it saves the records before anything is done.
 * Not for: doing it (volumes/claims), what users see of it (claim_status.ts).
 *
 * Source: kubernetes pkg/controller/volume/{persistentvolume,pvcprotection,pvprotection,ephemeral,expand}.
 */
import { allClasses } from "./claim_match.ts";
import { adoptClaims, type WantedClaim, wantedClaims } from "./claim_wish.ts";
import { bindClaim } from "./claim_bind.ts";
import { expansionOf } from "./claim_expand.ts";
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "./gen/v1.ts";
import type { NodeIdentity } from "./node_affinity.ts";
import type { DesiredPod, Objects } from "./wish.ts";

export interface ClaimId {
  namespace: string;
  name: string;
  uid: string;
}

export interface ClaimRecord {
  uid: string;
  /** As its manifest, or its pod's template, said last; with its class, and its owner. */
  claim: PersistentVolumeClaim;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** Since when nobody asks for it: it goes once no pod uses it. */
  deletedAt?: number;
  /** A provisioner has been asked to make its volume, by this class: there may be one, whoever still wants it. */
  provisioning?: StorageClass;
}

/** A volume that is, or was, bound. Its claim is gone when no claim of this uid is on record. */
export interface VolumeRecord {
  volume: PersistentVolume;
  /** By the agent, of a class; all others stand in manifests. */
  provisioned: boolean;
  claim: ClaimId;
  createdAt: number;
}

export interface ClaimRecords {
  /** By `namespace/name`. */
  claims: Readonly<Record<string, ClaimRecord>>;
  /** By name. */
  volumes: Readonly<Record<string, VolumeRecord>>;
}

export const noRecords: ClaimRecords = { claims: {}, volumes: {} };

/** What of a provisioner matters here. */
export interface Provisioner {
  creates: boolean;
  expands: boolean;
  /** Of this node, in the provisioner's own words. */
  topology: Readonly<Record<string, string>>;
}

export interface ClaimWorld {
  objects: Pick<Objects, "persistentVolumeClaims" | "persistentVolumes" | "storageClasses">;
  pods: readonly DesiredPod[];
  /** False: what is missing may only not have been read yet. */
  complete: boolean;
  /** Uids of the claims that pods on this node have, or had and not yet let go of. */
  used: ReadonlySet<string>;
  /** Keys of the claims that pods wait for. */
  consumed: ReadonlySet<string>;
  node: NodeIdentity;
  /** CSI drivers that are registered, by name. */
  provisioners: ReadonlyMap<string, Provisioner>;
  now: number;
}

export type ClaimWork =
  | { kind: "provision"; key: string; record: ClaimRecord; storageClass: StorageClass }
  | { kind: "delete"; volume: PersistentVolume }
  | { kind: "expand"; key: string; volume: PersistentVolume; bytes: number };

/** Where a claim stands. */
export type Verdict =
  | { state: "bound"; volume: PersistentVolume }
  | { state: "provisioning" }
  | {
    state: "waiting";
    /** As the events of Kubernetes' controllers call it. */
    reason: "WaitForFirstConsumer" | "FailedBinding" | "ProvisioningFailed" | "ExternalProvisioning";
    message: string;
  };

/** Something about a claim that its author can mend. */
export interface ClaimProblem {
  key: string;
  field: string;
  message: string;
}

export interface ClaimPlan {
  records: ClaimRecords;
  work: readonly ClaimWork[];
  /** By key, of all claims on record. */
  verdicts: ReadonlyMap<string, Verdict>;
  problems: readonly ClaimProblem[];
}

export const volumeNameOf = ({ uid }: ClaimRecord): string => `pvc-${uid}`;

export const volumeOfClaim = ({ volumes }: ClaimRecords, uid: string): VolumeRecord | undefined =>
  Object.values(volumes).find(({ claim }) => claim.uid === uid);

export function planClaims(before: ClaimRecords, world: ClaimWorld): ClaimPlan {
  const classes = allClasses(world.objects.storageClasses);
  const wanted: WantedClaim[] = wantedClaims(world);
  const adopted = adoptClaims(before, wanted, classes, world);
  let records = adoptVolumes({ ...before, claims: releaseClaims(adopted.claims, world) }, world);
  const work: ClaimWork[] = [];
  const verdicts = new Map<string, Verdict>();
  const problems = [...adopted.problems];
  const oldestFirst = Object.entries(records.claims).sort(([a, x], [b, y]) =>
    x.createdAt - y.createdAt || (a < b ? -1 : 1)
  );
  for (const [key, record] of oldestFirst) {
    const bound = volumeOfClaim(records, record.uid) ?? bindClaim(records, key, record, classes, world);
    if ("claim" in bound) {
      records = { ...records, volumes: { ...records.volumes, [bound.volume.metadata!.name!]: bound } };
      verdicts.set(key, { state: "bound", volume: bound.volume });
      const expansion = expansionOf(key, record, bound, classes, world);
      if (expansion.work !== undefined) work.push(expansion.work);
      if (expansion.problem !== undefined) problems.push(expansion.problem);
    } else if (bound.state === "provision") {
      work.push({ kind: "provision", key, record, storageClass: bound.storageClass });
      verdicts.set(key, { state: "provisioning" });
    } else verdicts.set(key, bound);
  }
  return { records, work: [...work, ...reclaim(records, world)], verdicts, problems };
}

/** Claims that nobody asks for go once no pod has them, and no volume may still come. */
function releaseClaims(
  claims: ClaimRecords["claims"],
  { used }: ClaimWorld,
): ClaimRecords["claims"] {
  return Object.fromEntries(
    Object.entries(claims).filter(([, { uid, deletedAt, provisioning }]) =>
      deletedAt === undefined || provisioning !== undefined || used.has(uid)
    ),
  );
}

const liveUids = ({ claims }: ClaimRecords): Set<string> =>
  new Set(Object.values(claims).map(({ uid }) => uid));

/** The manifest's word for volumes that stand in one. One that has left the manifests stays while a claim has it. */
function adoptVolumes(records: ClaimRecords, { objects, complete }: ClaimWorld): ClaimRecords {
  const live = liveUids(records);
  const volumes = Object.entries(records.volumes).flatMap(([name, record]): [string, VolumeRecord][] => {
    const manifest = objects.persistentVolumes.get(name);
    if (record.provisioned) return [[name, record]];
    if (manifest !== undefined) return [[name, { ...record, volume: manifest }]];
    return complete && !live.has(record.claim.uid) ? [] : [[name, record]];
  });
  return { ...records, volumes: Object.fromEntries(volumes) };
}

/** Only what the agent made itself is ever deleted. */
function reclaim(records: ClaimRecords, { complete }: ClaimWorld): ClaimWork[] {
  if (!complete) return [];
  const live = liveUids(records);
  return Object.values(records.volumes).flatMap(({ volume, provisioned, claim }): ClaimWork[] =>
    provisioned && volume.spec?.persistentVolumeReclaimPolicy === "Delete" && !live.has(claim.uid)
      ? [{ kind: "delete", volume }]
      : []
  );
}

/** What has become of work. */
export type ClaimOutcome =
  | { kind: "asked"; key: string; storageClass: StorageClass }
  | { kind: "provisioned"; key: string; volume: PersistentVolume; now: number }
  /** It is certain that there is no volume. */
  | { kind: "refused"; key: string }
  | { kind: "deleted"; name: string }
  | { kind: "expanded"; name: string; volume: PersistentVolume };

export function learnClaims(records: ClaimRecords, o: ClaimOutcome): ClaimRecords {
  const { claims, volumes } = records;
  if (o.kind === "deleted") {
    const { [o.name]: _gone, ...rest } = volumes;
    return { ...records, volumes: rest };
  }
  if (o.kind === "expanded") {
    const known = volumes[o.name];
    if (known === undefined) return records;
    return { ...records, volumes: { ...volumes, [o.name]: { ...known, volume: o.volume } } };
  }
  const record = claims[o.key];
  if (record === undefined) return records;
  if (o.kind === "asked") {
    return { ...records, claims: { ...claims, [o.key]: { ...record, provisioning: o.storageClass } } };
  }
  const { provisioning: _ended, ...rest } = record;
  const ended = { ...records, claims: { ...claims, [o.key]: rest } };
  if (o.kind === "refused") return ended;
  const { namespace = "default", name = "" } = record.claim.metadata ?? {};
  const bound: VolumeRecord = {
    volume: o.volume,
    provisioned: true,
    claim: { namespace, name, uid: record.uid },
    createdAt: o.now,
  };
  return { ...ended, volumes: { ...volumes, [o.volume.metadata!.name!]: bound } };
}
