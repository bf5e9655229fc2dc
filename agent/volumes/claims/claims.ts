/**
 * Keeps the records of claims equal to what is wanted, has volumes made and deleted, and tells pods which volume a claim
 * of theirs has. Records are saved before anything that depends on them is done. Not for: deciding (model/claims.ts), or
 * mounting (publish.ts).
 */
import { AgentError, errorText } from "../../model/errors.ts";
import type { Log } from "../../lib/log.ts";
import { once } from "../../lib/once.ts";
import { claimKeyOf, ownerOf } from "../../model/claim_wish.ts";
import { withClaims } from "../../model/claim_status.ts";
import {
  type ClaimOutcome,
  type ClaimPlan,
  type ClaimRecords,
  type ClaimWork,
  type ClaimWorld,
  learnClaims,
  noRecords,
  planClaims,
  type Verdict,
} from "../../model/claims.ts";
import type { PersistentVolume, Volume } from "../../model/gen/v1.ts";
import type { NodeIdentity } from "../../model/node_affinity.ts";
import type { Desired, DesiredPod } from "../../model/wish.ts";
import type { Host } from "../../ports.ts";
import type { StatusStore } from "../../status_store.ts";
import type { Claims } from "./port.ts";
import { openClaimRecords } from "./records.ts";
import { createTelling } from "./telling.ts";
import { createClaimUsers } from "./users.ts";
import { createWorks, workName, type WorkOptions } from "./work.ts";

export interface ClaimsOptions extends Omit<WorkOptions, "objects" | "nodeName"> {
  host: Host;
  rootDir: string;
  /** Where the records are kept. */
  recordsPath: string;
  node: NodeIdentity;
  store: StatusStore;
  log: Log;
  /** A pod whose volumes could not be had may try again. */
  retry(podUid: string): void;
}

export interface ClaimBook extends Claims {
  /** The newest set of what is wanted. */
  update(desired: Desired): void;
  /** Drivers have come or gone, or volumes were detached. */
  changed(): void;
}

const savePauseMs = 5_000;

