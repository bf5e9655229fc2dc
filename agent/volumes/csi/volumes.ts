/**
 * CSI volumes of pods: published before their containers start, released when their pod is gone, one thing at a time for
 * each volume. Not for: other kinds of volumes, and which PersistentVolume a claim gets.
 */
import { createTurns } from "../../lib/turns.ts";
import { AgentError, errorText } from "../../model/errors.ts";
import { type CsiWish, inlineWish, persistentWish } from "../../model/csi.ts";
import type { PersistentVolume, Pod, Volume } from "../../model/gen/v1.ts";
import type { Objects } from "../../model/wish.ts";
import type { CsiVolumeStats, VolumeName } from "../../plugin_ports.ts";
import type { PublishedVolume } from "../../ports.ts";
import { createParts, type CsiOptions, objectsOf } from "./parts.ts";
import { inlineHandle } from "./places.ts";
import { expandVolume } from "./expand.ts";
import { contentOf, type CsiRequest, publishVolume } from "./publish.ts";
import type { PodRecord } from "./records.ts";
import { collectVolumes, releaseVolume } from "./release.ts";
import { republishVolume, wantsRepublish } from "./republish.ts";
import { volumeStats } from "./stats.ts";

export interface CsiUser {
  pod: Pod;
  uid: string;
  objects: Objects;
  /** The pod is a control plane's, which attaches its volumes. */
  controlled?: boolean;
}

export interface CsiVolumes {
  /** An inline volume of the pod. Throws FailedMount. */
  publishInline(volume: Volume, user: CsiUser, signal: AbortSignal): Promise<PublishedVolume>;
  /** `name` and `readonly` are of the pod's volume. Throws FailedMount; the PersistentVolume must be of a CSI driver. */
  publishPersistent(
    of: { name: string; volume: PersistentVolume; readonly: boolean },
    user: CsiUser,
    signal: AbortSignal,
  ): Promise<PublishedVolume>;
  /** Names by which volumes lie on disk that the pod no longer asks for; all that it asks for have been published. */
  stale(uid: string, pod: Pod): Promise<string[]>;
  /** Unpublishes all, or those that lie under these names. Throws while a driver is away; then the rest is done all the same. */
  release(uid: string, names: readonly string[] | undefined, signal: AbortSignal): Promise<void>;
  /** Uids of the pods that have, or may have, a volume of a driver. */
  users(): Promise<string[]>;
  /** Whether a PersistentVolume is, or may be, attached to this node or staged on it. */
  isOnNode(volume: PersistentVolume): Promise<boolean>;
  /** Has its driver make use of the bytes that a volume has got; false: no pod has it. */
  expand(
    volume: PersistentVolume,
    bytes: number,
    signal: AbortSignal,
    of?: Pick<CsiUser, "controlled">,
  ): Promise<boolean>;
  /** Whether pods have volumes of drivers that want to be asked for them again and again. */
  wantRepublish(): boolean;
  /** Asks for all of those again, each on its own; who is still at it is let be. `failed` hears of each failure. */
  republish(failed: (of: CsiRequest, name: string, error: unknown) => void, signal: AbortSignal): void;
  /** What the control plane has attached, or was asked to attach, and something of it may be here. */
  controlled(): Promise<VolumeName[]>;
  /** Of a volume that lies under this name; `undefined`: its driver is away or does not tell. */
  stats(uid: string, specName: string, signal: AbortSignal): Promise<CsiVolumeStats | undefined>;
  /** Takes from the node what no pod uses, now that a driver is there. */
  collect(driver: string, signal: AbortSignal): Promise<void>;
}

