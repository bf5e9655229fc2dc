/**
 * From a wish to a volume at its pod's path: attached, staged, published, given to the pod's group; each step is on record
 * before it is made, so that whatever happens in between is found and undone. Source: kubernetes pkg/volume/csi,
 * external-attacher. Not for: undoing it (release.ts).
 */
import { dirname } from "@std/path";
import type { CSIDriver, Pod } from "../../model/gen/v1.ts";
import type { Objects } from "../../model/wish.ts";
import type { Attachments, CsiDriver, Secrets, VolumeCapability } from "../../plugin_ports.ts";
import {
  attaches,
  checkLifecycle,
  csiAccessMode,
  type CsiWish,
  givesToGroup,
  mountFlags,
  type SecretUse,
  tokensKey,
  tokensWanted,
  volumeContext,
} from "../../model/csi.ts";
import { driverMissing, mayHaveHappened } from "../../model/csi_error.ts";
import { AgentError } from "../../model/errors.ts";
import { giveToGroup } from "../ownership.ts";
import { growAtPublish } from "./expand.ts";
import { type CsiParts, isMounted } from "./parts.ts";
import { sha256 } from "../../lib/sha256.ts";
import type { NodeRecord, PodRecord } from "./records.ts";
import { readSecret } from "./secrets.ts";

export interface CsiRequest {
  wish: CsiWish;
  pod: Pod;
  uid: string;
  objects: Objects;
  controlled?: boolean;
}

/** A request with everything that was looked up for it. */
export interface Publishing extends CsiRequest {
  driver: CsiDriver;
  object: CSIDriver | undefined;
  capability: VolumeCapability;
  /** Of the pod's service account, as JSON. */
  tokens?: string;
}

/** Publishes it where it is not yet; must have the volume's turn. Safe to repeat. */
export async function publishVolume(p: CsiParts, r: CsiRequest, signal: AbortSignal): Promise<void> {
  const content = await contentOf(r.wish);
  const found = await p.records.read(r.uid, r.wish);
  if (await isWhole(p, r, found, content)) return;
  const all = await lookUp(p, r, signal);
  const stage = found === undefined || found.stage === "staging" ? "staging" : "publishing";
  const record: PodRecord = { ...idOf(r.wish), stage, content };
  await claim(p, all, record, signal);
  const node = r.wish.ephemeral ? undefined : await prepareOnNode(p, all, signal);
  await publishToPod(p, all, node, record, signal);
  if (node !== undefined) await growAtPublish(p, all, node, signal);
  await p.records.write(r.uid, { ...record, stage: "published" });
}

/** Throws where the driver is away, or does not do such volumes. */
export async function lookUp(p: CsiParts, r: CsiRequest, signal: AbortSignal): Promise<Publishing> {
  const object = r.objects.csiDrivers.get(r.wish.driver);
  checkLifecycle(r.wish, object);
  const driver = p.drivers.driver(r.wish.driver);
  if (driver === undefined) throw driverMissing(r.wish.driver);
  const tokens = await tokensFor(p, r, object, signal);
  return { ...r, driver, object, capability: await capabilityOf(p, driver, object, r), ...tokens };
}

/** Source: kubernetes pkg/volume/csi, podServiceAccountTokenAttrs. */
async function tokensFor(
  p: CsiParts,
  { pod, uid, controlled = false }: CsiRequest,
  object: CSIDriver | undefined,
  signal: AbortSignal,
): Promise<Pick<Publishing, "tokens">> {
  const source = controlled ? p.cluster?.tokens : undefined;
  const wanted = tokensWanted(object, source !== undefined);
  if (wanted.length === 0) return {};
  const tokens = await Promise.all(wanted.map(async ({ audience, expirationSeconds }) => {
    const projection = { path: "", audience, ...(expirationSeconds && { expirationSeconds }) };
    const { token, expirationTimestamp } = await source!.request({ pod, uid }, projection, signal);
    return [audience, { token, expirationTimestamp }] as const;
  }));
  return { tokens: JSON.stringify(Object.fromEntries(tokens)) };
}

const idOf = ({ driver, handle, specName, ephemeral, block }: CsiWish) => ({
  driver,
  handle,
  specName,
  ephemeral,
  block,
});

/** Size aside, which grows in place. */
export const contentOf = (wish: CsiWish): Promise<string> => {
  const { driver, handle, fsType, mountOptions, attributes, accessModes, readonly, block } = wish;
  const sorted = Object.entries(attributes).sort(([a], [b]) => a < b ? -1 : 1);
  return sha256(
    JSON.stringify([driver, handle, fsType, mountOptions, sorted, accessModes, readonly, block]),
  );
};

