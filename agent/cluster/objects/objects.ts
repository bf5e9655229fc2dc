/**
 * What the pods of this node use of the API server: each object is followed from the first pod that needs it to the last.
 * Not for: how one is followed (kinds.ts), tokens (tokens.ts).
 */
import { secretKeysOf, volumeNameOf } from "../../model/cluster_claim.ts";
import { type NeedKey, needKey, needsOf, readNeed } from "../../model/cluster_needs.ts";
import type { PersistentVolumeClaim, Pod } from "../../model/gen/v1.ts";
import { isOver } from "../../model/api_pod.ts";
import { noObjects, type Objects } from "../../model/wish.ts";
import type { ClaimLook, FollowOptions, Look } from "./follow.ts";
import { follow } from "./kinds.ts";

export interface ClusterObjectsOptions extends FollowOptions {
  /** Something that pods need has come, changed or gone, or may be known now. Told once for all that comes together. */
  changed(): void;
  /** So long a pod waits for what the API server does not tell, in ms. */
  patience?: number;
}

export interface ClusterObjects {
  /** All pods that there are: what they need is followed from now on, and nothing else. */
  want(pods: Iterable<Pod>): void;
  /** The same until something changes. */
  objects(): Objects;
  /** Everything that the pod needs was looked for, or the API server has not told for too long. */
  known(pod: Pod): boolean;
}

/** Something that is followed. */
interface Entry {
  ending: AbortController;
  look: Look<unknown>;
  /** Of a claim. */
  volume?: ClaimLook["volume"];
  isKnown: boolean;
  patience: ReturnType<typeof setTimeout>;
}

/** Events that come together make one change, in ms. */
const togetherMs = 5;
const ordinaryPatience = 5_000;

/** Ends with the signal. */
export function createClusterObjects(o: ClusterObjectsOptions, signal: AbortSignal): ClusterObjects {
  const entries = new Map<NeedKey, Entry>();
  let wanted: ReadonlySet<NeedKey> = new Set();
  let built: Objects | undefined = noObjects;
  let telling: ReturnType<typeof setTimeout> | undefined;

  const changed = () => {
    built = undefined;
    if (signal.aborted) return;
    telling ??= setTimeout(() => {
      telling = undefined;
      o.changed();
    }, togetherMs);
  };

  const learn = (entry: Entry, look: Look<unknown>, volume?: ClaimLook["volume"]) => {
    if (entry.ending.signal.aborted) return;
    entry.look = newer(entry.look, look);
    if (volume !== undefined) entry.volume = newer(entry.volume ?? volume, volume);
    if (isTold(entry)) settle(entry);
    changed();
  };

  const settle = (entry: Entry) => {
    clearTimeout(entry.patience);
    entry.isKnown = true;
  };

  const open = (key: NeedKey) => {
    const entry: Entry = {
      ending: new AbortController(),
      look: { state: "asked" },
      isKnown: false,
      patience: setTimeout(() => {
        entry.isKnown = true;
        changed();
      }, o.patience ?? ordinaryPatience),
    };
    entries.set(key, entry);
    void follow(o, key, (look, volume) => {
      learn(entry, look, volume);
      if (volume !== undefined) arrange();
    }, entry.ending);
  };

  const close = (key: NeedKey, entry: Entry) => {
    entries.delete(key);
    clearTimeout(entry.patience);
    entry.ending.abort();
    changed();
  };

  /** What is followed becomes what is wanted, and what the volumes need that are. */
  const arrange = () => {
    if (signal.aborted) return;
    const all = new Set(wanted);
    for (const key of wanted) for (const secret of secretsOf(entries.get(key))) all.add(secret);
    for (const [key, entry] of entries) if (!all.has(key)) close(key, entry);
    for (const key of all) if (!entries.has(key)) open(key);
  };

  signal.addEventListener("abort", () => {
    clearTimeout(telling);
    for (const [key, entry] of entries) close(key, entry);
  }, { once: true });

  return {
    want(pods) {
      wanted = new Set([...pods].filter((pod) => !isEnded(pod)).flatMap(needsOf));
      arrange();
    },
    objects: () => built ??= build(entries),
    known: (pod) =>
      isEnded(pod) || needsOf(pod).every((key) => {
        const entry = entries.get(key);
        return entry?.isKnown === true && secretsOf(entry).every((secret) => entries.get(secret)?.isKnown);
      }),
  };
}

/** It never runs again. */
const isEnded = ({ status }: Pod) => isOver(status);

const isTold = ({ look, volume }: Entry) => look.state !== "asked" && volume?.state !== "asked";

/** What was known stays while nobody can say; the same revision stays the same object. */
function newer<T>(old: Look<T>, look: Look<T>): Look<T> {
  if (look.state === "asked") return old.state === "asked" ? look : old;
  if (old.state !== "found" || look.state !== "found") return look;
  const revision = revisionOf(old.object);
  return revision !== undefined && revision === revisionOf(look.object) ? old : look;
}

const revisionOf = (object: unknown) =>
  (object as { metadata?: { resourceVersion?: string } }).metadata?.resourceVersion;

const secretsOf = (entry: Entry | undefined): NeedKey[] =>
  entry?.volume?.state === "found"
    ? secretKeysOf(entry.volume.object).map((key) => needKey("Secret", key))
    : [];

const notYet = "the API server has not answered yet";

function build(entries: ReadonlyMap<NeedKey, Entry>): Objects {
  const one = (): Map<string, unknown> => new Map();
  const found = { ConfigMap: one(), Secret: one(), PersistentVolumeClaim: one(), PersistentVolume: one() };
  const all = { Service: one(), RuntimeClass: one(), CSIDriver: one() };
  const unread = new Map<string, string>();
  const add = (kind: keyof typeof found, name: string, look: Look<unknown>) => {
    if (look.state === "found") found[kind].set(name, look.object);
    if (look.state === "asked") unread.set(`${kind} ${name}`, look.trouble ?? notYet);
  };
  for (const [key, { look, volume }] of entries) {
    const { kind, namespace, name } = readNeed(key);
    if (!(kind in all)) add(kind as keyof typeof found, `${namespace}/${name}`, look);
    else if (look.state === "found") {
      all[kind as keyof typeof all] = new Map(look.object as Map<string, unknown>);
    }
    if (volume !== undefined && look.state === "found") {
      add("PersistentVolume", volumeNameOf(look.object as PersistentVolumeClaim) ?? "", volume);
    }
  }
  const objects: Record<keyof Objects, ReadonlyMap<string, unknown>> = {
    ...noObjects,
    unread,
    configMaps: found.ConfigMap,
    secrets: found.Secret,
    persistentVolumeClaims: found.PersistentVolumeClaim,
    persistentVolumes: found.PersistentVolume,
    runtimeClasses: all.RuntimeClass,
    csiDrivers: all.CSIDriver,
    services: all.Service,
  };
  // The API server's word is taken for what it says it is.
  return objects as Objects;
}
