/**
 * Makes this host known to a cluster that was found: reads what the cluster says about its kubelets, gets a client
 * certificate; leaves the kubelet's files, once it is known that this host has joined. Safe to do again at any point. The bootstrap token is never written. Source:
 * kubeadm's join, phase kubelet-start. Not for: finding the cluster (discovery.ts), registering the Node.
 */
import { join } from "@std/path";
import type { Log } from "../../lib/log.ts";
import { type Api, createApi, type Credentials } from "../client/api.ts";
import { isReason } from "../client/api_error.ts";
import {
  type CertificateFiles,
  type CertificateHost,
  createCertificateFiles,
} from "../certificates/certificate_files.ts";
import { certificatesIn, pinOf } from "../certificates/certificate.ts";
import { createConnection } from "../client/client.ts";
import { fixedCredentials } from "../client/credentials.ts";
import { JoinFailure, newToken } from "./join_failure.ts";
import { formatKubeconfig } from "../client/kubeconfig.ts";
import { renewalOf } from "../certificates/renewal.ts";
import { getCertificate } from "../certificates/signing.ts";

export interface Places {
  /** `/etc/kubernetes/kubelet.conf` */
  kubeconfig: string;
  /** `/etc/kubernetes/pki/ca.crt` */
  ca: string;
  /** `/var/lib/kubelet/pki` */
  certificates: string;
}

export interface Enrolling {
  host: CertificateHost;
  places: Places;
  cluster: { server: string; ca: string; proxyUrl?: string };
  /** Who asks: a bootstrap token, or what a discovery file has. */
  credentials: Credentials;
  nodeName: string;
  /** For somebody to approve, in ms. */
  patience: number;
  log: Log;
  progress(line: string): void;
}

export interface Enrolled {
  /** Texts of what kubeadm left; absent where this cluster has none, or does not show it. */
  clusterConfiguration?: string;
  kubeletConfiguration?: string;
  /** There was a certificate that serves already. */
  again: boolean;
}

/** @throws {JoinFailure}, {ApiError}, or the signal's reason. */
export async function enroll(wanted: Enrolling, signal: AbortSignal): Promise<Enrolled> {
  const { host, places } = wanted;
  await checkSameCluster(wanted);
  const files = createCertificateFiles(host, places.certificates, "kubelet-client");
  const pair = await serves(wanted, files);
  try {
    if (pair !== undefined) {
      const own = fixedCredentials({ certificate: pair, key: pair });
      return { ...await askAs(wanted, own, readConfigurations, signal), again: true };
    }
  } catch (error) {
    // Of another cluster, or of a node that was taken out of it: another one is asked for.
    if (!isReason(error, "Unauthorized")) throw error;
  }
  try {
    const get = async (api: Api) => {
      const found = await readConfigurations(api, signal);
      await getPair(wanted, files, api, signal);
      return found;
    };
    return { ...await askAs(wanted, wanted.credentials, get, signal), again: false };
  } catch (error) {
    if (!isReason(error, "Unauthorized")) throw error;
    throw new JoinFailure(
      "the API server does not take the bootstrap token: it has expired, or was deleted",
      newToken,
      { cause: error },
    );
  }
}

async function askAs<T>(
  { cluster }: Enrolling,
  credentials: Credentials,
  work: (api: Api, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const api = createApi({ connection: createConnection(cluster), credentials });
  try {
    return await work(api, signal);
  } finally {
    api.close();
  }
}

async function getPair(
  wanted: Enrolling,
  files: CertificateFiles,
  api: Api,
  signal: AbortSignal,
): Promise<void> {
  const keys = await files.pendingKey();
  const use = { kind: "client" } as const;
  await files.store(await getCertificate({ ...wanted, api, keys, use }, signal), keys);
}

/** A host that is a node of one cluster does not silently become one of another. */
async function checkSameCluster({ host, places, cluster }: Enrolling): Promise<void> {
  const text = await host.readText(places.ca);
  if (text === undefined) return;
  const pins = async (pem: string): Promise<string[]> => await Promise.all(certificatesIn(pem).map(pinOf));
  const [known, wanted] = [await pins(text).catch((): string[] => []), await pins(cluster.ca)];
  if (wanted.some((pin) => known.includes(pin))) return;
  throw new JoinFailure(
    `${places.ca} is the CA of another cluster`,
    "if this host is to leave that cluster, run `agent reset`, then join again",
  );
}

/** The pair of an earlier join of this node, when it still serves. */
async function serves({ host, nodeName }: Enrolling, files: CertificateFiles): Promise<string | undefined> {
  const { pair } = await files.current();
  if (pair === undefined || pair.certificate.subject.commonName !== `system:node:${nodeName}`) {
    return undefined;
  }
  const { state } = renewalOf(pair.certificate, host.now(), 0.999);
  return state === "wait" ? pair.text : undefined;
}

async function readConfigurations(api: Api, signal: AbortSignal): Promise<Omit<Enrolled, "again">> {
  const cluster = await configuration(api, "kubeadm-config", "ClusterConfiguration", signal);
  const kubelet = await configuration(api, "kubelet-config", "kubelet", signal);
  return {
    ...(cluster === undefined ? {} : { clusterConfiguration: cluster }),
    ...(kubelet === undefined ? {} : { kubeletConfiguration: kubelet }),
  };
}

async function configuration(
  api: Api,
  name: string,
  key: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const answer = await api.ask({ path: `/api/v1/namespaces/kube-system/configmaps/${name}`, signal });
    const text = (answer as { data?: Record<string, unknown> } | null)?.data?.[key];
    return typeof text === "string" ? text : undefined;
  } catch (error) {
    if (isReason(error, "NotFound", "Forbidden")) return undefined;
    throw error;
  }
}

/** How others find the cluster from here, as its node; nothing is written again. */
export async function writeKubeletFiles(
  { host, places, cluster }: Pick<Enrolling, "host" | "places" | "cluster">,
): Promise<void> {
  const write = async (path: string, text: string, mode: number) => {
    if (await host.readText(path) === text) return;
    await host.mkdir(join(path, ".."));
    await host.writeFileAtomic(path, text, mode);
  };
  const current = { file: createCertificateFiles(host, places.certificates, "kubelet-client").path };
  const kubeconfig = { server: cluster.server, ca: { pem: cluster.ca }, certificate: current, key: current };
  const proxy = cluster.proxyUrl === undefined ? {} : { proxyUrl: cluster.proxyUrl };
  await write(places.kubeconfig, formatKubeconfig({ ...kubeconfig, ...proxy }), 0o600);
  // After what tells whose it is.
  await write(places.ca, cluster.ca, 0o644);
}
