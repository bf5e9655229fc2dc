/** Claims, volumes and worlds for the tests of claims. */
import { type ClaimRecords, type ClaimWorld, noRecords, planClaims } from "../../../../agent/model/claims.ts";
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
} from "../../../../agent/model/gen/v1.ts";

export const claimOf = (
  name: string,
  spec: Partial<NonNullable<PersistentVolumeClaim["spec"]>> = {},
  size = "1Gi",
): PersistentVolumeClaim => ({
  metadata: { name, namespace: "default" },
  spec: {
    accessModes: ["ReadWriteOnce"],
    volumeMode: "Filesystem",
    resources: { requests: { storage: size } },
    ...spec,
  },
});

export const volumeOf = (
  name: string,
  size: string,
  spec: Partial<NonNullable<PersistentVolume["spec"]>> = {},
  labels: Record<string, string> = {},
): PersistentVolume => ({
  metadata: { name, labels },
  spec: {
    ...(spec.csi === undefined && { hostPath: { path: `/srv/${name}` } }),
    accessModes: ["ReadWriteOnce"],
    volumeMode: "Filesystem",
    capacity: { storage: size },
    persistentVolumeReclaimPolicy: "Retain",
    ...spec,
  },
});

export const classOf = (name: string, more: Partial<StorageClass> = {}): StorageClass => ({
  metadata: { name },
  provisioner: "csi.example.com",
  reclaimPolicy: "Delete",
  volumeBindingMode: "Immediate",
  ...more,
});

const byName = <T extends { metadata?: { name?: string } }>(list: readonly T[], prefix = "") =>
  new Map(list.map((o) => [prefix + o.metadata!.name!, o]));

export interface Scene {
  claims?: readonly PersistentVolumeClaim[];
  volumes?: readonly PersistentVolume[];
  classes?: readonly StorageClass[];
}

export const worldOf = (
  { claims = [], volumes = [], classes = [] }: Scene,
  more: Partial<ClaimWorld> = {},
): ClaimWorld => ({
  objects: {
    persistentVolumeClaims: byName(claims, "default/"),
    persistentVolumes: byName(volumes),
    storageClasses: byName(classes),
  },
  pods: [],
  complete: true,
  used: new Set(),
  consumed: new Set(),
  node: { name: "n", labels: { "kubernetes.io/hostname": "n", zone: "a" } },
  provisioners: new Map([["csi.example.com", { creates: true, expands: true, topology: {} }]]),
  now: 1000,
  ...more,
});

/** What a claim of the scene came to: the name of its volume, `provision CLASS`, or the reason and message of its wait. */
export function fateOf(
  name: string,
  scene: Scene,
  more: Partial<ClaimWorld> = {},
  records: ClaimRecords = noRecords,
) {
  const plan = planClaims(records, worldOf(scene, more));
  const verdict = plan.verdicts.get(`default/${name}`);
  if (verdict?.state === "bound") return verdict.volume.metadata!.name!;
  if (verdict?.state === "waiting") return `${verdict.reason}: ${verdict.message}`;
  const work = plan.work.find((w) => w.kind === "provision" && w.key === `default/${name}`);
  return work?.kind === "provision" ? `provision ${work.storageClass.metadata!.name}` : "nothing";
}
