/**
 * Claims and volumes as users see them, with the status that Kubernetes' controllers would write. Pure.
 */
import { isoTime } from "./iso_time.ts";
import { allClasses, requestOf } from "./claim_match.ts";
import {
  type ClaimPlan,
  type ClaimRecord,
  type ClaimWorld,
  volumeOfClaim,
  type VolumeRecord,
} from "./claims.ts";
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimCondition } from "./gen/v1.ts";
import { capacityOf } from "./claim_match.ts";
import type { Objects } from "./wish.ts";

/** What failed last, by the name of the volume. */
export type VolumeTroubles = ReadonlyMap<string, string>;

/** `objects` with everything of claims and volumes that is on record. */
export function withClaims(
  objects: Objects,
  { records }: Pick<ClaimPlan, "records">,
  world: Pick<ClaimWorld, "objects">,
  troubles: VolumeTroubles,
): Objects {
  const claims = new Map(
    Object.entries(records.claims).map(([key, record]) => [
      key,
      shownClaim(record, volumeOfClaim(records, record.uid), troubles),
    ]),
  );
  const live = new Set(Object.values(records.claims).map(({ uid }) => uid));
  const volumes = new Map(
    [...world.objects.persistentVolumes].map(([name, volume]) => [name, shown(volume, "Available")]),
  );
  for (const [name, record] of Object.entries(records.volumes)) {
    const gone = !record.provisioned && !world.objects.persistentVolumes.has(name);
    volumes.set(name, shownVolume(record, live.has(record.claim.uid), gone, troubles.get(name)));
  }
  return {
    ...objects,
    persistentVolumeClaims: claims,
    persistentVolumes: volumes,
    storageClasses: allClasses(world.objects.storageClasses),
  };
}

function shownClaim(
  record: ClaimRecord,
  bound: VolumeRecord | undefined,
  troubles: VolumeTroubles,
): PersistentVolumeClaim {
  const { claim, uid, createdAt, deletedAt } = record;
  const metadata = {
    ...claim.metadata,
    uid,
    creationTimestamp: isoTime(createdAt),
    finalizers: ["kubernetes.io/pvc-protection"],
    ...(deletedAt !== undefined && { deletionTimestamp: isoTime(deletedAt) }),
  };
  if (bound === undefined) return { ...claim, metadata, status: { phase: "Pending" } };
  const { volume } = bound;
  const conditions = resizing(record, volume, troubles);
  return {
    ...claim,
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, "pv.kubernetes.io/bind-completed": "yes" },
    },
    spec: { ...claim.spec, volumeName: volume.metadata?.name ?? "" },
    status: {
      phase: "Bound",
      accessModes: volume.spec?.accessModes ?? [],
      capacity: { ...volume.spec?.capacity },
      ...(conditions.length > 0 && { conditions }),
    },
  };
}

function resizing(
  { claim }: ClaimRecord,
  volume: PersistentVolume,
  troubles: VolumeTroubles,
): PersistentVolumeClaimCondition[] {
  if (requestOf(claim) <= capacityOf(volume)) return [];
  const message = troubles.get(volume.metadata?.name ?? "");
  return [
    { type: "Resizing", status: "True" },
    ...(message === undefined ? [] : [{ type: "ControllerResizeError", status: "True", message }]),
  ];
}

const shown = (volume: PersistentVolume, phase: string, message?: string): PersistentVolume => ({
  ...volume,
  status: { phase, ...(message !== undefined && { message }) },
});

function shownVolume(
  { volume, claim, createdAt }: VolumeRecord,
  alive: boolean,
  gone: boolean,
  trouble: string | undefined,
): PersistentVolume {
  const { namespace, name, uid } = claim;
  const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid };
  const whole = {
    ...volume,
    metadata: {
      ...volume.metadata,
      creationTimestamp: isoTime(createdAt),
      finalizers: ["kubernetes.io/pv-protection"],
      ...(gone && { deletionTimestamp: isoTime(createdAt) }),
    },
    spec: { ...volume.spec, claimRef },
  };
  if (alive) return shown(whole, "Bound", trouble);
  return shown(whole, trouble === undefined ? "Released" : "Failed", trouble);
}
