/**
 * Keeps what the API server wants of this node, and says it again after a start until the API server speaks itself. Writes
 * only what has changed, seldom, and never waits for the disk. Not for: how long pods may go on without it (silence.ts).
 */
import type { Log } from "../../lib/log.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { errorText } from "../../model/errors.ts";
import type { Snapshot } from "../../model/wish.ts";
import type { ServiceAccountToken, TokenSource } from "../../ports.ts";
import type { Cache } from "./cache.ts";
import { completed, keptSnapshot, type Limits, whatIsKept } from "./kept.ts";
import { keepTokens, uidOf } from "./tokens.ts";

export interface KeepingOptions {
  cache: Cache;
  limits: Limits;
  clock: { now(): number; monotonic(): number };
  log: Log;
  /** Whether the API server has answered of late. */
  answers(): boolean;
  publish(snapshot: Snapshot): void;
  /** What is wrong with what is kept, one sentence each. */
  report(sentences: readonly string[]): void;
}

export interface Keeping {
  publish(snapshot: Snapshot): void;
  /** `lent` is told of pods whose token another should stand for as soon as the API server answers. */
  tokens(source: TokenSource, lent: (uid: string) => void): TokenSource;
  /** Says what is kept, then keeps; ends with the signal, when all is written. */
  run(signal: AbortSignal): Promise<void>;
}

/** In ms. Changes come in bursts; flash memory wears out; a token that was renewed is as good as its predecessor for long. */
const burst = 1_000;
const rest = 5_000;
const renewals = 600_000;
const afterFailure = 60_000;

export function createKeeping(o: KeepingOptions): Keeping {
  const { cache, clock, log } = o;
  const mailbox = createMailbox<true>(() => clock.monotonic());
  const tokens = new Map<string, ServiceAccountToken>();
  /** Stands in for what the API server cannot be asked for since the start. */
  let earlier: Snapshot | undefined;
  let latest: Snapshot | undefined;
  let due: number | undefined;
  let savedAt = -Infinity;

  function saveWithin(ms: number): void {
    const at = Math.max(clock.monotonic() + ms, savedAt + rest);
    if (due !== undefined && due <= at) return;
    due = at;
    mailbox.nudge();
  }

  async function load(): Promise<void> {
    const kept = await cache.load();
    if (kept === undefined) return;
    for (const [key, token] of Object.entries(kept.tokens)) if (!tokens.has(key)) tokens.set(key, token);
    earlier = keptSnapshot(kept);
    if (latest !== undefined) return;
    log.info("pods of the cluster are those of the last time", { pods: kept.pods.length });
    o.publish(earlier);
  }

  async function save(): Promise<void> {
    due = undefined;
    if (latest === undefined) return;
    savedAt = clock.monotonic();
    const uids = new Set([...latest.pods.values()].map((p) => p.uid));
    for (const key of tokens.keys()) if (!uids.has(uidOf(key))) tokens.delete(key);
    const { kept, left } = whatIsKept(latest, tokens, o.limits);
    try {
      await cache.save(kept);
      o.report(left.length === 0 ? [] : [tooMuch(left)]);
    } catch (error) {
      o.report([
        `pods of the cluster cannot be kept for a start without its API server: ${errorText(error)}`,
      ]);
      saveWithin(afterFailure);
    }
  }

  return {
    publish(snapshot) {
      latest = earlier === undefined ? snapshot : completed(snapshot, earlier);
      if ((snapshot.unread?.size ?? 0) === 0) earlier = undefined;
      o.publish(latest);
      saveWithin(burst);
    },
    tokens: (source, lent) =>
      keepTokens({
        ...o,
        source,
        tokens,
        lent,
        changed: (isFirst) => saveWithin(isFirst ? burst : renewals),
      }),
    async run(signal) {
      await load();
      while (!signal.aborted) {
        await mailbox.wait(signal, due);
        if (due !== undefined && clock.monotonic() >= due) await save();
      }
      if (due !== undefined) await save();
    },
  };
}

const tooMuch = (left: readonly string[]): string =>
  `${left.length} pods do not fit into what is kept of the cluster (offline.maxSize) and start only when its API ` +
  `server answers: ${left.slice(0, 10).join(", ")}${left.length > 10 ? ", …" : ""}`;
