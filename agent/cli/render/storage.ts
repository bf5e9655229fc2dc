/** Claims, volumes, their classes and drivers as tables and in full, as kubectl shows them. Pure. */
import type {
  CSIDriver,
  Event,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
} from "../../model/gen/v1.ts";
import { ageOf } from "./duration.ts";
import { type Field, formatFields, keyed } from "./fields.ts";
import { eventTable, type Table } from "./tables.ts";
import { cell, type Colour, formatTable, type Paint } from "./text.ts";

const shortModes: Record<string, string> = {
  ReadWriteOnce: "RWO",
  ReadOnlyMany: "ROX",
  ReadWriteMany: "RWX",
  ReadWriteOncePod: "RWOP",
};
const modesOf = (modes: readonly string[] | undefined): string =>
  (modes ?? []).map((mode) => shortModes[mode] ?? mode).join(",");

const colours: Record<string, Colour> = { Bound: "green", Pending: "yellow", Failed: "red", Lost: "red" };
const phaseOf = ({ metadata, status }: PersistentVolumeClaim | PersistentVolume): string =>
  metadata?.deletionTimestamp === undefined ? status?.phase ?? "Unknown" : "Terminating";
const claimOf = ({ spec }: PersistentVolume): string =>
  spec?.claimRef === undefined ? "" : `${spec.claimRef.namespace}/${spec.claimRef.name}`;
const size = (amounts: Record<string, string> | undefined): string => amounts?.["storage"] ?? "";

