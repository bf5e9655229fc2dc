/**
 * Notices a peer that has fallen silent although it owes an answer: it is asked for a sign of life, once, and given up
 * when none comes. Who has nothing to answer may be silent for ever: servers resent pings that nobody needs. Not for:
 * how long a call may take.
 */

export interface SilenceOptions {
  /** Milliseconds of silence after which the peer is asked; given up on after three times as long. */
  silenceMs: number;
  ask(): void;
  giveUp(): void;
}

export interface Silence {
  /** Something was sent that must be answered, at once or later. */
  asked(): void;
  /** Something came. */
  heard(): void;
  stop(): void;
}

export function createSilence({ silenceMs, ask, giveUp }: SilenceOptions): Silence {
  /** Since when nothing has come although something is owed, in monotonic ms. */
  let since: number | undefined;
  let pinged = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const look = () => {
    timer = undefined;
    if (since === undefined) return;
    const silent = performance.now() - since;
    if (silent >= 3 * silenceMs) return giveUp();
    if (silent >= silenceMs && !pinged) {
      pinged = true;
      ask();
    }
    arm((pinged ? 3 : 1) * silenceMs - silent);
  };
  // Timers may fire a little early.
  const arm = (ms: number) => timer = setTimeout(look, Math.max(1, Math.ceil(ms)));

  return {
    asked() {
      since ??= performance.now();
      if (timer === undefined) arm(silenceMs);
    },
    heard() {
      since = undefined;
      pinged = false;
    },
    stop() {
      since = undefined;
      clearTimeout(timer);
    },
  };
}
