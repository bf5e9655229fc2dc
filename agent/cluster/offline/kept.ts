/**
 * What of a cluster a node keeps for the time when its API server is away: its pods as far as they are needed to run again,
 * and what they use. Pure. Not for: where and how it is kept (cache.ts).
 */
import type { ObjectMeta, Pod, PodStatus } from "../../model/gen/v1.ts";
import { type Kind, kinds, type ObjectField } from "../../model/objects.ts";
import { referencesOf } from "../../model/references.ts";
import { isOver } from "../../model/api_pod.ts";
import type { ServiceAccountToken } from "../../ports.ts";
import {
  type DesiredPod,
  noObjects,
  type Objects,
  type PodKey,
  podKey,
  type Snapshot,
} from "../../model/wish.ts";

/** Maps of a snapshot that hold no objects. */
const others = new Set(["pods", "origins", "unread"]);

interface Stored {
  metadata?: ObjectMeta;
}

/** As JSON. */
export interface Kept {
  pods: Pod[];
  /** By field of Objects, then by key. */
  objects: Record<string, Record<string, Stored>>;
  /** Tokens of pods, by what was asked for. */
  tokens: Record<string, ServiceAccountToken>;
}

export interface Limits {
  pods: number;
  /** Of the JSON, in characters. */
  size: number;
}

/** Pods that matter more come first, newer ones before older ones, until no more fit; `left` are those that do not. */
export function whatIsKept(
  snapshot: Snapshot,
  tokens: ReadonlyMap<string, ServiceAccountToken>,
  limits: Limits,
): { kept: Kept; left: PodKey[] } {
  const pods = [...snapshot.pods.values()].sort(byImportance);
  const named = new Map(pods.map(({ uid, pod }) => [uid, keysOf(pod)]));
  const ofPods = new Set([...named.values()].flat());
  const texts = textsOf(snapshot);
  const chosen = new Set([...texts.keys()].filter((key) => !ofPods.has(key)));
  let size = [...chosen].reduce((sum, key) => sum + texts.get(key)!.length, 0);
  const kept: Pod[] = [];
  const left: PodKey[] = [];
  for (const { uid, pod } of pods) {
    const slim = keptPod(pod);
    const more = named.get(uid)!.filter((key) => texts.has(key) && !chosen.has(key));
    const costs = JSON.stringify(slim).length + more.reduce((sum, key) => sum + texts.get(key)!.length, 0);
    if (kept.length >= limits.pods || size + costs > limits.size) left.push(podKey(pod));
    else {
      size += costs;
      kept.push(slim);
      for (const key of more) chosen.add(key);
    }
  }
  kept.sort((a, b) => podKey(a) < podKey(b) ? -1 : 1);
  return {
    kept: { pods: kept, objects: objectsOf(texts, chosen), tokens: Object.fromEntries(tokens) },
    left,
  };
}

const createdAt = ({ pod }: DesiredPod) => pod.metadata?.creationTimestamp ?? "";
const byImportance = (a: DesiredPod, b: DesiredPod): number =>
  Number(hasEnded(a.pod)) - Number(hasEnded(b.pod)) ||
  (b.pod.spec?.priority ?? 0) - (a.pod.spec?.priority ?? 0) ||
  (createdAt(a) < createdAt(b) ? 1 : createdAt(a) > createdAt(b) ? -1 : 0);

const separator = "\n";
const keysOf = (pod: Pod): string[] =>
  referencesOf(pod).map(({ kind, name }) =>
    [kind === "Secret" ? "secrets" : "configMaps", `${pod.metadata?.namespace}/${name}`].join(separator)
  );

function textsOf(snapshot: Objects): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [field, objects] of Object.entries(snapshot)) {
    if (!(objects instanceof Map) || others.has(field)) continue;
    for (const [key, object] of objects) {
      texts.set([field, key].join(separator), JSON.stringify(withoutBookkeeping(object)));
    }
  }
  return texts;
}

