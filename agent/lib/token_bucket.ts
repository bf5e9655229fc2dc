/** At most so much at once and so much in the long run. Not for: who waits, and in which order. */

export interface Rate {
  /** In the long run, per second; 0 is no limit. */
  qps: number;
  /** At once. */
  burst: number;
}

export interface TokenBucket {
  /** Takes a token, if need be of the future: so many ms to wait before it may be used. */
  take(): number;
}

/** `clock` in ms. */
export function createTokenBucket({ qps, burst }: Rate, clock: () => number): TokenBucket {
  let tokens = Math.max(1, burst);
  let at = clock();
  return {
    take() {
      if (qps <= 0) return 0;
      const now = clock();
      tokens = Math.min(Math.max(1, burst), tokens + (now - at) * qps / 1000) - 1;
      at = now;
      return tokens >= 0 ? 0 : -tokens * 1000 / qps;
    },
  };
}
