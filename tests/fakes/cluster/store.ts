/**
 * What etcd is to the API server: objects, one revision for all, and the history that watches are served from until it is
 * compacted. Not for: judging what is written.
 */
import { expired } from "./errors.ts";
import type { Stored } from "./objects.ts";
import type { Resource } from "./resources.ts";

export interface Change {
  revision: number;
  resource: Resource;
  /** Its last state with the revision of the removal, when it is gone. */
  object: Stored;
  gone: boolean;
  /** Absent when it was created. */
  before?: Stored;
}

export type Listener = (change: Change) => void;

export interface Store {
  revision(): number;
  /** The oldest revision that a watch may start from. */
  oldest(): number;
  get(resource: Resource, namespace: string | undefined, name: string): Stored | undefined;
  /** By namespace and name; `at`: as it was then. @throws {ApiError} 410 when that is compacted. */
  list(resource: Resource, namespace?: string, at?: number): Stored[];
  /** Returns it with its new resourceVersion. */
  put(resource: Resource, object: Stored): Stored;
  remove(resource: Resource, object: Stored): Stored;
  /** Of one resource, after a revision. @throws {ApiError} 410 when that is compacted. */
  since(resource: Resource, revision: number): Change[];
  /** Returns what ends it. */
  subscribe(listener: Listener): () => void;
  /** Forgets all history. */
  compact(): void;
}

/** The two groups that events may be asked in hold the same events. */
const place = (r: Resource) => r.plural === "events" ? "events" : `${r.group}/${r.plural}`;
const keyOf = (r: Resource, namespace: string | undefined, name: string) =>
  `${place(r)}/${namespace ?? ""}/${name}`;
const keyOfObject = (r: Resource, { metadata }: Stored) => keyOf(r, metadata.namespace, metadata.name);

export function createStore(): Store {
  const objects = new Map<string, Stored>();
  const listeners = new Set<Listener>();
  let history: Change[] = [];
  let revision = 1;
  let oldest = 1;

  function record(resource: Resource, object: Stored, gone: boolean): Stored {
    const key = keyOfObject(resource, object);
    const before = objects.get(key);
    const written = { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } };
    if (gone) objects.delete(key);
    else objects.set(key, written);
    const change = { revision, resource, object: written, gone, ...(before === undefined ? {} : { before }) };
    history.push(change);
    for (const listener of listeners) listener(change);
    return written;
  }

  function since(resource: Resource, from: number): Change[] {
    if (from < oldest) throw expired(from, oldest);
    return history.filter((c) => c.revision > from && place(c.resource) === place(resource));
  }

  function stateAt(resource: Resource, at: number): Map<string, Stored> {
    const state = new Map(objects);
    for (const change of since(resource, at).reverse()) {
      const key = keyOfObject(resource, change.object);
      if (change.before === undefined) state.delete(key);
      else state.set(key, change.before);
    }
    return state;
  }

  return {
    revision: () => revision,
    oldest: () => oldest,
    get: (resource, namespace, name) => objects.get(keyOf(resource, namespace, name)),
    list(resource, namespace, at) {
      const from = namespace === undefined ? `${place(resource)}/` : keyOf(resource, namespace, "");
      const state = at === undefined ? objects : stateAt(resource, at);
      const keys = [...state.keys()].filter((key) => key.startsWith(from)).sort();
      return keys.map((key) => state.get(key)!);
    },
    put: (resource, object) => record(resource, object, false),
    remove: (resource, object) => record(resource, object, true),
    since,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    compact() {
      history = [];
      oldest = revision;
    },
  };
}
