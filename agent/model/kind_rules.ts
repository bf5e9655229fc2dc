/**
 * What is asked of an object of each kind, and what it becomes once it is complete. Not for: decoding it (decode.ts).
 */
import { coverageOf } from "./coverage.ts";
import {
  defaultConfigMap,
  defaultObject,
  defaultPod,
  defaultRuntimeClass,
  defaultSecret,
} from "./defaults.ts";
import {
  defaultCSIDriver,
  defaultPersistentVolume,
  defaultPersistentVolumeClaim,
  defaultStorageClass,
} from "./default_storage.ts";
import type { Report } from "./finding.ts";
import type {
  ConfigMap,
  CSIDriver,
  NetworkAttachmentDefinition,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  RuntimeClass,
  Secret,
  StorageClass,
} from "./gen/v1.ts";
import { type Kind, kinds, type ManifestObjects } from "./objects.ts";
import { validatePod } from "./validate_pod.ts";
import { validateConfigMap, validateRuntimeClass, validateSecret } from "./validate_objects.ts";
import { validateNetworkAttachment } from "./validate_network.ts";
import { validateCSIDriver, validateStorageClass } from "./validate_storage.ts";
import { validatePersistentVolume, validatePersistentVolumeClaim } from "./validate_persistent.ts";

interface KindRules<T> {
  validate(object: T, report: Report): void;
  /** With everything filled in that its author left out. */
  complete(object: T): T;
}

const rules: { [K in Kind]: KindRules<ManifestObjects[(typeof kinds)[K]["field"]][number]> } = {
  RuntimeClass: { validate: validateRuntimeClass, complete: defaultRuntimeClass },
  StorageClass: { validate: validateStorageClass, complete: defaultStorageClass },
  CSIDriver: { validate: validateCSIDriver, complete: defaultCSIDriver },
  PersistentVolume: { validate: validatePersistentVolume, complete: defaultPersistentVolume },
  PersistentVolumeClaim: { validate: validatePersistentVolumeClaim, complete: defaultPersistentVolumeClaim },
  NetworkAttachmentDefinition: {
    validate: validateNetworkAttachment,
    complete: defaultObject("NetworkAttachmentDefinition"),
  },
  ConfigMap: { validate: validateConfigMap, complete: defaultConfigMap },
  Secret: { validate: validateSecret, complete: defaultSecret },
  Pod: {
    validate(pod, report) {
      coverageOf(pod, report);
      validatePod(pod, report);
    },
    complete: defaultPod,
  },
};

export type AnyObject =
  | RuntimeClass
  | StorageClass
  | CSIDriver
  | PersistentVolume
  | PersistentVolumeClaim
  | NetworkAttachmentDefinition
  | ConfigMap
  | Secret
  | Pod;

/** `object` has been decoded as this kind. */
export const rulesOf = (kind: Kind): KindRules<AnyObject> => rules[kind] as KindRules<AnyObject>;
