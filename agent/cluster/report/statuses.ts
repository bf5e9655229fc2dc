/**
 * Tells the API server what became of its pods, and deletes those that it wants to end when nothing of them is left. For
 * each pod one request at a time, the newest status only, nothing when it knows already; pods take turns. What cannot be
 * told now waits. Not for: what is to be told (model/status_patch.ts).
 */
import { createListeners } from "../../lib/listeners.ts";
import type { Log } from "../../lib/log.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { pause } from "../../lib/pause.ts";
import { createTokenBucket, type Rate } from "../../lib/token_bucket.ts";
import { errorText } from "../../model/errors.ts";
import type { Pod, PodStatus } from "../../model/gen/v1.ts";
import { canonical } from "../../model/hash.ts";
import { statusPatch } from "../../model/status_patch.ts";
import type { Api } from "../client/api.ts";
import { ApiError } from "../client/api_error.ts";
import { pauseBefore } from "../client/retry.ts";
import { deletePod, pathOfPod } from "./delete_pod.ts";

/** Uids are those of the API's objects: of a static pod, its mirror's. */
export interface StatusReport {
  /** The API server shows these pods now, and no others. */
  shown(pods: Iterable<Pod>): void;
  /** What is so now. Of a pod that the API server does not show nothing is kept. */
  put(uid: string, status: PodStatus): void;
  /** Nothing of the pod is left here: if the API server waits for that it is deleted, after its last status was told. */
  departed(uid: string): void;
  /**
   * Resolves when the API server knows the newest status of the pod, or shows the pod no more. Rejects with the signal's
   * reason.
   */
  told(uid: string, signal: AbortSignal): Promise<void>;
  /** The API server can be reached again: what waits is tried at once. */
  retry(): void;
  /** Never rejects; ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

export interface StatusReportOptions {
  api: Api;
  log: Log;
  rate: Rate;
  /** In [0, 1). */
  random?: () => number;
  /** In ms, of a clock that never jumps. */
  clock?: () => number;
}

/** Requests at once, so that one that hangs does not hold up all others. */
const lanes = 8;
const backOff = { first: 500, most: 30_000 };
const requestMs = 15_000;

interface Entry {
  shown: Pod;
  wanted?: PodStatus;
  departed: boolean;
  deleted: boolean;
  busy: boolean;
  attempt: number;
  /** Not before this time. */
  at: number;
  /** What was wanted and what the API server made of it: it may know no better. */
  settled?: { wanted: string; shown: string };
}

type Said = Pick<Entry, "wanted" | "departed">;

type Errand = { kind: "patch"; body: unknown; wanted: PodStatus } | { kind: "delete" };

