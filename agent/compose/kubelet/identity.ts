/**
 * By which certificate the kubelet's API shows itself, and whose client certificates it believes: from files that others may
 * replace at any time, or of the node's own authority. Not for: serving (mod.ts).
 */
import { dirname } from "@std/path";
import { wrongKey } from "../../api/kubelet/given_key.ts";
import type { ServerIdentity } from "../../api/kubelet/server.ts";
import type { AltNames } from "../../cluster/certificates/certificate.ts";
import { wrongAuthorities } from "../../cluster/certificates/given.ts";
import { type KeyPair, localIdentities } from "../../cluster/certificates/local_authority.ts";
import type { Config } from "../../config/config.ts";
import { watchForEver } from "../../lib/hints.ts";
import type { Listeners } from "../../lib/listeners.ts";
import { errorText, type Problem } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";

export interface IdentityOptions {
  config: Config;
  host: Host;
  /** A node of a cluster: only who its configuration names may ask. */
  joined: boolean;
  names(): AltNames;
  /** What the cluster has signed for it, where that is asked for: PEM, certificate and key in one. */
  signed?(): string | undefined;
  /** The names are others, or the cluster has signed. */
  changes: Listeners<void>;
  /** What was found wrong at the last look. */
  report(problems: Problem[]): void;
}

/** When files are looked at again that could not be read, in ms; hints come sooner. */
const retryMs = 30_000;
const longest = 24 * 3_600_000;

/** Tells each identity that is new; the first as soon as there is one. Until the signal. */
export async function followIdentity(
  o: IdentityOptions,
  changed: (identity: ServerIdentity) => void,
  signal: AbortSignal,
): Promise<void> {
  const { certFile, keyFile, clientCAFile } = o.config.kubeletApi;
  const files = [certFile, keyFile, clientCAFile].filter((path) => path !== "");
  let wake = () => {};
  const watching = [...new Set(files.map((path) => dirname(path)))].map(async (directory) => {
    for await (const _ of watchForEver(o.host, () => directory, signal)) wake();
  });
  o.changes.subscribe(() => wake(), signal);
  let shown: ServerIdentity | undefined;
  while (!signal.aborted) {
    const woken = new AbortController();
    wake = () => woken.abort();
    const { identity, problems, again } = await lookAt(o, shown);
    o.report(problems);
    if (identity !== undefined && JSON.stringify(identity) !== JSON.stringify(shown)) {
      shown = identity;
      changed(identity);
    }
    await o.host.sleep(again, AbortSignal.any([signal, woken.signal])).catch(() => {});
  }
  await Promise.all(watching);
}

interface Look {
  identity?: ServerIdentity;
  problems: Problem[];
  again: number;
}

/** @param before what is shown: authorities that cannot be read now are believed on. */
async function lookAt(o: IdentityOptions, before: ServerIdentity | undefined): Promise<Look> {
  const { config, joined } = o;
  const { certFile, clientCAFile } = config.kubeletApi;
  const problems: Problem[] = [];
  const given = certFile === "" ? undefined : await givenPair(o, problems);
  const signed = o.signed?.();
  const needsLocal = (certFile === "" && signed === undefined) || (!joined && clientCAFile === "");
  const local = needsLocal ? await ownIdentities(o, problems) : undefined;
  const clientCA = clientCAFile !== ""
    ? await readCertificates(o, problems, clientCAFile, "authentication.x509.clientCAFile") ??
      before?.clientCA
    : joined
    ? undefined
    : local?.ca;
  const pair = certFile !== "" ? given : signed === undefined ? local?.server : { cert: signed, key: signed };
  return {
    ...(pair === undefined ? {} : { identity: { ...pair, ...(clientCA === undefined ? {} : { clientCA }) } }),
    problems,
    again: problems.length > 0 ? retryMs : Math.min(local?.again ?? longest, longest),
  };
}

async function readCertificates(
  { host }: IdentityOptions,
  problems: Problem[],
  file: string,
  field: string,
): Promise<string | undefined> {
  const text = await host.readText(file).catch(() => undefined);
  const wrong = text === undefined ? "cannot be read" : wrongAuthorities(text);
  if (wrong === undefined) return text;
  problems.push({ severity: "warning", file, field, message: `${wrong}; expected certificates as PEM` });
  return undefined;
}

/** The files may be replaced one after the other: until they fit again, those before them are shown. */
async function givenPair(o: IdentityOptions, problems: Problem[]): Promise<KeyPair | undefined> {
  const { certFile, keyFile: file } = o.config.kubeletApi;
  const cert = await readCertificates(o, problems, certFile, "tlsCertFile");
  const key = await o.host.readText(file).catch(() => undefined);
  const wrong = key === undefined
    ? "cannot be read"
    : cert === undefined
    ? undefined
    : await wrongKey(cert, key);
  if (wrong !== undefined) {
    const message = `${wrong}; expected the key of ${certFile} as PEM`;
    problems.push({ severity: "warning", file, field: "tlsPrivateKeyFile", message });
  }
  return cert === undefined || key === undefined || wrong !== undefined ? undefined : { cert, key };
}

async function ownIdentities({ config, host, names }: IdentityOptions, problems: Problem[]) {
  const { nodeName, cluster: { certDir } } = config;
  const subject = { commonName: `system:node:${nodeName}`, organizations: ["system:nodes"] };
  const { dnsNames, ipAddresses } = names();
  const here = {
    dnsNames: [...new Set([...dnsNames, "localhost"])],
    ipAddresses: [...new Set([...ipAddresses, "127.0.0.1", "::1"])],
  };
  try {
    return await localIdentities(host, certDir, subject, here);
  } catch (error) {
    problems.push({
      severity: "warning",
      file: certDir,
      field: "certDir",
      message: `a certificate cannot be made there: ${errorText(error)}`,
    });
    return undefined;
  }
}
