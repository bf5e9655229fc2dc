/**
 * A collection as its watch has told of it so far: which objects there are, and from which revision to go on. Pure but for
 * what it holds. Source: Kubernetes' API concepts (watches, bookmarks, streaming lists). Not for: connections.
 */
import { ApiError, errorOfStatus } from "./api_error.ts";

export interface WatchedMeta {
  name?: string;
  namespace?: string;
  resourceVersion?: string;
  annotations?: Record<string, string>;
}
export interface WatchedObject {
  metadata?: WatchedMeta;
}

export interface WatchState<T extends WatchedObject> {
  /** By `namespace/name`, or name. */
  readonly objects: ReadonlyMap<string, T>;
  /** All that there was has been seen once. */
  readonly complete: boolean;
  /** "" when all has to be listed. */
  readonly revision: string;
  /** The history ended: all has to be listed again. What is known stays until then. */
  forget(): void;
  /** What comes next is all that there is, until its end is told. */
  beginList(): void;
  /** All that there is, at that revision. Returns the keys of what differs from what was known. */
  list(items: readonly T[], revision: string): string[];
  /** Returns the keys of what changed. @throws {ApiError} for what an `ERROR` event says, and what is no event. */
  event(event: unknown): string[];
}

export const watchKey = ({ namespace, name }: WatchedMeta): string =>
  namespace === undefined || namespace === "" ? name ?? "" : `${namespace}/${name}`;

const listEnd = "k8s.io/initial-events-end";

/** @param slim what is kept of an object: its name and revision at least. */
export function createWatchState<T extends WatchedObject>(slim: (object: T) => T = (o) => o): WatchState<T> {
  let objects = new Map<string, T>();
  let complete = false;
  let revision = "";
  /** While a list is streamed: it replaces what is known only when it is whole. */
  let coming: Map<string, T> | undefined;

  function replace(all: Map<string, T>, at: string): string[] {
    const keys = new Set([...objects.keys(), ...all.keys()]);
    const changed = [...keys].filter((key) => versionOf(objects.get(key)) !== versionOf(all.get(key)));
    [objects, revision, complete, coming] = [all, at, true, undefined];
    return changed;
  }

  function change(type: "ADDED" | "MODIFIED" | "DELETED", object: T): string[] {
    const key = watchKey(object.metadata!);
    const into = coming ?? objects;
    const known = into.get(key);
    if (type === "DELETED") into.delete(key);
    else into.set(key, slim(object));
    if (coming !== undefined) return [];
    revision = object.metadata!.resourceVersion ?? revision;
    return versionOf(known) === versionOf(into.get(key)) ? [] : [key];
  }

  function bookmark({ metadata = {} }: T): string[] {
    const at = metadata.resourceVersion ?? "";
    if (coming === undefined) {
      revision = at || revision;
      return [];
    }
    return metadata.annotations?.[listEnd] === "true" ? replace(coming, at) : [];
  }

  return {
    get objects() {
      return objects;
    },
    get complete() {
      return complete;
    },
    get revision() {
      return revision;
    },
    forget() {
      revision = "";
    },
    beginList() {
      coming = new Map();
    },
    list: (items, at) =>
      replace(new Map(items.map((item) => [watchKey(item.metadata ?? {}), slim(item)])), at),
    event(event) {
      const { type, object } = readEvent<T>(event);
      if (type === "ERROR") throw errorOfStatus(object);
      return type === "BOOKMARK" ? bookmark(object) : change(type, object);
    },
  };
}

const versionOf = (object: WatchedObject | undefined) => object?.metadata?.resourceVersion;

const types = ["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"] as const;

function readEvent<T extends WatchedObject>(event: unknown): { type: typeof types[number]; object: T } {
  const { type, object } = (event ?? {}) as { type?: unknown; object?: unknown };
  const known = types.find((t) => t === type);
  const metadata = (object as { metadata?: unknown } | null | undefined)?.metadata;
  const named = known === "ERROR" || known === "BOOKMARK" ||
    typeof (metadata as { name?: unknown })?.name === "string";
  if (known === undefined || typeof object !== "object" || object === null || !named) {
    throw new ApiError(0, "Malformed", "the API server sent something that is no watch event");
  }
  return { type: known, object: object as T };
}
