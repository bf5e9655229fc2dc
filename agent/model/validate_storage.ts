/**
 * Rules for PersistentVolumes, claims, StorageClasses and CSIDrivers. Source: kubernetes pkg/apis/core/validation and
 * pkg/apis/storage/validation. Not for: the volumes of a pod (validate_volume.ts).
 */
import type { Report } from "./finding.ts";
import type { CSIDriver, PersistentVolume, PersistentVolumeClaim, StorageClass } from "./gen/v1.ts";
import { validateClusterMetadata, validateMetadata } from "./validate_objects.ts";

export function validateStorageClass(storageClass: StorageClass, report: Report): void {
  validateClusterMetadata("StorageClass", storageClass.metadata, report);
}

export function validateCSIDriver(driver: CSIDriver, report: Report): void {
  validateClusterMetadata("CSIDriver", driver.metadata, report);
}

export function validatePersistentVolume(volume: PersistentVolume, report: Report): void {
  validateClusterMetadata("PersistentVolume", volume.metadata, report);
}

export function validatePersistentVolumeClaim(claim: PersistentVolumeClaim, report: Report): void {
  validateMetadata(claim.metadata, report);
}
