/**
 * The claims that are wanted, by manifests and by templates of pods, and what an edit may change of one. Pure. Not for:
 * volumes.
 */
import type { ClaimProblem, ClaimRecord, ClaimRecords, ClaimWorld } from "./claims.ts";
import { capacityOf, defaultClassName, requestOf } from "./claim_match.ts";
import type {
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  Pod,
  StorageClass,
  Volume,
} from "./gen/v1.ts";
import { canonical } from "./hash.ts";
import { md5 } from "./md5.ts";

export interface WantedClaim {
  key: string;
  claim: PersistentVolumeClaim;
}

/** The claim of a volume of a pod; `undefined` for volumes without one. */
export function claimNameOf({ metadata }: Pod, volume: Volume): string | undefined {
  if (volume.ephemeral !== undefined) return `${metadata?.name}-${volume.name}`;
  return volume.persistentVolumeClaim?.claimName;
}

export const claimKeyOf = (pod: Pod, volume: Volume): string | undefined => {
  const name = claimNameOf(pod, volume);
  return name && `${pod.metadata?.namespace ?? "default"}/${name}`;
};

/** The uid of the pod that the claim was made for; `undefined` for those of manifests. */
export const ownerOf = ({ metadata }: PersistentVolumeClaim): string | undefined =>
  metadata?.ownerReferences?.find((owner) => owner.kind === "Pod")?.uid;

/** Manifests first: they hold a name against templates. */
export function wantedClaims({ objects, pods }: Pick<ClaimWorld, "objects" | "pods">): WantedClaim[] {
  const ofManifests = [...objects.persistentVolumeClaims].map(([key, claim]) => ({ key, claim }));
  const templates = pods.flatMap(({ pod, uid }) =>
    (pod.spec?.volumes ?? []).flatMap((volume) => fromTemplate(pod, uid, volume))
  );
  return [...ofManifests, ...templates];
}

function fromTemplate(pod: Pod, uid: string, volume: Volume): WantedClaim[] {
  const template = volume.ephemeral?.volumeClaimTemplate;
  if (template === undefined) return [];
  const { name: podName = "", namespace = "default" } = pod.metadata ?? {};
  const name = claimNameOf(pod, volume)!;
  const owner = {
    apiVersion: "v1",
    kind: "Pod",
    name: podName,
    uid,
    controller: true,
    blockOwnerDeletion: true,
  };
  const claim: PersistentVolumeClaim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { ...template.metadata, name, namespace, ownerReferences: [owner] },
    spec: { volumeMode: "Filesystem", ...template.spec },
  };
  return [{ key: `${namespace}/${name}`, claim }];
}

/** The claims on record once those that are wanted have come, changed or gone. */
export function adoptClaims(
  before: ClaimRecords,
  wanted: readonly WantedClaim[],
  classes: ReadonlyMap<string, StorageClass>,
  world: Pick<ClaimWorld, "complete" | "now" | "node">,
): { claims: ClaimRecords["claims"]; problems: ClaimProblem[] } {
  const claims: Record<string, ClaimRecord> = { ...before.claims };
  const problems: ClaimProblem[] = [];
  const seen = new Set<string>();
  for (const { key, claim } of wanted) {
    const record = claims[key];
    const isOwn = record === undefined || ownerOf(record.claim) === ownerOf(claim);
    if (!isOwn || seen.has(key)) {
      const message = "this name is taken by the claim of a pod's ephemeral volume: expected another";
      if (ownerOf(claim) === undefined) problems.push({ key, field: "metadata.name", message });
      continue;
    }
    seen.add(key);
    if (record === undefined) {
      const uid = freeUid(before, world.node.name, claim);
      claims[key] = { uid, claim: withClass(claim, classes), createdAt: world.now };
      continue;
    }
    const edited = editOf(before, record, withClass(claim, classes), claim);
    for (const { field, message } of edited.problems) problems.push({ key, field, message });
    const { deletedAt: _wantedAgain, ...rest } = record;
    claims[key] = { ...rest, claim: edited.claim };
  }
  if (!world.complete) return { claims, problems };
  for (const [key, record] of Object.entries(claims)) {
    if (!seen.has(key)) claims[key] = { ...record, deletedAt: record.deletedAt ?? world.now };
  }
  return { claims, problems };
}

/** Which class is the default matters only when a claim comes. */
function withClass(
  claim: PersistentVolumeClaim,
  classes: ReadonlyMap<string, StorageClass>,
): PersistentVolumeClaim {
  if (claim.spec?.storageClassName !== undefined) return claim;
  const storageClassName = defaultClassName(classes);
  return storageClassName === undefined ? claim : { ...claim, spec: { ...claim.spec, storageClassName } };
}

/**
 * Depends on node and name alone, so that a lost record leads to the same volume again; a claim that comes while volumes
 * of an earlier one of its name are still there gets another.
 */
function freeUid({ volumes }: ClaimRecords, nodeName: string, { metadata }: PersistentVolumeClaim): string {
  const taken = new Set(Object.values(volumes).map(({ claim }) => claim.uid));
  for (let n = 0;; n++) {
    const text = ["claim", nodeName, metadata?.namespace ?? "default", metadata?.name ?? "", n].join("\n");
    const uid = md5(text).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    if (!taken.has(uid)) return uid;
  }
}

type Edit = { claim: PersistentVolumeClaim; problems: { field: string; message: string }[] };

/** Until a volume is there, or on its way, everything may change; then the requested size alone. */
function editOf(
  records: ClaimRecords,
  record: ClaimRecord,
  next: PersistentVolumeClaim,
  written: PersistentVolumeClaim,
): Edit {
  const bound = Object.values(records.volumes).find((v) => v.claim.uid === record.uid);
  if (bound === undefined && record.provisioning === undefined) return { claim: next, problems: [] };
  const [old, now] = [record.claim.spec ?? {}, next.spec ?? {}];
  const problems = Object.keys({ ...old, ...now }).filter((field) => {
    if (field === "resources") return false;
    // Left to the agent, they are what they became.
    if (written.spec?.[field as keyof PersistentVolumeClaimSpec] === undefined) return false;
    const [a, b] = [old, now].map((spec) => canonical(spec[field as keyof PersistentVolumeClaimSpec]));
    return a !== b;
  }).map((field) => ({
    field: `spec.${field}`,
    message: "cannot be changed once the claim has a volume: it stays as it was",
  }));
  const shrinks = requestOf(next) < requestOf(record.claim) &&
    requestOf(next) < (bound === undefined ? Infinity : capacityOf(bound.volume));
  if (shrinks) {
    const was = record.claim.spec?.resources?.requests?.["storage"];
    problems.push({
      field: "spec.resources.requests.storage",
      message: `cannot be less than it was, a volume does not shrink: it stays ${was}`,
    });
  }
  const resources = shrinks ? old.resources : now.resources;
  return {
    claim: { ...next, spec: { ...old, ...(resources && { resources }) } },
    problems,
  };
}
