/**
 * Growing a volume that is on this node: its driver makes the file system or device as large as the volume has become,
 * while pods have it or when the next one gets it. Source: kubernetes pkg/volume/csi/expander.go. Not for: the volume itself
 * (claims).
 */
import { csiAccessMode, type CsiWish } from "../../model/csi.ts";
import { driverMissing } from "../../model/csi_error.ts";
import type { Objects } from "../../model/wish.ts";
import type { CsiDriver } from "../../plugin_ports.ts";
import type { CsiParts } from "./parts.ts";
import type { NodeRecord } from "./records.ts";
import { readSecret } from "./secrets.ts";

/** Must have the volume's turn. Safe to repeat. False: no pod has it, so that nothing was done. */
export async function expandVolume(
  p: CsiParts,
  wish: CsiWish,
  bytes: number,
  objects: Objects,
  signal: AbortSignal,
): Promise<boolean> {
  const user = [...await p.records.all()].find(([, records]) =>
    records.some((r) => p.keyOf(r) === p.keyOf(wish) && r.stage === "published")
  );
  if (user === undefined) return false;
  const driver = p.drivers.driver(wish.driver);
  if (driver === undefined) throw driverMissing(wish.driver);
  if (!driver.facts.expandsOnNode) return true;
  const node = await p.records.node(wish);
  await growInPod(p, { wish, driver, uid: user[0], objects }, bytes, signal);
  if (node !== undefined) await p.records.writeNode({ ...node, size: bytes });
  return true;
}

interface Growing {
  wish: CsiWish;
  driver: CsiDriver;
  /** Of a pod that it is published to. */
  uid: string;
  objects: Objects;
}

/** What grew while no pod had it; where this one may not write to it, the next one that may sees to it. */
export async function growAtPublish(
  p: CsiParts,
  of: Growing,
  node: NodeRecord,
  signal: AbortSignal,
): Promise<void> {
  const { wish, driver } = of;
  if (wish.readonly || !driver.facts.expandsOnNode || node.size >= wish.capacity) return;
  await growInPod(p, of, wish.capacity, signal);
  await p.records.writeNode({ ...node, size: wish.capacity });
}

async function growInPod(
  p: CsiParts,
  { wish, driver, uid, objects }: Growing,
  bytes: number,
  signal: AbortSignal,
): Promise<void> {
  const places = await p.places();
  await driver.expandOnNode({
    id: wish.handle,
    path: places.inPod(uid, wish).target,
    stagingPath: driver.facts.stages ? (await places.onNode(wish)).staging : "",
    requiredBytes: bytes,
    capability: {
      fsType: wish.fsType,
      block: wish.block,
      mountFlags: wish.mountOptions,
      accessMode: csiAccessMode(wish, driver.facts.singleNodeMultiWriter),
    },
    secrets: readSecret(objects, wish.secrets.nodeExpand, "nodeExpand"),
  }, signal);
}
