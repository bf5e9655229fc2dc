/**
 * Gets a certificate of the cluster: asks, waits until somebody approves, and believes only a certificate for its own key.
 * Source: Kubernetes' certificates API, the kubelet's bootstrap. Not for: where keys and certificates lie
 * (certificate_files.ts).
 */
import { errorText } from "../../model/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Api } from "../client/api.ts";
import { isReason } from "../client/api_error.ts";
import { type AltNames, certificatesIn } from "./certificate.ts";
import { createRequest, publicKeyOf } from "./issue.ts";
import { JoinFailure } from "../join/join_failure.ts";
import { fromBase64, toBase64 } from "./pem.ts";
import { watchObjects } from "../client/watch_objects.ts";
import type { WatchedObject } from "../client/watch_state.ts";

export interface SigningWanted {
  api: Api;
  nodeName: string;
  keys: CryptoKeyPair;
  /** `serving` for the names and addresses under which the node is reached. */
  use: { kind: "client" } | ({ kind: "serving" } & AltNames);
  /** How long somebody may take to approve, in ms; the kubelet's is fifteen minutes. */
  patience: number;
  log: Log;
  /** One line about what is waited for. */
  progress?(line: string): void;
}

interface SigningRequest extends WatchedObject {
  spec?: { request?: string };
  status?: {
    certificate?: string;
    conditions?: { type?: string; status?: string; reason?: string; message?: string }[];
  };
}

const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/** PEM, the whole chain. @throws {JoinFailure}, {ApiError}, or the signal's reason. */
export async function getCertificate(wanted: SigningWanted, signal: AbortSignal): Promise<string> {
  const { api, nodeName, keys, use } = wanted;
  const subject = { commonName: `system:node:${nodeName}`, organizations: ["system:nodes"] };
  const names = use.kind === "serving" ? { dnsNames: use.dnsNames, ipAddresses: use.ipAddresses } : {};
  const request = await createRequest({ subject, ...names }, keys);
  const name = `${use.kind === "client" ? "node-csr" : "csr"}-${await digestOf(keys, use)}`;
  const body = {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { name },
    spec: {
      request: btoa(request),
      signerName: use.kind === "client"
        ? "kubernetes.io/kube-apiserver-client-kubelet"
        : "kubernetes.io/kubelet-serving",
      usages: ["digital signature", use.kind === "client" ? "client auth" : "server auth"],
    },
  };
  try {
    await api.ask({ method: "POST", path, body, signal });
  } catch (error) {
    // The same key asked before, perhaps before a restart: that request goes on.
    if (!isReason(error, "AlreadyExists")) throw error;
  }
  return await decided(wanted, name, signal);
}

/** The same for the same key and names, so that a restart finds its own request. */
async function digestOf(keys: CryptoKeyPair, use: SigningWanted["use"]): Promise<string> {
  const names = new TextEncoder().encode(JSON.stringify(use));
  const content = Uint8Array.from([...await publicKeyOf(keys), ...names]);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", content)).toHex().slice(0, 43);
}

/** Waits for a certificate or a refusal. */
async function decided(wanted: SigningWanted, name: string, signal: AbortSignal): Promise<string> {
  const { api, log, patience, progress } = wanted;
  const done = new AbortController();
  const late = AbortSignal.timeout(patience);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  promise.catch(() => {});
  progress?.(`waiting until CertificateSigningRequest ${name} is approved`);
  const look = async (request: SigningRequest | undefined) => {
    if (request === undefined) return;
    const outcome = await outcomeOf(wanted, name, request);
    if (outcome !== undefined) resolve(outcome);
  };
  const watching = watchObjects<SigningRequest>({
    api,
    path,
    query: { fieldSelector: `metadata.name=${name}` },
    log,
    changed: (_keys, objects) => void look(objects.get(name)).catch(reject),
    troubled: (error) => progress?.(error === undefined ? "the API server answers again" : errorText(error)),
  }, AbortSignal.any([signal, late, done.signal]));
  try {
    const ended = watching.then(() => {
      signal.throwIfAborted();
      throw notApproved(name, patience);
    });
    return await Promise.race([promise, ended]);
  } finally {
    done.abort();
    await watching;
  }
}

const notApproved = (name: string, ms: number) =>
  new JoinFailure(
    `nobody has approved CertificateSigningRequest ${name} in ${Math.round(ms / 60_000)} minutes`,
    `run \`kubectl certificate approve ${name}\` as an administrator, then try again`,
    { retry: true },
  );

async function outcomeOf(
  { keys, nodeName }: SigningWanted,
  name: string,
  { status }: SigningRequest,
): Promise<string | undefined> {
  const against = status?.conditions?.find((c) => c.type === "Denied" || c.type === "Failed");
  if (against !== undefined) {
    throw new JoinFailure(
      `CertificateSigningRequest ${name} was ${against.type === "Denied" ? "denied" : "not signed"}: ${
        against.message ?? against.reason ?? "without a word"
      }`,
      `look at \`kubectl describe csr ${name}\`, remove it with \`kubectl delete csr ${name}\`, then try again`,
    );
  }
  if (status?.certificate === undefined || status.certificate === "") return undefined;
  const bytes = fromBase64(status.certificate);
  const pem = bytes === undefined ? "" : new TextDecoder().decode(bytes);
  const [certificate] = certificatesIn(pem);
  const own = toBase64(await publicKeyOf(keys));
  if (
    certificate === undefined || toBase64(certificate.publicKey) !== own ||
    certificate.subject.commonName !== `system:node:${nodeName}`
  ) {
    throw new JoinFailure(
      `CertificateSigningRequest ${name} was answered with a certificate for somebody else`,
      `remove it with \`kubectl delete csr ${name}\`, then try again`,
    );
  }
  return pem;
}