/** What is on record as published may have gone with the machine's last life. */
async function isWhole(
  p: CsiParts,
  { uid, wish }: CsiRequest,
  found: PodRecord | undefined,
  content: string,
): Promise<boolean> {
  if (found?.stage !== "published" || found.content !== content) return false;
  const { target } = (await p.places()).inPod(uid, wish);
  return await isMounted(p, target) || (wish.block && await p.host.lstat(target) !== undefined);
}

/** From here on the pod counts as a user of the volume. */
async function claim(p: CsiParts, { driver, uid }: Publishing, record: PodRecord, signal: AbortSignal) {
  const limit = driver.facts.maxVolumesPerNode;
  if (limit === 0) return await p.records.write(uid, record);
  await p.turns.take(`limit ${driver.facts.name}`, signal, async () => {
    const used = new Set(
      [...(await p.records.all()).values()].flat()
        .filter((v) => v.driver === record.driver && v.handle !== record.handle).map((v) => v.handle),
    );
    if (used.size >= limit) {
      throw new AgentError(
        "FailedMount",
        `driver ${record.driver} takes at most ${limit} volumes on this node, which are in use: ` +
          "the pod waits until one of them is free",
      );
    }
    await p.records.write(uid, record);
  });
}

async function capabilityOf(
  p: CsiParts,
  { facts }: CsiDriver,
  object: CSIDriver | undefined,
  { wish, pod }: CsiRequest,
): Promise<VolumeCapability> {
  const { fsGroup, seLinuxOptions } = pod.spec?.securityContext ?? {};
  const label = await p.hasSELinux() ? seLinuxOptions : undefined;
  return {
    fsType: wish.block ? "" : wish.fsType,
    block: wish.block,
    mountFlags: wish.block ? [] : mountFlags(wish, object, label),
    accessMode: csiAccessMode(wish, facts.singleNodeMultiWriter),
    ...(facts.volumeMountGroup && fsGroup !== undefined && !wish.block &&
      { volumeMountGroup: `${fsGroup}` }),
  };
}

export const secretOf = ({ wish, objects }: CsiRequest, use: SecretUse) =>
  readSecret(objects, wish.secrets[use], use);

async function prepareOnNode(p: CsiParts, a: Publishing, signal: AbortSignal): Promise<NodeRecord> {
  const node = await attach(p, a, signal);
  await stage(p, a, node, signal);
  return node;
}

async function attach(p: CsiParts, a: Publishing, signal: AbortSignal): Promise<NodeRecord> {
  const { wish, driver, object } = a;
  const known = await p.records.node(wish);
  const record: NodeRecord = known ??
    { ...idOf(wish), attached: "no", publishContext: {}, size: wish.grownUnused ? 0 : wish.capacity };
  if (a.controlled === true && p.attachments !== undefined && attaches(object, true)) {
    return await awaitAttachment(p, p.attachments, wish, record, signal);
  }
  if (record.attached === "yes" || !attaches(object, driver.facts.publishes)) {
    if (known === undefined) await p.records.writeNode(record);
    return record;
  }
  const secrets = secretOf(a, "controllerPublish");
  const secret = wish.secrets.controllerPublish;
  await p.records.writeNode({ ...record, attached: "maybe", ...(secret && { secret }) });
  const publishContext = await driver.controllerPublish({
    id: wish.handle,
    capability: a.capability,
    readonly: wish.attachReadonly,
    secrets,
    context: wish.attributes,
  }, signal);
  const attached: NodeRecord = { ...record, attached: "yes", publishContext, ...(secret && { secret }) };
  await p.records.writeNode(attached);
  return attached;
}

/** That it is in use here is on record before it is told: the next agent goes on telling it. */
async function awaitAttachment(
  p: CsiParts,
  attachments: Attachments,
  wish: CsiWish,
  record: NodeRecord,
  signal: AbortSignal,
): Promise<NodeRecord> {
  const known = record.attached === "elsewhere" ? record.publishContext : undefined;
  if (known === undefined) await p.records.writeNode({ ...record, attached: "awaited" });
  const publishContext = await attachments.attached(wish, known, signal);
  const attached: NodeRecord = { ...record, attached: "elsewhere", publishContext };
  if (publishContext !== known) await p.records.writeNode(attached);
  return attached;
}

