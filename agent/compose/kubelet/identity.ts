/**
 * By which certificate the kubelet's API shows itself, and whose client certificates it believes: from files that others may
 * replace at any time, or of the node's own authority. Not for: serving (mod.ts).
 */
import { dirname } from "@std/path";
import type { ServerIdentity } from "../../api/kubelet/server.ts";
import type { AltNames } from "../../cluster/certificates/certificate.ts";
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
  let shown: string | undefined;
  while (!signal.aborted) {
    const woken = new AbortController();
    wake = () => woken.abort();
    const { identity, problems, again } = await lookAt(o);
    o.report(problems);
    if (identity !== undefined && JSON.stringify(identity) !== shown) {
      shown = JSON.stringify(identity);
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

async function lookAt(o: IdentityOptions): Promise<Look> {
  const { config, host, joined } = o;
  const { certFile, keyFile, clientCAFile } = config.kubeletApi;
  const problems: Problem[] = [];
  const read = async (path: string, field: string): Promise<string | undefined> => {
    const text = await host.readText(path).catch(() => undefined);
    if (text?.includes("-----BEGIN ")) return text;
    problems.push({
      severity: "warning",
      file: path,
      field,
      message: `${text === undefined ? "cannot be read" : "holds no PEM"}; expected a certificate or its key`,
    });
    return undefined;
  };
  const given = certFile === "" ? undefined : await pairOf(
    await read(certFile, "tlsCertFile"),
    await read(keyFile, "tlsPrivateKeyFile"),
  );
  const signed = o.signed?.();
  const needsLocal = (certFile === "" && signed === undefined) || (!joined && clientCAFile === "");
  const local = needsLocal ? await ownIdentities(o, problems) : undefined;
  const clientCA = clientCAFile !== ""
    ? await read(clientCAFile, "authentication.x509.clientCAFile")
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

const pairOf = (cert: string | undefined, key: string | undefined): KeyPair | undefined =>
  cert === undefined || key === undefined ? undefined : { cert, key };

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
