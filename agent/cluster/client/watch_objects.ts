/**
 * Keeps up with a collection of an API server for as long as the signal lasts: a streamed list (or, where the server knows
 * none, a list in pages), then its changes; reconnects from where it was, spread out. Not for: what the objects mean.
 */
import type { Log } from "../../lib/log.ts";
import { pause } from "../../lib/pause.ts";
import { errorText } from "../../model/errors.ts";
import type { Api } from "./api.ts";
import { ApiError, isExpired } from "./api_error.ts";
import { createRest } from "./rest.ts";
import { watchPause } from "./retry.ts";
import { createWatchState, type WatchedObject, type WatchState } from "./watch_state.ts";

export interface WatchOptions<T extends WatchedObject> {
  api: Api;
  /** `/api/v1/pods` */
  path: string;
  /** `fieldSelector=spec.nodeName=box` as `{ fieldSelector: "spec.nodeName=box" }`. */
  query?: Readonly<Record<string, string>>;
  log: Log;
  /** Called once when all that there is is known (`keys` are of all of it), then with what changed. */
  changed(keys: readonly string[], objects: ReadonlyMap<string, T>): void;
  /** Called when the connection breaks, with why, and with `undefined` when it stands again. */
  troubled?(error: ApiError | undefined): void;
  random?: () => number;
  /** How long a watch lasts before it is opened anew, in seconds: between this and twice as much. */
  lasts?: number;
  /** What is kept of an object. */
  slim?(object: T): T;
  /** Tests make it short. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const pageSize = "500";
/** A watch that lasted so long was a good one: the next trouble is a new one. In ms. */
const goodMs = 5_000;

/** Never rejects; ends with the signal. */
export async function watchObjects<T extends WatchedObject>(
  options: WatchOptions<T>,
  signal: AbortSignal,
): Promise<void> {
  const { log, path, random = Math.random, pause: wait = pause } = options;
  const state = createWatchState<T>(options.slim);
  let attempt = 0;
  let troubled = false;
  const rest = createRest({ back: options.api.back, returned: () => attempt = 0, wait, random }, signal);
  const trouble = (error: ApiError | undefined) => {
    if (troubled === (error !== undefined)) return;
    troubled = error !== undefined;
    options.troubled?.(error);
  };
  while (!signal.aborted) {
    const startedAt = performance.now();
    const streams = !listing.has(options.api);
    try {
      await follow(options, state, streams, signal, () => trouble(undefined));
      if (performance.now() - startedAt > goodMs) attempt = 0;
      else await rest(watchPause(undefined, attempt++, random()));
    } catch (error) {
      if (signal.aborted) return;
      if (streams && refusesStreams(error)) {
        listing.add(options.api);
        continue;
      }
      if (performance.now() - startedAt > goodMs) attempt = 0;
      const mended = asError(error);
      trouble(mended);
      const ms = watchPause(mended, attempt++, random());
      log.debug("watch broke", { path, error: errorText(error), pauseMs: Math.round(ms) });
      // Who is told to come later does, whatever others are answered.
      await (mended.retryAfter === undefined ? rest(ms) : wait(ms, signal));
    }
  }
}

const asError = (error: unknown) =>
  error instanceof ApiError ? error : new ApiError(0, "Unknown", errorText(error), { cause: error });

/** Those that refused a streamed list: no watch asks them again. */
const listing = new WeakSet<Api>();

/** Servers before 1.27, or without WatchList (as v1.33), know no sendInitialEvents. */
const refusesStreams = (error: unknown) =>
  error instanceof ApiError && (error.code === 400 || error.code === 422) && !isExpired(error);

async function follow<T extends WatchedObject>(
  options: WatchOptions<T>,
  state: WatchState<T>,
  streams: boolean,
  signal: AbortSignal,
  stands: () => void,
): Promise<void> {
  const { api, path, query = {}, changed, random = Math.random, lasts = 300 } = options;
  const tell = (keys: readonly string[], always = false) => {
    if (state.complete && (always || keys.length > 0)) changed(keys, state.objects);
  };
  const lists = state.revision === "";
  if (lists && !streams) {
    const first = !state.complete;
    const { items, revision } = await listAll<T>(api, path, query, signal);
    tell(state.list(items, revision), first);
  } else if (lists) state.beginList();
  try {
    await api.watch({
      path,
      query: {
        ...query,
        allowWatchBookmarks: "true",
        timeoutSeconds: String(Math.round(lasts * (1 + random()))),
        ...(lists && streams
          ? { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" }
          : { resourceVersion: state.revision }),
      },
      signal,
      opened: stands,
    }, (event) => {
      const first = !state.complete;
      const keys = state.event(event);
      tell(keys, first && state.complete);
    });
  } catch (error) {
    if (isExpired(error)) state.forget();
    throw error;
  }
}

interface List<T> {
  metadata?: { resourceVersion?: string; continue?: string };
  items?: T[];
}

/** In pages, so that no answer is large; a history that ends meanwhile is asked for as a whole. */
async function listAll<T>(
  api: Api,
  path: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ items: T[]; revision: string }> {
  const items: T[] = [];
  for (let token = "";;) {
    const page = await api.ask({
      path,
      query: { ...query, limit: pageSize, ...(token === "" ? {} : { continue: token }) },
      signal,
    }) as List<T>;
    if (!Array.isArray(page.items ?? [])) {
      throw new ApiError(0, "Malformed", `${path} did not answer with a list`);
    }
    items.push(...page.items ?? []);
    token = page.metadata?.continue ?? "";
    if (token === "") return { items, revision: page.metadata?.resourceVersion ?? "" };
  }
}
