/**
 * Ends pods here whose patience with a silent API server is over, and lets them run again once it has said that they are
 * still this node's. Only where rules ask for it. Not for: the rules (silence.ts).
 */
import type { Log } from "../../lib/log.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { type DesiredPod, isTerminating, type Snapshot } from "../../model/wish.ts";
import { patienceOf, type SilenceRules } from "./silence.ts";

export interface WithholdingOptions {
  rules: SilenceRules;
  monotonic(): number;
  log: Log;
  publish(snapshot: Snapshot): void;
  /** Whether the API server still wants the pod here. @throws while it cannot be asked. */
  isWanted(pod: DesiredPod, signal: AbortSignal): Promise<boolean>;
}

export interface Withholding {
  publish(snapshot: Snapshot): void;
  /** The API server has answered something. */
  heard(): void;
  run(signal: AbortSignal): Promise<void>;
}

/** In ms. */
const heardLately = 15_000;
const askAgain = 10_000;

export function createWithholding(o: WithholdingOptions): Withholding {
  const mailbox = createMailbox<true>(o.monotonic);
  const withheld = new Set<string>();
  let latest: Snapshot | undefined;
  /** At a start it is not known for how long it was silent before: what runs goes on, and nothing is started. */
  const startedAt = o.monotonic();
  let heardAt: number | undefined;
  /** When the next pod is to end, and when those that have may be asked about. */
  let due = Infinity;
  let askAt = -Infinity;

  function pass(): void {
    if (latest === undefined) return;
    due = Infinity;
    let isOver = false;
    const uids = new Set<string>();
    for (const desired of latest.pods.values()) {
      const { uid, pod } = desired;
      uids.add(uid);
      const end = (heardAt ?? startedAt) + patienceOf(pod, o.rules);
      if (isTerminating(desired) || end === Infinity) continue;
      if (end <= o.monotonic()) isOver = true;
      else due = Math.min(due, end);
      if ((heardAt === undefined || end <= o.monotonic()) && !withheld.has(uid)) withhold(uid);
    }
    for (const uid of withheld) if (!uids.has(uid)) withheld.delete(uid);
    const pods = new Map([...latest.pods].filter(([_key, p]) => isShown(p)));
    const { readable = true, ...rest } = latest;
    o.publish({ ...rest, pods, readable: readable || isOver });
  }

  function withhold(uid: string): void {
    withheld.add(uid);
    o.log.warn("pod does not run: the API server has been silent for too long", { uid });
  }

  /** The Lease is renewed more often than this. */
  const isHeard = () => heardAt !== undefined && o.monotonic() - heardAt < heardLately;

  const isShown = (pod: DesiredPod) => !withheld.has(pod.uid) || isTerminating(pod);

  /** Whether some may run again. */
  async function ask(signal: AbortSignal): Promise<boolean> {
    askAt = o.monotonic() + askAgain;
    const before = withheld.size;
    for (const desired of [...latest?.pods.values() ?? []].filter((p) => withheld.has(p.uid))) {
      if (await o.isWanted(desired, signal).catch(() => false)) withheld.delete(desired.uid);
    }
    return withheld.size < before;
  }

  const asksAt = () => withheld.size > 0 && isHeard() ? askAt : Infinity;

  return {
    publish(snapshot) {
      latest = snapshot;
      pass();
      mailbox.nudge();
    },
    heard() {
      const wasSilent = !isHeard();
      heardAt = o.monotonic();
      if (!wasSilent) return;
      askAt = heardAt;
      mailbox.nudge();
    },
    async run(signal) {
      while (!signal.aborted) {
        await mailbox.wait(signal, Math.min(due, asksAt()));
        if (signal.aborted) return;
        const released = o.monotonic() >= asksAt() && await ask(signal);
        if (released || o.monotonic() >= due) pass();
      }
    },
  };
}
