/** The lists of claims, volumes, their classes and drivers. Not for: what of them is on record (volumes/claims). */
import type {
  CSIDriver,
  ObjectMeta,
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
} from "../model/gen/v1.ts";
import { type Kind, kinds, objectKey } from "../model/objects.ts";
import type { StatusStore } from "../status_store.ts";
import type { Watched } from "./watch.ts";

type Stored = PersistentVolumeClaim | PersistentVolume | StorageClass | CSIDriver;

const storageKinds = {
  "/persistentvolumeclaims": "PersistentVolumeClaim",
  "/persistentvolumes": "PersistentVolume",
  "/storageclasses": "StorageClass",
  "/csidrivers": "CSIDriver",
} as const satisfies Record<string, Kind>;

/** By path. */
export const storageLists = (store: StatusStore): [string, Watched<Stored> & { kind: string }][] =>
  Object.entries(storageKinds).map(([path, kind]) => [path, {
    kind: `${kind}List`,
    items: (): Stored[] => [...store.objects()[kinds[kind].field].values()],
    key: ({ metadata }: { metadata?: ObjectMeta }) => objectKey(kind, metadata),
    object: (object) => ({ apiVersion: kinds[kind].apiVersion, kind, ...object }),
  }]);
