/**
 * Which class a claim has, and which of the volumes fits it best. Pure. Not for: what follows from it (claims.ts).
 *
 * Source: kubernetes component-helpers/storage/volume (FindMatchingVolume), pkg/controller/volume/persistentvolume,
 * plugin/pkg/admission/storage/storageclass/setdefault.
 */
import type { LabelSelector, PersistentVolume, PersistentVolumeClaim, StorageClass } from "./gen/v1.ts";
import { matchesNodeSelector, type NodeIdentity } from "./node_affinity.ts";
import { parseQuantity } from "./quantity.ts";

/** Provisions directories, without any driver. */
export const directoryProvisioner = "agent.local/directory";
/** Of classes whose volumes somebody else makes. */
export const noProvisioner = "kubernetes.io/no-provisioner";
export const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class";
/** Of the class that is there without a manifest. */
export const builtInClassName = "local";

const isDefault = ({ metadata }: StorageClass): boolean =>
  metadata?.annotations?.[defaultClassAnnotation] === "true";

/** With the built-in one, which is the default unless a manifest has one or takes its name. */
export function allClasses(ofManifests: ReadonlyMap<string, StorageClass>): Map<string, StorageClass> {
  const all = new Map(ofManifests);
  if (all.has(builtInClassName)) return all;
  const replaced = [...all.values()].some(isDefault);
  return all.set(builtInClassName, {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: {
      name: builtInClassName,
      ...(!replaced && { annotations: { [defaultClassAnnotation]: "true" } }),
    },
    provisioner: directoryProvisioner,
    reclaimPolicy: "Delete",
    volumeBindingMode: "WaitForFirstConsumer",
    allowVolumeExpansion: true,
  });
}

/** Of several defaults the first by name. */
export const defaultClassName = (classes: ReadonlyMap<string, StorageClass>): string | undefined =>
  [...classes].filter(([, c]) => isDefault(c)).map(([name]) => name).sort()[0];

export const bytesOf = (amounts: Record<string, string> | undefined): number =>
  parseQuantity(amounts?.["storage"] ?? "") ?? 0;

export const requestOf = ({ spec }: PersistentVolumeClaim): number => bytesOf(spec?.resources?.requests);
export const capacityOf = ({ spec }: PersistentVolume): number => bytesOf(spec?.capacity);

export const matchesLabels = (
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean => {
  const value = (key: string) => Object.hasOwn(labels, key) ? labels[key] : undefined;
  return Object.entries(matchLabels).every(([key, wanted]) => value(key) === wanted) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const found = value(key);
      if (operator === "Exists" || operator === "DoesNotExist") {
        return (found !== undefined) === (operator === "Exists");
      }
      return (found !== undefined && values.includes(found)) === (operator === "In");
    });
};

/** Why a volume could not serve a claim whoever else wants it, or `undefined` when it could. */
export function misfit(
  { metadata, spec }: PersistentVolume,
  claim: PersistentVolumeClaim,
  node: NodeIdentity,
): string | undefined {
  const wanted = claim.spec ?? {};
  if ((spec?.storageClassName ?? "") !== (wanted.storageClassName ?? "")) {
    return "storageClassName does not match";
  }
  if ((spec?.volumeMode ?? "Filesystem") !== (wanted.volumeMode ?? "Filesystem")) {
    return "incompatible volumeMode";
  }
  const missing = (wanted.accessModes ?? []).filter((mode) => !(spec?.accessModes ?? []).includes(mode));
  if (missing.length > 0) return "incompatible accessMode";
  if (bytesOf(spec?.capacity) < requestOf(claim)) return "requested PV is too small";
  if (wanted.selector !== undefined && !matchesLabels(wanted.selector, metadata?.labels ?? {})) {
    return "selector does not match";
  }
  const required = spec?.nodeAffinity?.required;
  if (required !== undefined && !matchesNodeSelector(required, node)) return "is not on this node";
  return undefined;
}

/** Whether the volume's own manifest keeps it for this claim. */
export const isReservedFor = ({ spec }: PersistentVolume, claim: PersistentVolumeClaim): boolean =>
  spec?.claimRef?.name === claim.metadata?.name &&
  (spec?.claimRef?.namespace ?? "default") === (claim.metadata?.namespace ?? "default");

/** One that is kept for the claim, else the smallest that fits; among equals the first by name. */
export function bestVolume(
  available: readonly PersistentVolume[],
  claim: PersistentVolumeClaim,
  node: NodeIdentity,
  onlyReserved: boolean,
): PersistentVolume | undefined {
  const fitting = available.filter((volume) => misfit(volume, claim, node) === undefined);
  const reserved = fitting.find((volume) => isReservedFor(volume, claim));
  if (reserved !== undefined || onlyReserved) return reserved;
  const free = fitting.filter(({ spec }) => spec?.claimRef === undefined);
  const key = ({ metadata }: PersistentVolume) => metadata?.name ?? "";
  return free.sort((a, b) => capacityOf(a) - capacityOf(b) || (key(a) < key(b) ? -1 : 1))[0];
}
