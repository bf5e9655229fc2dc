/**
 * Turns what happens in the runtime into nudges: its event stream where it has one, else a cheap relist, and in any
 * case a slow relist for what got lost. Not for: reading a pod.
 */
import type { Host, Runtime } from "../ports.ts";
import type { ObservedPod } from "../model/observed.ts";
import type { Log } from "../lib/log.ts";
import { errorText } from "../model/errors.ts";

export interface WatchRuntimeOptions {
  host: Host;
  runtime: Runtime;
  log: Log;
  nudge(uid?: string): void;
  /** Told of every whole list: there may be pods in it that nobody looks after. */
  listed(pods: readonly ObservedPod[]): void;
  /** Between two relists, in ms, with and without events. */
  relist: { withEvents: number; withoutEvents: number };
}

/** What must change for a pod to deserve a look. */
const outline = (pod: ObservedPod): string =>
  JSON.stringify([pod.sandboxes.map((s) => [s.id, s.ready]), pod.containers.map((c) => [c.id, c.state])]);

/** A stream that refuses does so at once; one that stayed open this long serves. */
const openLongEnough = 1000;

/** In ms: a list that could not be had is tried again sooner than the calm one would come. */
const afterFailure = 5000;

export async function runRuntimeWatch(o: WatchRuntimeOptions, signal: AbortSignal): Promise<void> {
  let openedAt: number | undefined;
  let ended = new AbortController();
  const streaming = () => openedAt !== undefined && o.host.monotonic() - openedAt >= openLongEnough;
  const follow = async () => {
    while (!signal.aborted) {
      openedAt = o.host.monotonic();
      try {
        for await (const event of o.runtime.events(signal)) o.nudge(event.uid);
      } catch (error) {
        o.log.debug("the runtime's events ended", { error: errorText(error) });
      }
      const served = streaming();
      openedAt = undefined;
      if (served) {
        // What happens until there is a stream again is in lists only: none may wait as long as with a stream.
        ended.abort();
        ended = new AbortController();
        o.nudge();
      }
      await pause(o.host, served ? 1000 : 10_000, signal);
    }
  };
  await Promise.all([follow(), relistLoop(o, streaming, () => ended.signal, signal)]);
}

/** The end of the agent ends a pause; that is no error. */
const pause = (host: Host, ms: number, signal: AbortSignal) => host.sleep(ms, signal).catch(() => {});

async function relistLoop(
  o: WatchRuntimeOptions,
  streaming: () => boolean,
  streamEnd: () => AbortSignal,
  signal: AbortSignal,
): Promise<void> {
  let before = new Map<string, string>();
  let failed = false;
  while (!signal.aborted) {
    const calm = streaming() ? o.relist.withEvents : o.relist.withoutEvents;
    const wait = failed ? Math.min(calm, afterFailure) : calm;
    await pause(o.host, wait, AbortSignal.any([signal, streamEnd()]));
    if (signal.aborted) return;
    failed = true;
    try {
      const pods = await o.runtime.observe(undefined, signal);
      const outlines = new Map(pods.map((p) => [p.uid, outline(p)]));
      for (const [uid, text] of outlines) if (before.get(uid) !== text) o.nudge(uid);
      for (const uid of before.keys()) if (!outlines.has(uid)) o.nudge(uid);
      before = outlines;
      failed = false;
      o.listed(pods);
    } catch (error) {
      o.log.debug("cannot list the runtime's pods", { error: errorText(error) });
    }
  }
}
