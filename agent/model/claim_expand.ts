/** Whether a claim asks for more than its volume has, and who can give it. Pure. */
import type { ClaimProblem, ClaimRecord, ClaimWork, ClaimWorld, VolumeRecord } from "./claims.ts";
import { capacityOf, directoryProvisioner, requestOf } from "./claim_match.ts";
import type { StorageClass } from "./gen/v1.ts";

export function expansionOf(
  key: string,
  record: ClaimRecord,
  { volume, provisioned }: VolumeRecord,
  classes: ReadonlyMap<string, StorageClass>,
  world: Pick<ClaimWorld, "provisioners">,
): { work?: ClaimWork; problem?: ClaimProblem } {
  const bytes = requestOf(record.claim);
  if (bytes <= capacityOf(volume) || record.deletedAt !== undefined) return {};
  const refuse = (message: string) => ({
    problem: { key, field: "spec.resources.requests.storage", message: `${message}: it stays as it is` },
  });
  const name = record.claim.spec?.storageClassName ?? "";
  const storageClass = classes.get(name);
  if (!provisioned || storageClass === undefined) {
    return refuse("only volumes that were made for their claim can grow");
  }
  if (storageClass.allowVolumeExpansion !== true) return refuse(`storage class "${name}" does not allow it`);
  const driver = volume.spec?.csi?.driver;
  if (driver === undefined && storageClass.provisioner !== directoryProvisioner) {
    return refuse("this kind of volume cannot grow");
  }
  // A driver that is away is waited for; one that only its node part expands needs nothing here.
  if (driver !== undefined && world.provisioners.get(driver) === undefined) return {};
  return { work: { kind: "expand", key, volume, bytes } };
}
