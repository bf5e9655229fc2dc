/**
 * Watches: what happened since a revision, or first all that is there (watch-list), then what happens, with bookmarks, until
 * a time is over. Source: Kubernetes' API concepts, apiserver pkg/storage/cacher. Not for: who may watch what.
 */
import type { Call } from "./call.ts";
import { ApiError, badRequest, expired, failure, invalid } from "./errors.ts";
import type { Stored } from "./objects.ts";
import { groupVersion, type Target } from "./resources.ts";
import { parseFieldSelector, parseLabelSelector, type Selector } from "./selectors.ts";
import type { Change } from "./store.ts";
import type { World } from "./world.ts";

export function selectorOf({ query }: Call, target: Target): Selector {
  const labels = parseLabelSelector(query.get("labelSelector") ?? "");
  const fields = parseFieldSelector(target.resource, query.get("fieldSelector") ?? "");
  const { name, namespace } = target;
  return (object) =>
    (name === undefined || object.metadata.name === name) &&
    (namespace === undefined || object.metadata.namespace === namespace) && labels(object) && fields(object);
}

export const isTrue = (value: string | null): boolean => value === "true" || value === "1";

interface Event {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: unknown;
}

export function watch(world: World, call: Call, target: Target): AsyncIterable<Event> {
  const { query } = call;
  const initial = isTrue(query.get("sendInitialEvents"));
  checkOptions(target, query, initial);
  const from = query.get("resourceVersion") ?? "";
  if (!/^\d*$/.test(from)) {
    throw badRequest(`Invalid value: "${from}": strconv.ParseUint: parsing "${from}": invalid syntax`);
  }
  const selector = selectorOf(call, target);
  return events(world, call, target, { from: Number(from), initial, selector });
}

function checkOptions({ resource }: Target, query: URLSearchParams, initial: boolean): void {
  const match = query.get("resourceVersionMatch");
  const wrong = (field: string, message: string) =>
    invalid(resource, "", [{ reason: "FieldValueForbidden", field, message: `Forbidden: ${message}` }]);
  if (!initial && match !== null) {
    throw wrong(
      "resourceVersionMatch",
      "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    );
  }
  if (initial && match !== "NotOlderThan") {
    throw wrong(
      "sendInitialEvents",
      "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    );
  }
}

interface Wanted {
  /** 0: whatever is there. */
  from: number;
  initial: boolean;
  selector: Selector;
}

async function* events(world: World, call: Call, target: Target, wanted: Wanted): AsyncGenerator<Event> {
  const { store, settings } = world;
  const { resource } = target;
  const { selector } = wanted;
  const bookmarks = isTrue(call.query.get("allowWatchBookmarks"));
  const changes = subscribe(world, target);
  const lasts = Number(call.query.get("timeoutSeconds") ?? 1800 + 1800 * Math.random()) * 1000;
  const ending = AbortSignal.any([
    call.signal,
    changes.closed,
    AbortSignal.timeout(Math.max(1, Math.round(lasts))),
  ]);
  try {
    let reached = wanted.from;
    if (wanted.initial || wanted.from === 0) {
      const present = store.list(resource, target.namespace).filter(selector);
      reached = store.revision();
      for (const object of present) yield { type: "ADDED", object };
      if (wanted.initial && bookmarks) yield bookmark(target, reached, true);
    } else if (wanted.from < store.oldest()) {
      yield { type: "ERROR", object: failure(expired(wanted.from, store.oldest())) };
      return;
    } else {
      for (const change of store.since(resource, wanted.from)) {
        yield* eventsOf(change, selector);
        reached = change.revision;
      }
      reached = Math.max(reached, wanted.from);
    }
    while (!ending.aborted) {
      const change = await changes.next(settings.bookmarkEvery, ending);
      if (change === "time" && bookmarks) yield bookmark(target, store.revision(), false);
      else if (typeof change === "object" && change.revision > reached) yield* eventsOf(change, selector);
    }
    if (bookmarks && !call.signal.aborted) yield bookmark(target, store.revision(), false);
  } finally {
    changes.close();
  }
}

/** What a change is to somebody who sees only what the selector lets through. */
function* eventsOf({ object, before, gone }: Change, selector: Selector): Generator<Event> {
  const was = before !== undefined && selector(before);
  const is = !gone && selector(object);
  if (is) yield { type: was ? "MODIFIED" : "ADDED", object };
  // As it was when it still fitted, with the revision of the change.
  else if (was) yield { type: "DELETED", object: gone ? object : withVersion(before, object) };
}

const withVersion = (object: Stored, { metadata }: Stored): Stored => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: metadata.resourceVersion },
});

const bookmark = ({ resource }: Target, revision: number, initialEnd: boolean): Event => ({
  type: "BOOKMARK",
  object: {
    kind: resource.kind,
    apiVersion: groupVersion(resource),
    metadata: {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(initialEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
    },
  },
});

interface Changes {
  next(ms: number, signal: AbortSignal): Promise<Change | "time" | "end">;
  closed: AbortSignal;
  close(): void;
}

function subscribe({ store }: World, { resource }: Target): Changes {
  const queue: Change[] = [];
  const closing = new AbortController();
  let wake = () => {};
  const end = store.subscribe((change) => {
    if (change.resource.plural !== resource.plural || change.resource.kind !== resource.kind) return;
    queue.push(change);
    wake();
  });
  return {
    async next(ms, signal) {
      const first = queue.shift();
      if (first !== undefined) return first;
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const timer = setTimeout(resolve, ms);
      signal.addEventListener("abort", wake, { once: true });
      await promise;
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      return queue.shift() ?? (signal.aborted ? "end" : "time");
    },
    closed: closing.signal,
    close() {
      end();
      closing.abort();
    },
  };
}

/** What `ERROR` events carry, too. */
export const asFailure = (error: unknown) =>
  failure(error instanceof ApiError ? error : new ApiError(500, "InternalError", String(error)));