export function createClaims(o: ClaimsOptions, leave: AbortSignal): ClaimBook {
  const { host, store } = o;
  const users = createClaimUsers(host, o.rootDir);
  const telling = createTelling(store, () => host.now());
  let latest: Desired | undefined;
  let records: ClaimRecords = noRecords;
  let plan: ClaimPlan | undefined;
  /** Claims that each pod has asked for, and those that it could not have. */
  const asked = new Map<string, Set<string>>();
  const denied = new Map<string, Set<string>>();
  const works = createWorks({ ...o, nodeName: o.node.name, objects: () => latest!.objects });
  const checkpoint = openClaimRecords(host, o.recordsPath, telling.unreadable);
  const load = once(async () => {
    await users.load();
    records = await checkpoint.load() ?? noRecords;
  });
  let last: Promise<void> = Promise.resolve();
  let alarm = new AbortController();

  const world = ({ objects, pods, complete }: Desired): ClaimWorld => ({
    objects,
    // Claims of the API server are bound there.
    pods: [...pods.values()].filter((p) => p.source === "file"),
    complete,
    used: users.used(),
    consumed: new Set([...asked.values()].flatMap((keys) => [...keys])),
    node: o.node,
    provisioners: new Map(o.drivers.all().map(({ facts }) => [facts.name, facts])),
    now: host.now(),
  });

  /** Rounds follow each other; each ends with everything on record and begun. */
  const turn = (outcome?: ClaimOutcome): Promise<void> =>
    last = last.then(() => round(outcome)).catch((error) => {
      o.log.error("claims cannot be looked after", { error: errorText(error) });
      if (latest !== undefined) store.setObjects(latest.objects);
    });

  async function round(outcome: ClaimOutcome | undefined): Promise<void> {
    if (latest === undefined || leave.aborted) return;
    await load();
    const now = world(latest);
    const next = planClaims(outcome === undefined ? records : learnClaims(records, outcome), now);
    const noted = next.work.reduce(
      (r, work) => work.kind === "provision" && works.isDue(work) ? learnClaims(r, askedFor(work)) : r,
      next.records,
    );
    try {
      await checkpoint.save(noted);
      telling.saved();
    } catch (error) {
      telling.unsaved(o.recordsPath, error);
      show(latest, now);
      return ring(host.monotonic() + savePauseMs);
    }
    const before = plan?.verdicts ?? new Map<string, Verdict>();
    records = noted;
    plan = { ...next, records: noted };
    works.begin(next.work, ended, leave);
    show(latest, now);
    admit(before, next.verdicts);
    const at = works.nextAt(next.work);
    if (at !== undefined) ring(at);
  }

  function ended(work: ClaimWork, { outcome, error }: { outcome?: ClaimOutcome; error?: string }): void {
    if (leave.aborted) return;
    telling.ended(work, error);
    void turn(outcome);
  }

  /** One alarm: the earliest thing that is to be tried again. */
  function ring(at: number): void {
    alarm.abort();
    alarm = new AbortController();
    const signal = AbortSignal.any([alarm.signal, leave]);
    host.sleep(Math.max(0, at - host.monotonic()), signal).then(() => void turn(), () => {});
  }

  function show(desired: Desired, now: ClaimWorld): void {
    const troubles = new Map(
      (plan?.work ?? []).flatMap((work) => {
        const trouble = works.trouble(work);
        const name = work.kind === "provision" ? undefined : work.volume.metadata?.name;
        return trouble === undefined || name === undefined ? [] : [[name, trouble.message] as const];
      }),
    );
    store.setObjects(withClaims(desired.objects, { records }, now, troubles));
    if (plan !== undefined) telling.verdicts(plan, desired.origins);
  }

  /** Pods that wait for a claim whose state has changed try again at once. */
  function admit(before: ReadonlyMap<string, Verdict>, after: ReadonlyMap<string, Verdict>): void {
    const same = (key: string) => JSON.stringify(before.get(key)) === JSON.stringify(after.get(key));
    wake((key) => !same(key));
  }

  function wake(isMeant: (key: string) => boolean): void {
    for (const [uid, keys] of denied) {
      if (![...keys].some(isMeant)) continue;
      denied.delete(uid);
      o.retry(uid);
    }
  }

  function refuse(pod: DesiredPod, key: string, message: string): AgentError {
    denied.set(pod.uid, new Set([...denied.get(pod.uid) ?? [], key]));
    return new AgentError("FailedMount", message);
  }

  async function settle(pod: DesiredPod, key: string, signal: AbortSignal): Promise<PersistentVolume> {
    for (;;) {
      signal.throwIfAborted();
      const record = plan?.records.claims[key];
      const verdict = plan?.verdicts.get(key);
      if (record === undefined || verdict === undefined) {
        throw refuse(pod, key, `persistentvolumeclaim "${key.split("/")[1]}" not found`);
      }
      if (verdict.state === "bound") return verdict.volume;
      if (verdict.state === "waiting") {
        throw refuse(pod, key, `PersistentVolumeClaim ${key} is not bound: ${verdict.message}`);
      }
      const work = plan!.work.find((w) => w.kind === "provision" && w.key === key);
      const running = work && works.running(workName(work));
      const trouble = work && works.trouble(work);
      if (trouble !== undefined || running === undefined) {
        const why = trouble?.message ?? "it is being provisioned";
        throw refuse(pod, key, `PersistentVolumeClaim ${key} has no volume yet: ${why}`);
      }
      await untilAborted(running, signal);
      await last;
    }
  }

  const inUseElsewhere = (pod: DesiredPod, claimUid: string): boolean => {
    const finished = new Set(
      store.pods().filter((p) => ["Succeeded", "Failed"].includes(p.status?.phase ?? ""))
        .map((p) => p.metadata?.uid),
    );
    return users.podsWith(claimUid).some((uid) => uid !== pod.uid && !finished.has(uid));
  };

  /** A pod that has ended no longer keeps others from what only one may have. */
  store.subscribe((change) => {
    if (change.kind !== "pod" || !["Succeeded", "Failed"].includes(change.pod.status?.phase ?? "")) return;
    const keys = users.of(change.uid);
    wake((key) => keys.has(key));
  }, leave);
  o.drivers.subscribe(() => {
    works.forgive();
    void turn();
  }, leave);

  const released = (keys: readonly string[]) => {
    if (keys.length === 0) return;
    wake((key) => keys.includes(key));
    void turn();
  };

  return {
    update(desired) {
      latest = desired;
      const uids = new Set([...desired.pods.values()].map(({ uid }) => uid));
      for (const map of [asked, denied]) for (const uid of map.keys()) if (!uids.has(uid)) map.delete(uid);
      void turn();
    },
    changed: () => void turn(),
    async volumeFor(pod, volume, signal) {
      const key = claimKeyOf(pod.pod, volume)!;
      await load();
      if (!(asked.get(pod.uid)?.has(key) ?? false)) {
        asked.set(pod.uid, new Set([...asked.get(pod.uid) ?? [], key]));
        void turn();
      }
      await last;
      const found = await settle(pod, key, signal);
      const record = plan!.records.claims[key]!;
      if (volume.ephemeral !== undefined && ownerOf(record.claim) !== pod.uid) {
        const { namespace, name } = pod.pod.metadata ?? {};
        throw refuse(pod, key, `PVC ${key} was not created for pod ${namespace}/${name} (pod is not owner)`);
      }
      const { uid } = record;
      const isAlone = record.claim.spec?.accessModes?.includes("ReadWriteOncePod") ?? false;
      if (isAlone && inUseElsewhere(pod, uid)) {
        const why =
          "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
        throw refuse(pod, key, `${why} (${key})`);
      }
      if (record.deletedAt !== undefined && !users.of(pod.uid).has(key)) {
        throw refuse(pod, key, `persistentvolumeclaim "${key.split("/")[1]}" is being deleted`);
      }
      await users.add(pod.uid, key, uid);
      return found;
    },
    isStale({ pod, uid }) {
      const keys = keysOf(pod.spec?.volumes ?? [], pod);
      return [...users.of(uid).keys()].some((key) => !keys.has(key));
    },
    async sweep({ pod, uid }) {
      released(await users.keepOnly(uid, keysOf(pod.spec?.volumes ?? [], pod)));
    },
    gone: (uid) => released(users.gone(uid)),
  };
}

const askedFor = ({ key, storageClass }: Extract<ClaimWork, { kind: "provision" }>): ClaimOutcome => ({
  kind: "asked",
  key,
  storageClass,
});

const keysOf = (volumes: readonly Volume[], pod: DesiredPod["pod"]): Set<string> =>
  new Set(volumes.flatMap((volume) => claimKeyOf(pod, volume) ?? []));

/** Returns with the work, or when nobody waits for it any more. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  signal.addEventListener("abort", end, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}
