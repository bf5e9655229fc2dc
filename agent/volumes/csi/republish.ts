/**
 * Publishing volumes again and again whose drivers ask for it (requiresRepublish of CSIDriver), so that they can renew what is
 * in them. A pod keeps what it has when that fails. Not for: publishing them first. Source: kubernetes pkg/volume/csi.
 */
import { createMailbox } from "../../lib/mailbox.ts";
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import { type CsiParts, objectsOf } from "./parts.ts";
import { askToPublish, contentOf, type CsiRequest, lookUp, secretOf, settleInPod } from "./publish.ts";
import type { CsiVolumes } from "./volumes.ts";

/** The kubelet's pauses lie between this and twice this. */
const everyMs = 60_000;

export const wantsRepublish = (p: Pick<CsiParts, "objects" | "cluster">, r: CsiRequest): boolean =>
  objectsOf(p, r).csiDrivers.get(r.wish.driver)?.spec.requiresRepublish === true;

/** Must have the volume's turn. Nothing happens where the pod does not have it whole any more. */
export async function republishVolume(p: CsiParts, r: CsiRequest, signal: AbortSignal): Promise<void> {
  const found = await p.records.read(r.uid, r.wish);
  if (found?.stage !== "published" || found.content !== await contentOf(r.wish)) return;
  const all = await lookUp(p, r, signal);
  const node = r.wish.ephemeral ? undefined : await p.records.node(r.wish);
  await askToPublish(p, all, { node, secrets: secretOf(all, "nodePublish") }, signal);
  await settleInPod(p, all, signal);
}

export interface RepublishOptions {
  host: Pick<Host, "now" | "monotonic">;
  store: Pick<StatusStore, "subscribe" | "addEvent">;
  volumes: Pick<CsiVolumes, "wantRepublish" | "republish">;
  /** Milliseconds between two rounds. */
  everyMs?: number;
}

/** Sleeps while no driver with volumes on this node asks for it. */
export async function runRepublish(o: RepublishOptions, signal: AbortSignal): Promise<void> {
  const { host, store, volumes } = o;
  const mailbox = createMailbox<never>(() => host.monotonic());
  let isArmed = false;
  store.subscribe(({ kind }) => {
    if (!isArmed && (kind === "pod" || kind === "objects") && volumes.wantRepublish()) mailbox.nudge();
  }, signal);
  const failed = ({ uid, pod: { metadata } }: CsiRequest, name: string, error: unknown) => {
    if (signal.aborted) return;
    const { name: podName = "", namespace = "default" } = metadata ?? {};
    const message = `MountVolume.SetUp failed for volume "${name}" : ${errorText(error)}`;
    const object = { kind: "Pod", namespace, name: podName, uid };
    store.addEvent({ type: "Warning", reason: "FailedMount", message, object }, host.now());
  };
  while (!signal.aborted) {
    isArmed = volumes.wantRepublish();
    const at = isArmed ? host.monotonic() + (o.everyMs ?? everyMs) : undefined;
    if (await mailbox.wait(signal, at) === "time") volumes.republish(failed, signal);
  }
}
