/**
 * What the API server fills in of PersistentVolumes, claims, StorageClasses and CSIDrivers. Not for: the class of a
 * claim that names none (claims.ts).
 *
 * Source: kubernetes pkg/apis/core/v1/defaults.go, pkg/apis/storage/v1/defaults.go.
 */
import { defaultClusterObject, defaultObject } from "./defaults.ts";
import type { CSIDriver, PersistentVolume, PersistentVolumeClaim, StorageClass } from "./gen/v1.ts";

export const defaultPersistentVolume = (volume: PersistentVolume): PersistentVolume => ({
  ...defaultClusterObject("PersistentVolume")(volume),
  spec: {
    volumeMode: "Filesystem",
    persistentVolumeReclaimPolicy: "Retain",
    ...volume.spec,
    ...(volume.spec?.hostPath && { hostPath: { type: "", ...volume.spec.hostPath } }),
    ...(volume.spec?.claimRef && { claimRef: { namespace: "default", ...volume.spec.claimRef } }),
  },
});

export const defaultPersistentVolumeClaim = (claim: PersistentVolumeClaim): PersistentVolumeClaim => ({
  ...defaultObject("PersistentVolumeClaim")(claim),
  spec: { volumeMode: "Filesystem", ...claim.spec },
});

export const defaultStorageClass = (storageClass: StorageClass): StorageClass => ({
  reclaimPolicy: "Delete",
  volumeBindingMode: "Immediate",
  ...defaultClusterObject("StorageClass")(storageClass),
});

export const defaultCSIDriver = (driver: CSIDriver): CSIDriver => ({
  ...defaultClusterObject("CSIDriver")(driver),
  spec: {
    attachRequired: true,
    podInfoOnMount: false,
    storageCapacity: false,
    fsGroupPolicy: "ReadWriteOnceWithFSType",
    volumeLifecycleModes: ["Persistent"],
    requiresRepublish: false,
    seLinuxMount: false,
    ...driver.spec,
  },
});
