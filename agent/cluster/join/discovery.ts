/**
 * Which cluster it is that a node is to join, from nothing but its address and a token, or from a file. Source: kubeadm's
 * join, discovery phase. Not for: getting a certificate of it (bootstrap.ts).
 */
import { pause } from "../../lib/pause.ts";
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { createApi } from "../client/api.ts";
import { ApiError } from "../client/api_error.ts";
import { wrongAuthorities } from "../certificates/given.ts";
import { createConnection } from "../client/client.ts";
import { type BootstrapToken, type ClusterInfo, pinned, verifyClusterInfo } from "./cluster_info.ts";
import { fixedCredentials, readSource } from "../client/credentials.ts";
import { JoinFailure } from "./join_failure.ts";
import { type Kubeconfig, parseKubeconfig } from "../client/kubeconfig.ts";
import { pauseBefore } from "../client/retry.ts";
import { askUnverified } from "../client/unverified.ts";

export interface TokenDiscovery {
  /** `HOST:PORT` */
  endpoint: string;
  token: BootstrapToken;
  pins: readonly string[];
  /** For all of it, in ms; kubeadm's is five minutes. */
  timeout: number;
  /** One line about what is waited for, when it changes. */
  progress(line: string): void;
  random?: () => number;
}

const path = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
const askMs = 10_000;
const backOff = { first: 1_000, most: 5_000 };

/** @throws {JoinFailure}, or the signal's reason. */
export async function discoverByToken(wanted: TokenDiscovery, signal: AbortSignal): Promise<ClusterInfo> {
  const { endpoint, timeout, progress, random = Math.random } = wanted;
  const time = AbortSignal.timeout(timeout);
  let said = "";
  for (let attempt = 0;; attempt++) {
    try {
      return await once(wanted, signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asFailure(error, endpoint);
      if (!failure.retry || time.aborted) throw failure;
      if (failure.message !== said) progress(failure.message);
      said = failure.message;
      await pause(pauseBefore(attempt, backOff, random()), AbortSignal.any([signal, time]));
      signal.throwIfAborted();
      if (time.aborted) throw failure;
    }
  }
}

async function once({ endpoint, token, pins }: TokenDiscovery, signal: AbortSignal): Promise<ClusterInfo> {
  const claimed = await askUnverified(`https://${endpoint}${path}`, askMs, signal);
  const { ca } = await verifyClusterInfo(claimed, token, pins);
  // Once more, now from a server that the pinned CA vouches for: what an eavesdropper could have replayed is not enough.
  const connection = createConnection({ server: `https://${endpoint}`, ca: await pinned(ca, pins) });
  const api = createApi({ connection, credentials: fixedCredentials({}) });
  try {
    const info = await verifyClusterInfo(await api.ask({ path, deadline: askMs, signal }), token, pins);
    if (info.ca !== ca) {
      throw new JoinFailure(
        "cluster-info names two different CAs",
        "ask again; if it stays so, somebody in between answers",
        { retry: true },
      );
    }
    return info;
  } finally {
    api.close();
  }
}

function asFailure(error: unknown, endpoint: string): JoinFailure {
  if (error instanceof JoinFailure) return error;
  if (!(error instanceof ApiError)) {
    return new JoinFailure(errorText(error), "this is a fault of the agent's", { cause: error });
  }
  if (error.code === 401 || error.code === 403 || error.code === 404) {
    return new JoinFailure(
      `${endpoint} does not show ConfigMap kube-public/cluster-info to who has no credentials: ${error.message}`,
      "is it an API server of a kubeadm cluster? If so, run `kubeadm init phase bootstrap-token` there, or join by --discovery-file",
      { cause: error },
    );
  }
  return new JoinFailure(
    error.message,
    `look whether ${endpoint} is the API server's address and can be reached from here (firewall, routes, its load balancer)`,
    { retry: true, cause: error },
  );
}

export interface FoundInFile {
  server: string;
  /** PEM */
  ca: string;
  /** With the credentials that it may have. */
  kubeconfig: Kubeconfig;
}

/** Whoever gave the file is believed: no token and no pin are needed. @param path absolute. @throws {JoinFailure} */
export async function discoverByFile(host: Pick<Host, "readText">, path: string): Promise<FoundInFile> {
  const remedy =
    "give a kubeconfig such as `kubectl -n kube-public get configmap cluster-info` shows, as a file on this host";
  if (!path.startsWith("/")) throw new JoinFailure(`${path} is no absolute path`, remedy);
  const text = await host.readText(path);
  if (text === undefined) throw new JoinFailure(`${path} does not exist`, remedy);
  const { kubeconfig, problems } = parseKubeconfig(path, text);
  if (kubeconfig === undefined) {
    const why = problems.map((p) => [p.field, p.message].filter((t) => t !== undefined).join(" ")).join("; ");
    throw new JoinFailure(`${path}: ${why}`, remedy);
  }
  if (kubeconfig.ca === undefined) throw new JoinFailure(`${path} names no certificate authority`, remedy);
  const ca = await readSource(host, kubeconfig.ca).catch((cause) => {
    throw new JoinFailure(errorText(cause), remedy, { cause });
  });
  const wrong = wrongAuthorities(ca);
  if (wrong !== undefined) throw new JoinFailure(`${path}: its certificate authority ${wrong}`, remedy);
  return { server: kubeconfig.server, ca, kubeconfig };
}
