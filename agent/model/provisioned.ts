/**
 * The PersistentVolume that a provisioner makes for a claim, and what a CSI driver is asked for it. Pure. Not for:
 * asking.
 *
 * Source: kubernetes-csi external-provisioner pkg/controller/controller.go, kubernetes pkg/volume/csi (access modes).
 */
import type { ClaimRecord } from "./claims.ts";
import { volumeNameOf } from "./claims.ts";
import { requestOf } from "./claim_match.ts";
import { grownUnused } from "./csi.ts";
import type {
  PersistentVolume,
  PersistentVolumeSpec,
  SecretReference,
  StorageClass,
  VolumeNodeAffinity,
} from "./gen/v1.ts";
import { formatQuantity, parseQuantity } from "./quantity.ts";
import { fsTypeOf, type SecretNames } from "./storage_class.ts";

const deletionSecret = "volume.kubernetes.io/provisioner-deletion-secret-";

interface Made {
  record: ClaimRecord;
  storageClass: StorageClass;
  /** Bytes. */
  capacity: number;
}

export const storageAmount = (bytes: number): Record<string, string> => ({
  storage: formatQuantity("storage", bytes),
});

function provisioned(
  { record, storageClass, capacity }: Made,
  source: Partial<PersistentVolumeSpec>,
  annotations: Record<string, string>,
): PersistentVolume {
  const { claim, uid } = record;
  const { name = "", namespace = "default" } = claim.metadata ?? {};
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: {
      name: volumeNameOf(record),
      annotations: { "pv.kubernetes.io/provisioned-by": storageClass.provisioner, ...annotations },
    },
    spec: {
      accessModes: claim.spec?.accessModes ?? [],
      capacity: storageAmount(capacity),
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", name, namespace, uid },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? "Delete",
      storageClassName: storageClass.metadata?.name ?? "",
      volumeMode: claim.spec?.volumeMode ?? "Filesystem",
      ...source,
    },
  };
}

const onNodes = (terms: readonly Readonly<Record<string, string>>[]): { nodeAffinity?: VolumeNodeAffinity } =>
  terms.length === 0 ? {} : {
    nodeAffinity: {
      required: {
        nodeSelectorTerms: terms.map((term) => ({
          matchExpressions: Object.entries(term).map(([key, value]) => ({
            key,
            operator: "In",
            values: [value],
          })),
        })),
      },
    },
  };

/** A directory on this node. */
export const directoryVolume = (
  record: ClaimRecord,
  storageClass: StorageClass,
  path: string,
  nodeName: string,
): PersistentVolume =>
  provisioned({ record, storageClass, capacity: requestOf(record.claim) }, {
    local: { path },
    ...onNodes([{ "kubernetes.io/hostname": nodeName }]),
  }, {});

/** What a driver said of a volume that it made. */
export interface MadeVolume {
  id: string;
  /** Bytes; 0 is unknown. */
  capacity: number;
  context: Readonly<Record<string, string>>;
  topology: readonly Readonly<Record<string, string>>[];
}

export function csiVolume(
  record: ClaimRecord,
  storageClass: StorageClass,
  made: MadeVolume,
  secrets: SecretNames,
): PersistentVolume {
  const { mountOptions = [] } = storageClass;
  const fsType = fsTypeOf(storageClass);
  const isBlock = record.claim.spec?.volumeMode === "Block";
  const refs = {
    controllerPublishSecretRef: secrets.controllerPublish,
    nodeStageSecretRef: secrets.nodeStage,
    nodePublishSecretRef: secrets.nodePublish,
    controllerExpandSecretRef: secrets.controllerExpand,
    nodeExpandSecretRef: secrets.nodeExpand,
  };
  const annotations = secrets.provisioner === undefined ? {} : {
    [`${deletionSecret}name`]: secrets.provisioner.name!,
    [`${deletionSecret}namespace`]: secrets.provisioner.namespace!,
  };
  return provisioned({ record, storageClass, capacity: made.capacity || requestOf(record.claim) }, {
    csi: {
      driver: storageClass.provisioner,
      volumeHandle: made.id,
      ...(fsType !== "" && !isBlock && { fsType }),
      ...(Object.keys(made.context).length > 0 && { volumeAttributes: { ...made.context } }),
      ...Object.fromEntries(Object.entries(refs).filter(([, ref]) => ref !== undefined)),
    },
    ...(mountOptions.length > 0 && { mountOptions }),
    ...onNodes(made.topology),
  }, annotations);
}

/** The secret that a volume is deleted with. */
export function deletionSecretOf({ metadata }: PersistentVolume): SecretReference | undefined {
  const name = metadata?.annotations?.[`${deletionSecret}name`];
  const namespace = metadata?.annotations?.[`${deletionSecret}namespace`];
  return name === undefined || namespace === undefined ? undefined : { name, namespace };
}

/** Bytes that a claim wants at least, and at most (0: no limit). */
export const sizeRange = ({ claim }: ClaimRecord): { requiredBytes: number; limitBytes: number } => ({
  requiredBytes: requestOf(claim),
  limitBytes: parseQuantity(claim.spec?.resources?.limits?.["storage"] ?? "0") ?? 0,
});

/** @param unused no pod had it, so that its driver was not asked on this node */
export function grownTo(volume: PersistentVolume, bytes: number, unused: boolean): PersistentVolume {
  const { [grownUnused]: _earlier, ...annotations } = volume.metadata?.annotations ?? {};
  const marked = { ...annotations, ...(unused && { [grownUnused]: "true" }) };
  return withCapacity({ ...volume, metadata: { ...volume.metadata, annotations: marked } }, bytes);
}

export const withCapacity = (volume: PersistentVolume, bytes: number): PersistentVolume => ({
  ...volume,
  spec: { ...volume.spec, capacity: { ...volume.spec?.capacity, ...storageAmount(bytes) } },
});
