/**
 * Claims of pods of an API server: bound there, so that here only their volume is looked up. Pure. Not for: claims without
 * a control plane (claims.ts). Source: kubernetes pkg/kubelet/volumemanager/populator.
 */
import { bytesOf, capacityOf } from "./claim_match.ts";
import { claimKeyOf, ownerOf } from "./claim_wish.ts";
import type { PersistentVolume, PersistentVolumeClaim, Pod, SecretReference, Volume } from "./gen/v1.ts";
import type { DesiredPod, Objects } from "./wish.ts";

/** Keys of the claims of a pod. */
export const claimKeysOf = (pod: Pod): string[] =>
  (pod.spec?.volumes ?? []).flatMap((volume) => claimKeyOf(pod, volume) ?? []);

/** The volume of a pod that is a claim, or a template of one; or what is in the way, in the kubelet's words. */
export function boundVolume(
  { pod, uid }: DesiredPod,
  volume: Volume,
  { persistentVolumeClaims, persistentVolumes, unread }: Objects,
): { volume: PersistentVolume } | { error: string } {
  const key = claimKeyOf(pod, volume)!;
  const name = key.split("/")[1];
  const failed = (why: string) => ({ error: `error processing PVC ${key}: ${why}` });
  const claim = persistentVolumeClaims.get(key);
  if (claim === undefined) {
    const why = unread?.get(`PersistentVolumeClaim ${key}`) ?? `persistentvolumeclaims "${name}" not found`;
    return failed(`failed to fetch PVC from API server: ${why}`);
  }
  if (volume.ephemeral !== undefined && ownerOf(claim) !== uid) {
    return failed(`PVC ${key} was not created for pod ${podName(pod)} (pod is not owner)`);
  }
  if (claim.metadata?.deletionTimestamp !== undefined) {
    return failed(`can't use PVC ${key} because it is being deleted`);
  }
  const volumeName = volumeNameOf(claim);
  if (volumeName === undefined) return failed("PVC is not bound");
  const found = persistentVolumes.get(volumeName);
  if (found === undefined) {
    const why = unread?.get(`PersistentVolume ${volumeName}`) ??
      `persistentvolumes "${volumeName}" not found`;
    return { error: `failed to fetch PV ${volumeName} from API server: ${why}` };
  }
  const boundTo = found.spec?.claimRef?.uid;
  return boundTo === claim.metadata?.uid ? { volume: found } : {
    error: boundTo === undefined
      ? `found PV object ${volumeName} with nil pv.Spec.ClaimRef indicating it is not yet bound to the claim`
      : `found PV object ${volumeName} with a pv.Spec.ClaimRef.UID ${boundTo} that is not yet bound to claim ${
        claim.metadata?.uid ?? ""
      }`,
  };
}

const podName = ({ metadata }: Pod) => `${metadata?.namespace ?? "default"}/${metadata?.name}`;

/** `undefined` while the claim is not bound. */
export const volumeNameOf = ({ spec, status }: PersistentVolumeClaim): string | undefined =>
  status?.phase === "Bound" && spec?.volumeName ? spec.volumeName : undefined;

/** The Secrets that a node needs for the volume, as `namespace/name`. */
export function secretKeysOf({ spec }: PersistentVolume): string[] {
  const { nodeStageSecretRef, nodePublishSecretRef, nodeExpandSecretRef } = spec?.csi ?? {};
  const refs: (SecretReference | undefined)[] = [
    nodeStageSecretRef,
    nodePublishSecretRef,
    nodeExpandSecretRef,
  ];
  return refs.flatMap((ref) => ref?.name ? [`${ref.namespace || "default"}/${ref.name}`] : []);
}

/** Bytes that the volume has got and its claim does not know of yet, which the node may have to make use of. */
export function grownTo(claim: PersistentVolumeClaim, volume: PersistentVolume): number | undefined {
  const bytes = capacityOf(volume);
  return volume.spec?.csi !== undefined && bytes > bytesOf(claim.status?.capacity) ? bytes : undefined;
}