export const claimTable: Table<PersistentVolumeClaim> = {
  head: ({ namespaces, wide }) => [
    ...(namespaces ? ["NAMESPACE"] : []),
    ...["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "AGE"],
    ...(wide ? ["VOLUMEMODE"] : []),
  ],
  row: (claim, { namespaces, wide, now }) => [
    ...(namespaces ? [claim.metadata?.namespace ?? ""] : []),
    claim.metadata?.name ?? "",
    cell(phaseOf(claim), colours[phaseOf(claim)]),
    claim.spec?.volumeName ?? "",
    size(claim.status?.capacity),
    modesOf(claim.status?.accessModes),
    claim.spec?.storageClassName ?? "",
    ageOf(claim.metadata?.creationTimestamp, now),
    ...(wide ? [claim.spec?.volumeMode ?? ""] : []),
  ],
};

export const volumeTable: Table<PersistentVolume> = {
  head: ({ wide }) => [
    ...[
      "NAME",
      "CAPACITY",
      "ACCESS MODES",
      "RECLAIM POLICY",
      "STATUS",
      "CLAIM",
      "STORAGECLASS",
      "REASON",
      "AGE",
    ],
    ...(wide ? ["VOLUMEMODE"] : []),
  ],
  row: (volume, { wide, now }) => [
    volume.metadata?.name ?? "",
    size(volume.spec?.capacity),
    modesOf(volume.spec?.accessModes),
    volume.spec?.persistentVolumeReclaimPolicy ?? "",
    cell(phaseOf(volume), colours[phaseOf(volume)]),
    claimOf(volume),
    volume.spec?.storageClassName ?? "",
    volume.status?.message ?? "",
    ageOf(volume.metadata?.creationTimestamp, now),
    ...(wide ? [volume.spec?.volumeMode ?? ""] : []),
  ],
};

const isDefault = ({ metadata }: StorageClass) =>
  metadata?.annotations?.["storageclass.kubernetes.io/is-default-class"] === "true";

export const storageClassTable: Table<StorageClass> = {
  head: () => ["NAME", "PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE", "ALLOWVOLUMEEXPANSION"],
  row: (storageClass) => [
    `${storageClass.metadata?.name}${isDefault(storageClass) ? " (default)" : ""}`,
    storageClass.provisioner,
    storageClass.reclaimPolicy ?? "",
    storageClass.volumeBindingMode ?? "",
    String(storageClass.allowVolumeExpansion === true),
  ],
};

export const csiDriverTable: Table<CSIDriver> = {
  head: () => ["NAME", "ATTACHREQUIRED", "PODINFOONMOUNT", "FSGROUPPOLICY", "REQUIRESREPUBLISH", "MODES"],
  row: ({ metadata, spec }) => [
    metadata?.name ?? "",
    String(spec.attachRequired !== false),
    String(spec.podInfoOnMount === true),
    spec.fsGroupPolicy ?? "",
    String(spec.requiresRepublish === true),
    (spec.volumeLifecycleModes ?? []).join(","),
  ],
};

export interface StorageStory {
  object: PersistentVolumeClaim | PersistentVolume;
  /** Of this object, oldest first. */
  events: readonly Event[];
  /** All that there are. */
  pods: readonly Pod[];
  now: number;
}

/** Which of the pods name a claim. */
function usersOf({ metadata }: PersistentVolumeClaim, pods: readonly Pod[]): string {
  const users = pods.filter((pod) =>
    pod.metadata?.namespace === metadata?.namespace &&
    (pod.spec?.volumes ?? []).some((v) =>
      v.persistentVolumeClaim?.claimName === metadata?.name ||
      (v.ephemeral !== undefined && `${pod.metadata?.name}-${v.name}` === metadata?.name)
    )
  );
  return users.map((pod) => pod.metadata?.name).join("\n") || "<none>";
}

const sourceOf = ({ spec }: PersistentVolume): Field[] =>
  (["csi", "local", "hostPath", "nfs"] as const).flatMap((kind): Field[] => {
    const source = spec?.[kind];
    if (source === undefined) return [];
    const told = Object.entries(source).filter(([, value]) => typeof value !== "object");
    return [["Source", [["Type", kind], ...told.map(([key, value]): Field => [key, String(value)])]]];
  });

function ownFields(object: StorageStory["object"], pods: readonly Pod[]): Field[] {
  if (object.kind === "PersistentVolume") {
    const volume = object as PersistentVolume;
    return [
      ["Claim", claimOf(volume) || "<none>"],
      ["Reclaim Policy", volume.spec?.persistentVolumeReclaimPolicy ?? ""],
      ["Capacity", size(volume.spec?.capacity)],
      ...(volume.status?.message ? [["Message", volume.status.message] as const] : []),
      ...sourceOf(volume),
    ];
  }
  const claim = object as PersistentVolumeClaim;
  const conditions = (claim.status?.conditions ?? []).map((c) =>
    `${c.type} ${c.status} ${c.message ?? ""}`.trimEnd()
  );
  return [
    ["Volume", claim.spec?.volumeName || "<none>"],
    ["Requested", size(claim.spec?.resources?.requests)],
    ["Capacity", size(claim.status?.capacity) || "<none>"],
    ...(conditions.length > 0 ? [["Conditions", conditions] as const] : []),
    ["Used By", usersOf(claim, pods)],
  ];
}

export function describeStorage({ object, events, pods, now }: StorageStory, paint: Paint): string {
  const { metadata = {}, spec } = object;
  const fields: Field[] = [
    ["Name", metadata.name ?? ""],
    ...(metadata.namespace === undefined ? [] : [["Namespace", metadata.namespace] as const]),
    ["StorageClass", spec?.storageClassName ?? ""],
    ["Status", phaseOf(object)],
    keyed("Labels", metadata.labels, "="),
    keyed("Annotations", metadata.annotations, ": "),
    ["Access Modes", modesOf(spec?.accessModes)],
    ["VolumeMode", spec?.volumeMode ?? "Filesystem"],
    ...ownFields(object, pods),
  ];
  const options = { wide: false, namespaces: false, now };
  const table = events.length === 0 ? "Events: <none>\n" : "Events:\n" +
    formatTable(eventTable.head(options), events.map((e) => eventTable.row(e, options)), paint, {
      indent: "  ",
    });
  return formatFields(fields) + table;
}
