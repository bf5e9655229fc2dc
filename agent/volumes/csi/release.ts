/**
 * The way back: what a pod has of a volume is unpublished, and where no pod on the node uses it any more it is unstaged
 * and detached, all by its driver; records go last. Never a file across a mount. Not for: deciding that a pod is done.
 */
import { dirname } from "@std/path";
import type { CsiDriver } from "../../plugin_ports.ts";
import { driverMissing } from "../../model/csi_error.ts";
import { AgentError } from "../../model/errors.ts";
import { type CsiParts, isMounted } from "./parts.ts";
import type { VolumeId } from "./places.ts";
import { isControlled, type PodRecord } from "./records.ts";
import { readSecret } from "./secrets.ts";

/** Must have the volume's turn. Safe to repeat. Throws while its driver is away. */
export async function releaseVolume(
  p: CsiParts,
  uid: string,
  record: PodRecord,
  signal: AbortSignal,
): Promise<void> {
  await unpublish(p, uid, record, signal);
  if (!record.ephemeral && !await isUsed(p, record, uid)) await withdraw(p, record, signal);
  await p.records.forget(uid, record);
}

function driverOf(p: CsiParts, { driver }: Pick<VolumeId, "driver">): CsiDriver {
  const found = p.drivers.driver(driver);
  if (found === undefined) throw driverMissing(driver);
  return found;
}

async function unpublish(p: CsiParts, uid: string, record: PodRecord, signal: AbortSignal): Promise<void> {
  const place = (await p.places()).inPod(uid, record);
  if (record.stage !== "staging" || await p.host.lstat(place.target) !== undefined) {
    await driverOf(p, record).unpublish(record.handle, place.target, signal);
  }
  await p.host.remove(place.link);
  await removeEmpty(p, place.target);
  if (record.block) return;
  await p.host.remove(place.record);
  await removeEmpty(p, dirname(place.target));
}

/** Drivers should remove it; some do not. What is still mounted is theirs, and so is what lies in it. */
async function removeEmpty(p: CsiParts, path: string): Promise<void> {
  if (await p.host.lstat(path) === undefined) return;
  if (await isMounted(p, path)) {
    throw new AgentError("FailedMount", `the driver says that it is done, but ${path} is still mounted`);
  }
  await p.host.remove(path);
}

async function isUsed(p: CsiParts, volume: VolumeId, but?: string): Promise<boolean> {
  return [...await p.records.all()].some(([uid, records]) =>
    uid !== but && records.some((r) => p.keyOf(r) === p.keyOf(volume))
  );
}

/** Takes it from the node: unstaged, then detached. */
async function withdraw(p: CsiParts, volume: VolumeId, signal: AbortSignal): Promise<void> {
  const place = await (await p.places()).onNode(volume);
  const node = await p.records.node(volume);
  const isStaged = await p.host.lstat(place.staging) !== undefined;
  if (isStaged && driverOf(p, volume).facts.stages) {
    await driverOf(p, volume).unstage(volume.handle, place.staging, signal);
  }
  p.staged.delete(p.keyOf(volume));
  await removeEmpty(p, place.staging);
  await p.host.remove(place.record);
  for (const directory of place.directories.slice(1)) {
    if ((await p.host.list(directory))?.length === 0) await removeEmpty(p, directory);
  }
  // Without its record nobody knows whether it is attached.
  const isAttached = node === undefined
    ? isStaged && driverOf(p, volume).facts.publishes
    : node.attached !== "no" && !isControlled(node);
  if (isAttached) {
    const secrets = readSecret(p.objects(), node?.secret, "controllerPublish");
    await driverOf(p, volume).controllerUnpublish(volume.handle, secrets, signal);
  }
  await p.records.forgetNode(volume);
  p.attachments?.released(volume);
}

/** What is on the node although no pod has it: of pods whose end, or of an agent whose records, nobody saw. */
export async function collectVolumes(p: CsiParts, driver: string, signal: AbortSignal): Promise<void> {
  for (const volume of await p.records.nodesOf(driver)) {
    await p.turns.take(p.keyOf(volume), signal, async () => {
      if (!await isUsed(p, volume)) await withdraw(p, volume, signal);
    });
  }
}