export function createStatusReport(o: StatusReportOptions): StatusReport {
  const { clock = () => performance.now() } = o;
  const entries = new Map<string, Entry>();
  /** What was said before the API server had shown anything: it may know the pods. */
  let early: Map<string, Said> | undefined = new Map();
  /** Uids that may have an errand, in turn. */
  const queue = new Set<string>();
  const news = createListeners<string>();
  const mailbox = createMailbox<true>(clock);
  const bucket = createTokenBucket(o.rate, clock);

  const enqueue = (uid: string) => {
    queue.add(uid);
    mailbox.nudge();
  };
  const forget = (uid: string) => {
    entries.delete(uid);
    queue.delete(uid);
    news.tell(uid);
  };

  /** The next of those whose time has come; those that have nothing to tell leave the queue. */
  function next(): { uid: string; entry: Entry; errand: Errand } | number | undefined {
    let earliest: number | undefined;
    for (const uid of queue) {
      const entry = entries.get(uid);
      const errand = entry && errandOf(entry);
      if (entry === undefined || errand === undefined || entry.busy) {
        queue.delete(uid);
        continue;
      }
      if (entry.at <= clock()) return { uid, entry, errand };
      earliest = Math.min(earliest ?? Infinity, entry.at);
    }
    return earliest;
  }

  async function go(uid: string, entry: Entry, errand: Errand, signal: AbortSignal): Promise<void> {
    try {
      if (errand.kind === "delete") {
        await deletePod(o.api, entry.shown, requestMs, signal);
        // It may stay for others' sake: they hold it by finalizers.
        entry.deleted = true;
      } else await patchStatus(o.api, entry, errand, signal);
      [entry.attempt, entry.at] = [0, 0];
    } catch (error) {
      if (signal.aborted) return;
      entry.at = clock() + pauseBefore(entry.attempt++, backOff, (o.random ?? Math.random)());
      const { namespace, name } = entry.shown.metadata ?? {};
      o.log.debug("the API server was not told of a pod", {
        pod: `${namespace}/${name}`,
        what: errand.kind,
        error: errorText(error),
      });
    } finally {
      entry.busy = false;
      if (entries.get(uid) === entry) enqueue(uid);
      news.tell(uid);
    }
  }

  return {
    shown(pods) {
      const uids = new Set<string>();
      for (const pod of pods) {
        const uid = pod.metadata?.uid ?? "";
        uids.add(uid);
        const known = entries.get(uid);
        if (known?.shown === pod) continue;
        if (known === undefined) entries.set(uid, newEntry(pod, early?.get(uid)));
        else if (!isOlder(pod, known.shown)) known.shown = pod;
        enqueue(uid);
        news.tell(uid);
      }
      for (const uid of entries.keys()) if (!uids.has(uid)) forget(uid);
      const waiting = [...early?.keys() ?? []];
      early = undefined;
      for (const uid of waiting) news.tell(uid);
    },
    put(uid, status) {
      early?.set(uid, { wanted: status, departed: false });
      const entry = entries.get(uid);
      if (entry === undefined) return;
      [entry.wanted, entry.departed] = [status, false];
      enqueue(uid);
    },
    departed(uid) {
      early?.set(uid, { ...early.get(uid), departed: true });
      const entry = entries.get(uid);
      if (entry === undefined) return;
      entry.departed = true;
      enqueue(uid);
    },
    async told(uid, signal) {
      const open = () => {
        const entry = entries.get(uid);
        if (entry === undefined) return early?.has(uid) === true;
        return (entry.busy || errandOf(entry)?.kind === "patch");
      };
      const own = new AbortController();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const look = (told: string) => told === uid && !open() && resolve();
      const leave = () => reject(signal.reason);
      signal.throwIfAborted();
      signal.addEventListener("abort", leave, { once: true });
      news.subscribe(look, own.signal);
      look(uid);
      try {
        await promise;
      } finally {
        own.abort();
        signal.removeEventListener("abort", leave);
      }
    },
    retry() {
      for (const [uid, entry] of entries) {
        [entry.attempt, entry.at] = [0, 0];
        enqueue(uid);
      }
    },
    async run(signal) {
      const running = new Set<Promise<void>>();
      while (!signal.aborted) {
        const found = running.size < lanes ? next() : undefined;
        if (found === undefined || typeof found === "number") {
          await mailbox.wait(signal, found);
          continue;
        }
        const { uid, entry } = found;
        await pause(bucket.take(), signal);
        // What was wanted may have changed meanwhile.
        const errand = errandOf(entry);
        queue.delete(uid);
        if (signal.aborted || errand === undefined || entries.get(uid) !== entry) continue;
        entry.busy = true;
        const work = go(uid, entry, errand, signal).finally(() => running.delete(work));
        running.add(work);
      }
      await Promise.all(running);
    },
  };
}

const newEntry = (shown: Pod, said: Said = { departed: false }): Entry => ({
  shown,
  ...said,
  deleted: false,
  busy: false,
  attempt: 0,
  at: 0,
});

/** The server's own answer may come before the watch's events that led to it. */
function isOlder(pod: Pod, than: Pod): boolean {
  const [a, b] = [pod, than].map((p) => Number(p.metadata?.resourceVersion));
  return Number.isFinite(a) && Number.isFinite(b) && a! < b!;
}

function errandOf(entry: Entry): Errand | undefined {
  const { shown, wanted, settled, departed, deleted } = entry;
  const body = wanted && statusPatch(shown, wanted);
  const known = settled !== undefined && settled.wanted === canonical(wanted) &&
    settled.shown === canonical(shown.status);
  if (wanted !== undefined && body !== undefined && !known) return { kind: "patch", body, wanted };
  const awaited = departed && !deleted && shown.metadata?.deletionTimestamp !== undefined;
  return awaited ? { kind: "delete" } : undefined;
}

async function patchStatus(
  api: Api,
  entry: Entry,
  { body, wanted }: Extract<Errand, { kind: "patch" }>,
  signal: AbortSignal,
): Promise<void> {
  const settle = (shown: Pod) =>
    entry.settled = { wanted: canonical(wanted), shown: canonical(shown.status) };
  let answer: Pod;
  try {
    answer = await api.ask({
      method: "PATCH",
      path: `${pathOfPod(entry.shown)}/status`,
      body,
      contentType: "application/strategic-merge-patch+json",
      deadline: requestMs,
      signal,
    }) as Pod;
  } catch (error) {
    // As it is it will be refused for ever, and must not hold up the pod's end.
    if (error instanceof ApiError && (error.code === 422 || error.code === 400)) settle(entry.shown);
    throw error;
  }
  if (answer?.metadata?.uid !== entry.shown.metadata?.uid) return;
  if (!isOlder(answer, entry.shown)) entry.shown = answer;
  settle(answer);
}
