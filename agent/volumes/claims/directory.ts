/**
 * The built-in provisioner: volumes are directories, one beside the other. Their capacity is what the claim asks for and
 * is not enforced. Not for: when one is made or deleted (claims.ts).
 */
import { basename, dirname, join } from "@std/path";
import { AgentError } from "../../model/errors.ts";
import type { ClaimRecord } from "../../model/claims.ts";
import { volumeNameOf } from "../../model/claims.ts";
import type { PersistentVolume, StorageClass } from "../../model/gen/v1.ts";
import { directoryVolume } from "../../model/provisioned.ts";
import type { Host } from "../../ports.ts";

/** Idempotent. Anybody may write into it, as into a volume of hostPath's own provisioner; only root gets this far. */
export async function makeDirectoryVolume(
  host: Host,
  volumesDir: string,
  record: ClaimRecord,
  storageClass: StorageClass,
  nodeName: string,
): Promise<PersistentVolume> {
  if (await host.stat(volumesDir) === undefined) await host.mkdir(volumesDir, 0o711);
  const path = join(volumesDir, volumeNameOf(record));
  const found = await host.lstat(path);
  if (found !== undefined && found.kind !== "directory") {
    throw new AgentError("FailedMount", `${path} is no directory: expected nothing there`);
  }
  if (((found?.mode ?? 0) & 0o777) !== 0o777) await host.mkdir(path, 0o777);
  return directoryVolume(record, storageClass, path, nodeName);
}

/** Never across a mount point, never through a link, and only what bears the volume's name. Idempotent. */
export async function deleteDirectoryVolume(host: Host, volume: PersistentVolume): Promise<void> {
  const path = volume.spec?.local?.path ?? "";
  const refuse = (why: string) => new AgentError("Unknown", `${path || "the volume"} is not deleted: ${why}`);
  if (basename(path) !== volume.metadata?.name) throw refuse("it does not bear the volume's name");
  // A disk that is not mounted now still has it.
  if (await host.stat(dirname(path)) === undefined) throw refuse(`${dirname(path)} is not there`);
  const found = await host.lstat(path);
  if (found === undefined) return;
  if (found.kind !== "directory") throw refuse("it is no directory");
  await host.removeTree(path);
}
