/** Gets a certificate of this node, as itself or by bootstrap credentials, and leaves it in the kubelet's files. */
import { dirname } from "@std/path";
import type { Log } from "../../lib/log.ts";
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import type { CertificateFiles } from "../certificates/certificate_files.ts";
import { getCertificate, type SigningWanted } from "../certificates/signing.ts";
import { type Api, createApi } from "../client/api.ts";
import { ApiError, isReason } from "../client/api_error.ts";
import { createConnection } from "../client/client.ts";
import { createCredentials } from "../client/credentials.ts";
import { formatKubeconfig, type Kubeconfig } from "../client/kubeconfig.ts";
import { trustOf } from "../client/trust.ts";
import { JoinFailure, newToken } from "../join/join_failure.ts";
import type { Trouble } from "./situation.ts";

export interface Asking {
  host: Host;
  files: CertificateFiles;
  nodeName: string;
  log: Log;
  progress(line: string): void;
  /** Default: for clients. */
  use?: SigningWanted["use"];
  /** For somebody to approve, in ms. */
  patience?: number;
}

/** The kubelet's. */
export const ordinaryPatience = 15 * 60_000;

/** @throws {JoinFailure}, {ApiError}, or the signal's reason. */
export async function askForCertificate(asking: Asking, api: Api, signal: AbortSignal): Promise<void> {
  const { files } = asking;
  const keys = await files.pendingKey();
  try {
    const use = { kind: "client" } as const;
    const wanted = { patience: ordinaryPatience, use, ...asking, api, keys };
    await files.store(await getCertificate(wanted, signal), keys);
  } catch (error) {
    // A request that was refused, or that nobody wants, is not made again with the same key.
    if (error instanceof JoinFailure) await files.dropPendingKey();
    throw error;
  }
}

export async function askByBootstrap(
  asking: Asking,
  bootstrap: Kubeconfig,
  signal: AbortSignal,
): Promise<void> {
  const { host } = asking;
  const connection = createConnection(await trustOf(host, bootstrap));
  const api = createApi({ connection, credentials: createCredentials(host, bootstrap) });
  try {
    await askForCertificate(asking, api, signal);
  } catch (error) {
    if (!isReason(error, "Unauthorized")) throw error;
    throw new JoinFailure(
      `the API server does not take the bootstrap credentials (expired, or deleted?): ${error.message}`,
      `${newToken}, or put a new token into the bootstrap kubeconfig`,
      { retry: true, cause: error },
    );
  } finally {
    api.close();
  }
}

/** Of the cluster that the bootstrap kubeconfig names, with the pair at `certificate`. */
export async function writeKubeconfig(
  host: Pick<Host, "mkdir" | "writeFileAtomic">,
  path: string,
  { server, ca, proxyUrl }: Kubeconfig,
  certificate: string,
): Promise<void> {
  const current = { file: certificate };
  const kubeconfig = { server, certificate: current, key: current };
  const more = { ...(ca === undefined ? {} : { ca }), ...(proxyUrl === undefined ? {} : { proxyUrl }) };
  await host.mkdir(dirname(path));
  await host.writeFileAtomic(path, formatKubeconfig({ ...kubeconfig, ...more }), 0o600);
}

/** @param serves whether the node has a certificate that goes on serving meanwhile. */
export function whyRefused(error: unknown, serves: boolean): Trouble {
  const severity = serves ? "warning" : "error";
  if (error instanceof JoinFailure) return { severity, failure: error };
  const what = serves ? "the node's client certificate cannot be renewed" : "the node gets no certificate";
  const remedy = error instanceof ApiError && error.code !== 0
    ? "look whether the cluster lets nodes ask for certificates (ClusterRoles system:node-bootstrapper and " +
      "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient)"
    : "it is tried again; look whether the API server can be reached from here";
  return {
    severity,
    failure: new JoinFailure(`${what}: ${errorText(error)}`, remedy, { retry: true, cause: error }),
  };
}
