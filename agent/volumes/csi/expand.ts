/**
 * Growing a volume that is on this node, while it is used: its driver makes the file system or device as large as the volume
 * has become. Source: kubernetes pkg/volume/csi/expander.go. Not for: the volume itself (claims), volumes that no pod has.
 */
import type { PersistentVolume } from "../../model/gen/v1.ts";
import { csiAccessMode, persistentWish } from "../../model/csi.ts";
import { driverMissing } from "../../model/csi_error.ts";
import type { CsiParts } from "./parts.ts";
import { readSecret } from "./secrets.ts";

/** Must have the volume's turn. Safe to repeat. Nothing happens where no pod has it, or the driver does not do it. */
export async function expandVolume(
  p: CsiParts,
  volume: PersistentVolume,
  bytes: number,
  signal: AbortSignal,
): Promise<void> {
  const wish = persistentWish(volume, false);
  if (wish === undefined) return;
  const user = [...await p.records.all()].find(([, records]) =>
    records.some((r) => p.keyOf(r) === p.keyOf(wish) && r.stage === "published")
  );
  if (user === undefined) return;
  const driver = p.drivers.driver(wish.driver);
  if (driver === undefined) throw driverMissing(wish.driver);
  if (!driver.facts.expandsOnNode) return;
  const places = await p.places();
  await driver.expandOnNode({
    id: wish.handle,
    path: places.inPod(user[0], wish).target,
    stagingPath: driver.facts.stages ? (await places.onNode(wish)).staging : "",
    requiredBytes: bytes,
    capability: {
      fsType: wish.fsType,
      block: wish.block,
      mountFlags: wish.mountOptions,
      accessMode: csiAccessMode(wish, driver.facts.singleNodeMultiWriter),
    },
    secrets: readSecret(p.objects(), wish.secrets.nodeExpand, "nodeExpand"),
  }, signal);
}
