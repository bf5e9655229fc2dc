/**
 * Volumes that CSI drivers make, delete and let grow for claims. Not for: attaching and mounting them.
 */
import { AgentError } from "../../model/errors.ts";
import type { ClaimRecord } from "../../model/claims.ts";
import { volumeNameOf } from "../../model/claims.ts";
import { csiAccessMode } from "../../model/csi.ts";
import type { PersistentVolume, PersistentVolumeSpec, StorageClass } from "../../model/gen/v1.ts";
import { csiVolume, deletionSecretOf, sizeRange } from "../../model/provisioned.ts";
import { driverParameters, fsTypeOf, secretsOf } from "../../model/storage_class.ts";
import type { Objects } from "../../model/wish.ts";
import type { CsiDriver, CsiDrivers, VolumeCapability } from "../../plugin_ports.ts";
import { readSecret } from "../csi/secrets.ts";

function driverNamed(drivers: CsiDrivers, name: string): CsiDriver {
  const driver = drivers.driver(name);
  if (driver !== undefined) return driver;
  throw new AgentError("FailedMount", `waiting for CSI driver ${name} to be registered`);
}

/** One for each access mode. */
const capabilities = (
  { accessModes = [], volumeMode }: Pick<PersistentVolumeSpec, "accessModes" | "volumeMode">,
  fsType: string,
  mountFlags: readonly string[],
  { facts }: CsiDriver,
): VolumeCapability[] => {
  const block = volumeMode === "Block";
  return accessModes.map((mode) => ({
    block,
    fsType: block ? "" : fsType,
    mountFlags: block ? [] : mountFlags,
    accessMode: csiAccessMode({ accessModes: [mode] }, facts.singleNodeMultiWriter),
  }));
};

export async function createCsiVolume(
  drivers: CsiDrivers,
  objects: Objects,
  record: ClaimRecord,
  storageClass: StorageClass,
  signal: AbortSignal,
): Promise<PersistentVolume> {
  const driver = driverNamed(drivers, storageClass.provisioner);
  const named = secretsOf(storageClass, record.claim, volumeNameOf(record));
  if ("error" in named) throw new AgentError("FailedMount", named.error, { retry: false });
  const { spec = {} } = record.claim;
  const { topology } = driver.facts;
  const size = sizeRange(record);
  const made = await driver.createVolume({
    name: volumeNameOf(record),
    ...size,
    capabilities: capabilities(spec, fsTypeOf(storageClass), storageClass.mountOptions ?? [], driver),
    parameters: driverParameters(storageClass),
    secrets: readSecret(objects, named.secrets.provisioner, "provisioner"),
    topology: Object.keys(topology).length === 0 ? undefined : topology,
  }, signal);
  if (made.capacity > 0 && made.capacity < size.requiredBytes) {
    await driver.deleteVolume(made.id, readSecret(objects, named.secrets.provisioner, "provisioner"), signal);
    const message = `the driver made ${made.capacity} bytes where ${size.requiredBytes} were asked for`;
    throw new AgentError("FailedMount", message, { retry: false });
  }
  return csiVolume(record, storageClass, made, named.secrets);
}

export async function deleteCsiVolume(
  drivers: CsiDrivers,
  objects: Objects,
  volume: PersistentVolume,
  signal: AbortSignal,
): Promise<void> {
  const { driver, volumeHandle } = volume.spec!.csi!;
  const secrets = readSecret(objects, deletionSecretOf(volume), "provisioner");
  await driverNamed(drivers, driver).deleteVolume(volumeHandle, secrets, signal);
}

/** Returns what the volume has then, in bytes, and whether its node must expand it, too. */
export async function expandCsiVolume(
  drivers: CsiDrivers,
  objects: Objects,
  volume: PersistentVolume,
  bytes: number,
  signal: AbortSignal,
): Promise<{ capacity: number; nodeExpansionRequired: boolean }> {
  const csi = volume.spec!.csi!;
  const driver = driverNamed(drivers, csi.driver);
  if (!driver.facts.expands) {
    if (driver.facts.expandsOnNode) return { capacity: bytes, nodeExpansionRequired: true };
    throw new AgentError("Unknown", `CSI driver ${csi.driver} cannot expand volumes`, { retry: false });
  }
  return await driver.controllerExpand({
    id: csi.volumeHandle,
    requiredBytes: bytes,
    limitBytes: 0,
    capability: capabilities(volume.spec!, csi.fsType ?? "", volume.spec?.mountOptions ?? [], driver)[0]!,
    secrets: readSecret(objects, csi.controllerExpandSecretRef, "controllerExpand"),
  }, signal);
}
