/** What becomes of a claim that has no volume: one is bound, one is to be made, or it waits. Pure. */
import type { ClaimRecord, ClaimRecords, ClaimWorld, Provisioner, Verdict, VolumeRecord } from "./claims.ts";
import { bestVolume, directoryProvisioner, isReservedFor, misfit, noProvisioner } from "./claim_match.ts";
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "./gen/v1.ts";
import { allowsTopology } from "./storage_class.ts";

type Waiting = Extract<Verdict, { state: "waiting" }>;
type Bound = VolumeRecord | { state: "provision"; storageClass: StorageClass } | Waiting;

const wait = (reason: Waiting["reason"], message: string): Waiting => ({ state: "waiting", reason, message });

export function bindClaim(
  records: ClaimRecords,
  key: string,
  record: ClaimRecord,
  classes: ReadonlyMap<string, StorageClass>,
  world: ClaimWorld,
): Bound {
  const { claim } = record;
  // There may be a volume already: only its provisioner knows.
  if (record.provisioning !== undefined) return { state: "provision", storageClass: record.provisioning };
  if (record.deletedAt !== undefined) return wait("FailedBinding", "the claim is being deleted");
  // What is not here yet may be the very volume that is meant.
  if (!world.complete) return wait("FailedBinding", "not all manifests have been read yet");
  const bind = (volume: PersistentVolume): VolumeRecord => {
    const { namespace = "default", name = "" } = claim.metadata ?? {};
    const known = records.volumes[volume.metadata?.name ?? ""];
    return {
      volume,
      provisioned: known?.provisioned ?? false,
      claim: { namespace, name, uid: record.uid },
      createdAt: known?.createdAt ?? world.now,
    };
  };
  const storageClass = classes.get(claim.spec?.storageClassName ?? "");
  if (claim.spec?.volumeName) return bindNamed(records, record, claim.spec.volumeName, bind, world);
  const delays = storageClass?.volumeBindingMode === "WaitForFirstConsumer" && !world.consumed.has(key);
  const available = [...world.objects.persistentVolumes.values()].filter(({ metadata }) =>
    records.volumes[metadata?.name ?? ""] === undefined
  );
  const best = bestVolume(available, claim, world.node, delays);
  if (best !== undefined) return bind(best);
  if (delays) {
    return wait("WaitForFirstConsumer", "waiting for first consumer to be created before binding");
  }
  return provision(claim, storageClass, world);
}

/** A claim names its volume: that one, or none. */
function bindNamed(
  records: ClaimRecords,
  { claim }: ClaimRecord,
  name: string,
  bind: (volume: PersistentVolume) => VolumeRecord,
  world: ClaimWorld,
): VolumeRecord | Waiting {
  const known = records.volumes[name];
  const volume = known?.volume ?? world.objects.persistentVolumes.get(name);
  if (volume === undefined) return wait("FailedBinding", `there is no PersistentVolume "${name}"`);
  if (known !== undefined) {
    const { namespace, name: other, uid } = known.claim;
    const alive = Object.values(records.claims).some((c) => c.uid === uid);
    const { metadata } = claim;
    // What was released and kept is taken by the next claim of the name that says that it means this very volume.
    const isHeir = !alive && volume.spec?.persistentVolumeReclaimPolicy !== "Delete" &&
      other === metadata?.name && namespace === (metadata?.namespace ?? "default");
    if (!isHeir) {
      const state = alive ? "already bound to a different claim" : "released by a different claim";
      return wait("FailedBinding", `volume "${name}" ${state} (${namespace}/${other})`);
    }
  }
  if (volume.spec?.claimRef !== undefined && !isReservedFor(volume, claim)) {
    const { namespace, name: other } = volume.spec.claimRef;
    return wait("FailedBinding", `volume "${name}" is kept for a different claim (${namespace}/${other})`);
  }
  const why = misfit(volume, claim, world.node);
  return why === undefined
    ? bind(volume)
    : wait("FailedBinding", `Cannot bind to requested volume "${name}": ${why}`);
}

function provision(
  claim: PersistentVolumeClaim,
  storageClass: StorageClass | undefined,
  world: ClaimWorld,
): Bound {
  const name = claim.spec?.storageClassName ?? "";
  if (storageClass === undefined) {
    return name === ""
      ? wait(
        "FailedBinding",
        `no persistent volumes available for this claim and no storage class is set${whyNone(claim, world)}`,
      )
      : wait("ProvisioningFailed", `storageclass.storage.k8s.io "${name}" not found${whyNone(claim, world)}`);
  }
  const { provisioner } = storageClass;
  if (provisioner === noProvisioner) {
    return wait("FailedBinding", `no PersistentVolume of class "${name}" fits${whyNone(claim, world)}`);
  }
  const refusal = (message: string) => wait("ProvisioningFailed", `storage class "${name}": ${message}`);
  if (claim.spec?.selector !== undefined) {
    return refusal("a claim with a selector takes only volumes that are there, none is made for it");
  }
  if (provisioner === directoryProvisioner) {
    return claim.spec?.volumeMode === "Block"
      ? refusal("its volumes are directories: expected volumeMode Filesystem")
      : withTopology(storageClass, world, undefined, refusal);
  }
  const driver = world.provisioners.get(provisioner);
  if (driver === undefined) {
    return wait("ExternalProvisioning", `waiting for CSI driver ${provisioner} to be registered`);
  }
  if (!driver.creates) return refusal(`CSI driver ${provisioner} does not create volumes on this node`);
  return withTopology(storageClass, world, driver, refusal);
}

function withTopology(
  storageClass: StorageClass,
  { node }: ClaimWorld,
  driver: Provisioner | undefined,
  refusal: (message: string) => Waiting,
): Bound {
  const labels = { ...node.labels, ...driver?.topology };
  return allowsTopology(storageClass.allowedTopologies, labels)
    ? { state: "provision", storageClass }
    : refusal("its allowedTopologies leave this node out");
}

/** What keeps each of the volumes from being taken, as far as it is worth telling. */
function whyNone(claim: PersistentVolumeClaim, { objects, node }: ClaimWorld): string {
  const sameClass = [...objects.persistentVolumes.values()].filter(({ spec }) =>
    (spec?.storageClassName ?? "") === (claim.spec?.storageClassName ?? "")
  );
  const told = sameClass.slice(0, 5).map((volume) =>
    `${volume.metadata?.name}: ${misfit(volume, claim, node) ?? "is taken or kept for another claim"}`
  );
  return told.length === 0 ? "" : ` (${told.join(", ")})`;
}
