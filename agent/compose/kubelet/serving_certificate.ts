/** The certificate of the kubelet's API that the cluster signs, where that is asked for, wired. Not for: getting it (cluster/). */
import type { AltNames } from "../../cluster/certificates/certificate.ts";
import { createCertificateFiles } from "../../cluster/certificates/certificate_files.ts";
import { keepServingCertificate } from "../../cluster/identity/serving.ts";
import { createListeners, type Listeners } from "../../lib/listeners.ts";
import type { KubeletApiOptions } from "./mod.ts";

/** Under which the API server reaches this node. */
export interface NodeNames {
  current(): AltNames;
  changes: Listeners<void>;
}

export function nodeNames({ config, parts, store }: KubeletApiOptions, signal: AbortSignal): NodeNames {
  const changes = createListeners<void>();
  const current = () => ({
    dnsNames: [config.nodeName],
    ipAddresses: [...store.status()?.addresses ?? parts.node.hostIPs],
  });
  let known = JSON.stringify(current());
  store.subscribe(() => {
    const now = JSON.stringify(current());
    if (now === known) return;
    known = now;
    changes.tell();
  }, signal);
  return { current, changes };
}

export interface KeptCertificate {
  /** PEM, certificate and key in one. */
  current(): string | undefined;
  /** Until the signal. */
  keep(signal: AbortSignal): Promise<void>;
}

/** Undefined where none is asked for. */
export function servingCertificate(
  o: KubeletApiOptions,
  names: NodeNames,
  changed: () => void,
): KeptCertificate | undefined {
  const { config: { kubeletApi: api, cluster }, host, link, log, store } = o;
  if (link === undefined || !api.serverTLSBootstrap || api.certFile !== "") return undefined;
  let current: string | undefined;
  return {
    current: () => current,
    keep: (signal) =>
      keepServingCertificate({
        ...{ host, log, api: link.api, nodeName: link.nodeName },
        files: createCertificateFiles(host, cluster.certDir, "kubelet-server"),
        names: names.current,
        renamed: names.changes,
        changed(pair) {
          current = pair;
          changed();
        },
        troubled: (why) =>
          store.setProblems(
            "kubelet API's signed certificate",
            why === undefined ? [] : [{
              severity: "warning",
              file: cluster.certDir,
              field: "serverTLSBootstrap",
              message: `${why.message}; ${why.remedy}`,
            }],
          ),
      }, signal),
  };
}