function objectsOf(texts: ReadonlyMap<string, string>, chosen: ReadonlySet<string>): Kept["objects"] {
  const objects: Kept["objects"] = {};
  for (const place of [...chosen].sort()) {
    const [field, key] = place.split(separator) as [string, string];
    (objects[field] ??= {})[key] = JSON.parse(texts.get(place)!);
  }
  return objects;
}

/** What changes without a meaning here. */
function withoutBookkeeping<T extends Stored>(object: T): T {
  const { managedFields: _who, resourceVersion: _when, ...metadata } = object.metadata ?? {} as ObjectMeta & {
    managedFields?: unknown;
  };
  return { ...object, metadata };
}

export const hasEnded = (pod: Pod): boolean => isOver(pod.status);

/** Of the status of a pod that has not ended: what others say of it. The rest is to be seen here, and changes often. */
function keptPod(pod: Pod): Pod {
  const gates = new Set((pod.spec?.readinessGates ?? []).map((g) => g.conditionType));
  const conditions = (pod.status?.conditions ?? []).filter((c) => gates.has(c.type));
  const { qosClass } = pod.status ?? {};
  const status: PodStatus | undefined = hasEnded(pod)
    ? pod.status
    : { ...(qosClass !== undefined && { qosClass }), ...(conditions.length > 0 && { conditions }) };
  return { ...withoutBookkeeping(pod), ...(status && { status }) };
}

/** As the API server would tell it, but that it is not known whether it still wants so. */
export function keptSnapshot({ pods, objects }: Kept): Snapshot {
  const desired = pods.map((pod): DesiredPod => ({
    pod,
    uid: pod.metadata?.uid ?? "",
    source: "api",
    origin: "the API server, before it was out of reach",
  }));
  const known = Object.entries(objects).map(([field, ofField]) => [field, new Map(Object.entries(ofField))]);
  return {
    ...noObjects,
    ...Object.fromEntries(known),
    source: "api",
    pods: new Map(desired.map((d) => [podKey(d.pod), d])),
    problems: [],
    readable: false,
  };
}

/** What nobody could be asked about is as it was. */
export function completed(snapshot: Snapshot, earlier: Snapshot): Snapshot {
  const { unread } = snapshot;
  if (unread === undefined || unread.size === 0) return snapshot;
  const filled = new Map<ObjectField, Map<string, unknown>>();
  const open = new Map(unread);
  for (const place of unread.keys()) {
    const [kind, key] = place.split(" ") as [Kind, string];
    const field = kinds[kind]?.field;
    if (field === undefined || field === "pods") continue;
    const found = earlier[field].get(key);
    if (found === undefined) continue;
    open.delete(place);
    if (!filled.has(field)) filled.set(field, new Map<string, unknown>(snapshot[field]));
    filled.get(field)!.set(key, found);
  }
  return { ...snapshot, ...Object.fromEntries(filled), unread: open };
}

/** @throws {TypeError} when it is not of the form. */
export function parseKept(value: unknown): Kept {
  const isRecord = (v: unknown): v is Record<string, unknown> =>
    typeof v === "object" && v !== null && !Array.isArray(v);
  if (!isRecord(value)) throw new TypeError("expected an object");
  const { pods, objects, tokens } = value;
  if (!Array.isArray(pods) || !pods.every((p) => isRecord(p) && isRecord(p.metadata) && isRecord(p.spec))) {
    throw new TypeError("pods: expected a list of pods");
  }
  if (
    !isRecord(objects) ||
    !Object.values(objects).every((f) => isRecord(f) && Object.values(f).every(isRecord))
  ) {
    throw new TypeError("objects: expected objects by kind and name");
  }
  if (!isRecord(tokens) || !Object.values(tokens).every((t) => isRecord(t) && typeof t.token === "string")) {
    throw new TypeError("tokens: expected tokens");
  }
  return { pods: pods as Pod[], objects: objects as Kept["objects"], tokens: tokens as Kept["tokens"] };
}
