/**
 * Tokens for the service accounts of pods, each bound to its pod: asked for when first needed, then kept until most of their
 * life is over. What was handed out is renewed in time. Not for: writing them (volumes/). Source: kubernetes
 * pkg/kubelet/token; authentication.k8s.io/v1 TokenRequest.
 */
import { createListeners, type Listeners } from "../../lib/listeners.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { AgentError, errorText } from "../../model/errors.ts";
import type { ServiceAccountTokenProjection } from "../../model/gen/v1.ts";
import { tokenKey } from "../../model/volumes.ts";
import type { Host, ServiceAccountToken, TokenPod, TokenSource } from "../../ports.ts";
import type { Api } from "../client/api.ts";
import { type BackOff, pauseBefore } from "../client/retry.ts";

export interface TokensOptions {
  api: Pick<Api, "ask">;
  host: Pick<Host, "now" | "monotonic">;
  /** In [0, 1). */
  random?: () => number;
}

export interface Tokens extends TokenSource {
  /** Uids of pods of which a token should be asked for anew. */
  due: Listeners<string>;
  /** The pod is gone. */
  forget(uid: string): void;
  /** Tells of those that are due, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

interface Kept extends ServiceAccountToken {
  uid: string;
  /** When it came, by both clocks: one stands still while the machine sleeps, the other may be set. */
  came: { wall: number; steady: number };
  /** In ms since it came. */
  life: number;
  renewAfter: number;
  told: boolean;
  failures: number;
}

/** The kubelet's: no token grows older than this, in ms. */
const oldest = 24 * 3_600_000;
const renewAt = 0.8;
const mostJitter = 10_000;
/** So long a clock that was set, or a machine that slept, goes unnoticed, in ms. */
const longestSleep = 300_000;
/** Between renewals that fail, while the old token still counts. */
const again: BackOff = { first: 10_000, most: 120_000 };

export function createTokens({ api, host, random = Math.random }: TokensOptions): Tokens {
  const kept = new Map<string, Kept>();
  const due = createListeners<string>();
  const mailbox = createMailbox<never>(() => host.monotonic());

  const age = ({ came }: Kept) => Math.max(host.now() - came.wall, host.monotonic() - came.steady);
  const isDue = (token: Kept) => age(token) >= token.renewAfter;
  const isOver = ({ came, life }: Kept) => host.monotonic() - came.steady >= life;

  async function ask(
    pod: TokenPod,
    wanted: ServiceAccountTokenProjection,
    signal: AbortSignal,
  ): Promise<Kept> {
    const answer = await api.ask({ method: "POST", ...tokenRequest(pod, wanted), signal });
    const { life, ...token } = readToken(answer);
    const jitter = Math.min(mostJitter, life * 0.1) * random();
    return {
      ...token,
      uid: pod.uid,
      came: { wall: host.now(), steady: host.monotonic() },
      life,
      renewAfter: Math.min(life * renewAt, oldest) - jitter,
      told: false,
      failures: 0,
    };
  }

  /** The next try comes later; nobody is told sooner. */
  const postpone = (token: Kept) => {
    token.renewAfter = age(token) + pauseBefore(token.failures++, again, random());
    token.told = false;
  };

  return {
    due,
    async request(pod, wanted, signal) {
      const key = `${pod.uid} ${tokenKey(wanted)}`;
      const old = kept.get(key);
      if (old !== undefined && !isDue(old)) return old;
      try {
        const token = await ask(pod, wanted, signal);
        kept.set(key, token);
        mailbox.nudge();
        return token;
      } catch (error) {
        signal.throwIfAborted();
        const why = `failed to fetch token: ${errorText(error)}`;
        if (old === undefined) throw new AgentError("FailedMount", why, { cause: error });
        if (isOver(old)) {
          throw new AgentError("FailedMount", `the token has expired: ${why}`, { cause: error });
        }
        postpone(old);
        mailbox.nudge();
        return old;
      }
    },
    forget(uid) {
      for (const [key, token] of kept) if (token.uid === uid) kept.delete(key);
    },
    async run(signal) {
      while (!signal.aborted) {
        for (const token of [...kept.values()].filter((t) => !t.told && isDue(t))) {
          token.told = true;
          due.tell(token.uid);
        }
        const left = [...kept.values()].filter((t) => !t.told).map((t) => t.renewAfter - age(t));
        const ms = Math.min(longestSleep, ...left);
        await mailbox.wait(signal, left.length === 0 ? undefined : host.monotonic() + ms);
      }
    },
  };
}

function tokenRequest(
  { pod, uid }: TokenPod,
  { audience, expirationSeconds }: ServiceAccountTokenProjection,
) {
  const { namespace = "default", name } = pod.metadata ?? {};
  const account = pod.spec?.serviceAccountName || "default";
  return {
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
    body: {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {
        audiences: audience ? [audience] : [],
        ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
        boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
      },
    },
  };
}

interface Answer {
  metadata?: { creationTimestamp?: string };
  spec?: { expirationSeconds?: number };
  status?: { token?: string; expirationTimestamp?: string };
}

/** By the server's clock alone: that of this node may be wrong. */
function readToken(answer: unknown): ServiceAccountToken & { life: number } {
  const { metadata, spec, status } = (answer ?? {}) as Answer;
  const { token, expirationTimestamp = "" } = status ?? {};
  const lives = [
    Date.parse(expirationTimestamp) - Date.parse(metadata?.creationTimestamp ?? ""),
    Number(spec?.expirationSeconds) * 1000,
  ].filter((life) => life > 0);
  if (typeof token !== "string" || token === "" || lives.length === 0) {
    throw new Error("the API server's answer holds no token, or does not say how long it lives");
  }
  return { token, expirationTimestamp, life: Math.min(...lives) };
}