/** Once for all pods; in a new life of the agent once more. */
async function stage(p: CsiParts, a: Publishing, node: NodeRecord, signal: AbortSignal): Promise<void> {
  const { wish, driver } = a;
  const key = p.keyOf(wish);
  if (p.staged.has(key)) return;
  const place = await (await p.places()).onNode(wish);
  const secrets = driver.facts.stages ? secretOf(a, "nodeStage") : {};
  await p.host.mkdir(dirname(place.record), 0o750);
  await p.keepVolumeData(place.record, wish, wish.block);
  if (!driver.facts.stages) {
    p.staged.add(key);
    return;
  }
  const isNew = await p.host.lstat(place.staging) === undefined;
  if (isNew) await p.host.mkdir(place.staging, 0o750);
  const of = {
    id: wish.handle,
    publishContext: node.publishContext,
    stagingPath: place.staging,
    capability: a.capability,
    secrets,
    context: wish.attributes,
  };
  try {
    await driver.stage(of, signal);
  } catch (error) {
    // Nothing is staged for certain: without the directory no driver is needed to be rid of it.
    if (isNew && !mayHaveHappened(error) && !await isMounted(p, place.staging)) {
      await p.host.remove(place.staging);
    }
    throw error;
  }
  p.staged.add(key);
}

async function publishToPod(
  p: CsiParts,
  a: Publishing,
  node: NodeRecord | undefined,
  record: PodRecord,
  signal: AbortSignal,
): Promise<void> {
  const { wish, uid } = a;
  const place = (await p.places()).inPod(uid, wish);
  const secrets = secretOf(a, "nodePublish");
  await p.host.mkdir(dirname(place.target), 0o750);
  if (!wish.block) await p.keepVolumeData(place.record, wish, true);
  await p.records.write(uid, { ...record, stage: "publishing" });
  try {
    await askToPublish(p, a, { node, secrets }, signal);
  } catch (error) {
    if (!mayHaveHappened(error)) await nothingThere(p, a, record);
    throw error;
  }
  await settleInPod(p, a, signal);
}

export async function askToPublish(
  p: CsiParts,
  a: Publishing,
  { node, secrets }: { node: NodeRecord | undefined; secrets: Secrets },
  signal: AbortSignal,
): Promise<void> {
  const { wish, driver, uid, pod, object } = a;
  const places = await p.places();
  const tokens = a.tokens === undefined ? {} : { [tokensKey]: a.tokens };
  const hidden = object?.spec.serviceAccountTokenInSecrets === true;
  await driver.publish({
    id: wish.handle,
    publishContext: node?.publishContext ?? {},
    stagingPath: node !== undefined && driver.facts.stages ? (await places.onNode(wish)).staging : "",
    targetPath: places.inPod(uid, wish).target,
    readonly: wish.readonly,
    capability: a.capability,
    secrets: hidden ? { ...secrets, ...tokens } : secrets,
    context: { ...volumeContext(wish, pod, uid, object), ...(hidden ? {} : tokens) },
  }, signal);
}

/** What is published becomes the pod's: a link for a device, files for its group. */
export async function settleInPod(p: CsiParts, a: Publishing, signal: AbortSignal): Promise<void> {
  const { wish, driver, uid, pod, object } = a;
  const place = (await p.places()).inPod(uid, wish);
  if (wish.block) return await linkDevice(p, place);
  const fsGroup = pod.spec?.securityContext?.fsGroup;
  if (fsGroup === undefined || driver.facts.volumeMountGroup || !givesToGroup(wish, object)) return;
  const changePolicy = pod.spec?.securityContext?.fsGroupChangePolicy;
  await giveToGroup(p.host, { path: place.target, fsGroup, changePolicy, readonly: wish.readonly }, signal);
}

/** The driver says for certain that it published nothing: then there is nothing to undo, should it never come back. */
async function nothingThere(p: CsiParts, { uid, wish }: Publishing, record: PodRecord): Promise<void> {
  const { target } = (await p.places()).inPod(uid, wish);
  if (await isMounted(p, target)) return;
  if (await p.host.lstat(target) !== undefined) await p.host.remove(target);
  await p.records.write(uid, { ...record, stage: "staging" });
}

async function linkDevice(p: CsiParts, { link, target }: { link: string; target: string }): Promise<void> {
  if (await p.host.readlink(link) === target) return;
  await p.host.remove(link);
  await p.host.mkdir(dirname(link), 0o750);
  await p.host.symlink(target, link);
}
