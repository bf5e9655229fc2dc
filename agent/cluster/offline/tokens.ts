/**
 * Tokens of pods that outlast a start without an API server. Not for: getting them (TokenSource), nor when a new one is
 * wanted.
 */
import { tokenKey } from "../../model/volumes.ts";
import type { ServiceAccountToken, TokenSource } from "../../ports.ts";

export interface KeptTokens {
  source: TokenSource;
  /** By what was asked for. */
  tokens: Map<string, ServiceAccountToken>;
  clock: { now(): number };
  /** Whether the API server has answered of late. */
  answers(): boolean;
  changed(isFirst: boolean): void;
  /** A kept token was given to the pod. */
  lent(uid: string): void;
}

/**
 * The source's, or the last one while the API server is away. One that has expired lets the pod start, and is good for
 * nothing else: where nobody signs tokens, nobody takes them either.
 */
export const keepTokens = ({ source, tokens, clock, answers, changed, lent }: KeptTokens): TokenSource => ({
  async request(pod, wanted, signal) {
    const key = `${pod.uid} ${tokenKey(wanted)}`;
    const kept = tokens.get(key);
    const lend = (token: ServiceAccountToken) => {
      lent(pod.uid);
      return token;
    };
    if (kept !== undefined && !answers()) return lend(kept);
    try {
      const token = await source.request(pod, wanted, signal);
      if (token.token !== kept?.token) {
        tokens.set(key, token);
        changed(kept === undefined);
      }
      return token;
    } catch (error) {
      if (signal.aborted || kept === undefined) throw error;
      if (answers() && Date.parse(kept.expirationTimestamp) <= clock.now()) throw error;
      return lend(kept);
    }
  },
});

export const uidOf = (key: string): string => key.split(" ")[0]!;

/** Pods whose token is one that was kept get another when the API server answers. */
export function createRenewals(clock: { monotonic(): number }, renew: (uid: string) => void) {
  const waiting = new Set<string>();
  let renewedAt = -Infinity;
  return {
    lent: (uid: string) => void waiting.add(uid),
    heard() {
      if (waiting.size === 0 || clock.monotonic() - renewedAt < renewEvery) return;
      renewedAt = clock.monotonic();
      const uids = [...waiting];
      waiting.clear();
      uids.forEach(renew);
    },
  };
}

/** In ms: a server may answer and yet sign none. */
const renewEvery = 10_000;
