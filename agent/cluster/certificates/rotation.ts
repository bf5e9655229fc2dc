/**
 * Keeps a node's client certificate alive: renews it in time, and says what to do when that cannot be. Source: client-go's
 * util/certificate. Not for: when (renewal.ts), nor for the first one (enroll.ts).
 */
import type { Log } from "../../lib/log.ts";
import { pause } from "../../lib/pause.ts";
import type { Api } from "../client/api.ts";
import { ApiError } from "../client/api_error.ts";
import type { CertificateFiles, CertificateHost } from "./certificate_files.ts";
import { JoinFailure, newToken } from "../join/join_failure.ts";
import { renewalOf } from "./renewal.ts";
import { pauseBefore } from "../client/retry.ts";
import { getCertificate } from "./signing.ts";

export interface Rotating {
  host: Pick<CertificateHost, "now">;
  files: CertificateFiles;
  api: Api;
  nodeName: string;
  log: Log;
  /** The new pair is in its file. */
  renewed(): void;
  /** It cannot be renewed for now, with why and what to do; `undefined` when that is over. */
  troubled(failure: JoinFailure | undefined): void;
  /** In [0, 1). */
  random?: () => number;
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const patience = 15 * 60_000;
const renewalBackOff = { first: 5_000, most: 5 * 60_000 };

/** Renews the client certificate as long as the signal lasts. Never rejects. */
export async function rotateClientCertificate(o: Rotating, signal: AbortSignal): Promise<void> {
  const { host, files, random = Math.random, pause: wait = pause } = o;
  let attempt = 0;
  // One for each certificate: drawn anew at each look the point would move.
  let drawn: { of: number; random: number } | undefined;
  while (!signal.aborted) {
    const { pair } = await files.current();
    const life = pair?.certificate ?? { notBefore: 0, notAfter: 0 };
    if (drawn?.of !== life.notAfter) drawn = { of: life.notAfter, random: random() };
    const renewal = renewalOf(life, host.now(), drawn.random);
    if (renewal.state === "wait" || renewal.state === "early") {
      await wait(renewal.ms, signal);
      continue;
    }
    try {
      await renewOnce(o, signal);
      attempt = 0;
      o.troubled(undefined);
      o.renewed();
    } catch (error) {
      if (signal.aborted) return;
      o.troubled(renewalFailure(error, renewal.state === "expired"));
      await wait(pauseBefore(attempt++, renewalBackOff, random()), signal);
    }
  }
}

async function renewOnce({ files, api, nodeName, log }: Rotating, signal: AbortSignal): Promise<void> {
  const keys = await files.pendingKey();
  try {
    const chain = await getCertificate(
      { api, nodeName, keys, use: { kind: "client" }, patience, log },
      signal,
    );
    await files.store(chain, keys);
  } catch (error) {
    // A request that was refused, or that nobody wants, is not asked for again with the same key.
    if (error instanceof JoinFailure) await files.dropPendingKey();
    throw error;
  }
}

function renewalFailure(error: unknown, expired: boolean): JoinFailure {
  if (error instanceof JoinFailure && !expired) return error;
  const why = error instanceof Error ? error.message : String(error);
  const message = expired
    ? `the node's client certificate has expired and cannot be renewed: ${why}`
    : `the node's client certificate cannot be renewed: ${why}`;
  const remedy = expired
    ? `${newToken}; running pods stay`
    : error instanceof ApiError && error.code !== 0
    ? "look whether the cluster lets nodes ask for certificates (ClusterRole system:certificates.k8s.io:certificatesigningrequests:selfnodeclient)"
    : "it is tried again; look whether the API server can be reached";
  return new JoinFailure(message, remedy, { retry: true, cause: error });
}