export function createCsiVolumes(o: CsiOptions): CsiVolumes {
  const p = createParts(o, createTurns());
  /** By uid of their pods: by what names their volumes lie on disk. */
  const asked = new Map<string, Map<string, string>>();
  /** What pods have, and those that their driver is just asked for again; by uid and the name on disk. */
  const live = new Map<string, CsiRequest & { name: string }>();
  const again = new Set<string>();
  const liveKey = (uid: string, specName: string) => `${uid} ${specName}`;

  async function publish(
    name: string,
    wish: CsiWish,
    user: CsiUser,
    signal: AbortSignal,
  ): Promise<PublishedVolume> {
    asked.set(user.uid, (asked.get(user.uid) ?? new Map()).set(name, wish.specName));
    await withdrawOther(user.uid, wish, signal);
    await p.turns.take(p.keyOf(wish), signal, () => publishVolume(p, { wish, ...user }, signal));
    live.set(liveKey(user.uid, wish.specName), { name, wish, ...user });
    const { target } = (await p.places()).inPod(user.uid, wish);
    return wish.block
      ? { name, hostPath: "", readonly: wish.readonly, device: target }
      : { name, hostPath: target, readonly: wish.readonly };
  }

  /** Another volume under the same name, or the same with other attributes, which an edit has left. */
  async function withdrawOther(uid: string, wish: CsiWish, signal: AbortSignal): Promise<void> {
    const found = await p.records.read(uid, wish);
    if (found === undefined) return;
    const same = p.keyOf(found) === p.keyOf(wish) && found.block === wish.block;
    const kept = found.stage === "staging" || found.content === "" || found.content === await contentOf(wish);
    if (!same || !kept) await release(uid, found, signal);
  }

  async function release(uid: string, record: PodRecord, signal: AbortSignal): Promise<void> {
    live.delete(liveKey(uid, record.specName));
    await p.turns.take(p.keyOf(record), signal, () => releaseVolume(p, uid, record, signal));
  }

  return {
    async publishInline(volume, user, signal) {
      const handle = await inlineHandle(user.uid, volume.name);
      return await publish(volume.name, inlineWish(volume.name, volume.csi!, user.pod, handle), user, signal);
    },
    async publishPersistent({ name, volume, readonly }, user, signal) {
      const wish = persistentWish(volume, readonly);
      if (wish === undefined) throw new Error(`PersistentVolume of volume ${name} is of no CSI driver`);
      return await publish(name, wish, user, signal);
    },
    async stale(uid, pod) {
      const names = asked.get(uid);
      const wanted = new Set((pod.spec?.volumes ?? []).map((v) => names?.get(v.name)));
      return (await p.records.ofPod(uid)).map((r) => r.specName).filter((name) => !wanted.has(name));
    },
    async release(uid, names, signal) {
      const records = (await p.records.ofPod(uid)).filter((r) => names?.includes(r.specName) ?? true);
      const settled = await Promise.allSettled(records.map((record) => release(uid, record, signal)));
      const failures = settled.flatMap((s, i) =>
        s.status === "rejected"
          ? [`UnmountVolume.TearDown failed for volume "${records[i]!.specName}" : ${errorText(s.reason)}`]
          : []
      );
      if (failures.length > 0) throw new AgentError("FailedKillPod", failures.join("; "));
      if (names === undefined) asked.delete(uid);
    },
    async users() {
      return [...await p.records.all()].filter(([, records]) => records.length > 0).map(([uid]) => uid);
    },
    async isOnNode({ spec }) {
      if (spec?.csi === undefined) return false;
      const { driver, volumeHandle: handle } = spec.csi;
      return await p.records.node({ driver, handle }) !== undefined;
    },
    async expand(volume, bytes, signal, of = {}) {
      const wish = persistentWish(volume, false);
      if (wish === undefined) return true;
      return await p.turns.take(
        p.keyOf(wish),
        signal,
        () => expandVolume(p, wish, bytes, objectsOf(p, of), signal),
      );
    },
    wantRepublish: () => [...live.values()].some((request) => wantsRepublish(p, request)),
    republish(failed, signal) {
      for (const [key, request] of live) {
        if (!wantsRepublish(p, request) || again.has(key)) continue;
        const newest = { ...request, objects: objectsOf(p, request) };
        const work = () => republishVolume(p, newest, signal);
        again.add(key);
        void p.turns.take(p.keyOf(request.wish), signal, work)
          .catch((error) => failed(request, request.name, error))
          .finally(() => again.delete(key));
      }
    },
    controlled: () => p.records.controlled(),
    stats: (uid, specName, signal) => volumeStats(p, uid, specName, signal),
    collect: (driver, signal) => collectVolumes(p, driver, signal),
  };
}
