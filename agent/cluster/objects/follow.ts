/**
 * Following objects that pods need: one by its own watch, one by asking where no watch is allowed, all of a kind. Each lasts
 * until it is ended. Not for: which are needed (objects.ts).
 */
import type { Log } from "../../lib/log.ts";
import { pause } from "../../lib/pause.ts";
import { volumeNameOf } from "../../model/cluster_claim.ts";
import { errorText } from "../../model/errors.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../model/gen/v1.ts";
import type { Api } from "../client/api.ts";
import { isReason } from "../client/api_error.ts";
import { type BackOff, pauseBefore } from "../client/retry.ts";
import { watchObjects, type WatchOptions } from "../client/watch_objects.ts";
import type { WatchedObject } from "../client/watch_state.ts";

/** What came of looking for something. */
export type Look<T> =
  /** Nobody can say yet. */
  | { state: "asked"; trouble?: string }
  | { state: "absent" }
  | { state: "found"; object: T };

export interface FollowOptions {
  api: Api;
  log: Log;
  random?: () => number;
  /** Tests make it short. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Of one object the kubelet's watches last so long, in seconds, or up to twice as long. */
const lasts = 1800;

type Content = WatchedObject & { immutable?: boolean };

/** What is immutable is read once: then this ends by itself. */
export async function followOne<T extends Content>(
  o: FollowOptions,
  { path, name }: { path: string; name: string },
  tell: (look: Look<T>) => void,
  ending: AbortController,
): Promise<void> {
  await watchObjects<T>({
    ...o,
    path,
    query: { fieldSelector: `metadata.name=${name}` },
    lasts,
    changed(_keys, objects) {
      const [object] = objects.values();
      tell(object === undefined ? { state: "absent" } : { state: "found", object });
      if (object?.immutable === true) ending.abort();
    },
    troubled: (error) => tell(asked(error)),
  }, ending.signal);
}

const asked = (error: unknown): Look<never> =>
  error === undefined ? { state: "asked" } : { state: "asked", trouble: errorText(error) };

/** All of a kind, or what a query selects of it. */
export type Collection<T extends WatchedObject> = Pick<WatchOptions<T>, "path" | "query" | "slim">;

/** Tells the same map again and again. */
export async function followAll<T extends WatchedObject>(
  o: FollowOptions,
  collection: Collection<T>,
  tell: (look: Look<ReadonlyMap<string, T>>) => void,
  ending: AbortController,
): Promise<void> {
  await watchObjects<T>({
    ...o,
    ...collection,
    changed: (_keys, objects) => tell({ state: "found", object: objects }),
    troubled: (error) => tell(asked(error)),
  }, ending.signal);
}

export interface ClaimLook {
  claim: Look<PersistentVolumeClaim>;
  /** Of a claim that is bound. */
  volume: Look<PersistentVolume>;
}

/** While a claim, or its volume, is not there yet. */
const soon: BackOff = { first: 1_000, most: 10_000 };
/** The kubelet asks with every pass over a pod: for volumes that have grown. In ms, or up to twice as long. */
const everyMs = 60_000;

/** A claim with its volume: a node may only ask for them. */
export async function followClaim(
  o: FollowOptions,
  { namespace, name }: { namespace: string; name: string },
  tell: (look: ClaimLook) => void,
  ending: AbortController,
): Promise<void> {
  const { random = Math.random, pause: wait = pause } = o;
  const { signal } = ending;
  for (let attempt = 0; !signal.aborted;) {
    const look = await lookAtClaim(o.api, namespace, name, signal);
    if (signal.aborted) return;
    tell(look);
    const ms = look.volume.state === "found"
      ? everyMs * (1 + random())
      : pauseBefore(attempt++, soon, random());
    await wait(ms, signal);
  }
}

async function lookAtClaim(
  api: Api,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<ClaimLook> {
  const path = `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`;
  const claim = await lookAt<PersistentVolumeClaim>(api, path, signal);
  const volumeName = claim.state === "found" ? volumeNameOf(claim.object) : undefined;
  if (volumeName === undefined) return { claim, volume: { state: "absent" } };
  const volume = await lookAt<PersistentVolume>(api, `/api/v1/persistentvolumes/${volumeName}`, signal);
  return { claim, volume };
}

async function lookAt<T>(api: Api, path: string, signal: AbortSignal): Promise<Look<T>> {
  try {
    return { state: "found", object: await api.ask({ path, signal }) as T };
  } catch (error) {
    return isReason(error, "NotFound") ? { state: "absent" } : asked(error);
  }
}
