/** The certificate of the kubelet's API that the cluster signs, where that is asked for, wired. Not for: getting it (cluster/). */
import { createCertificateFiles } from "../../cluster/certificates/certificate_files.ts";
import { keepServingCertificate } from "../../cluster/identity/serving.ts";
import { createListeners } from "../../lib/listeners.ts";
import type { ServingCertificate } from "./identity.ts";
import { type KubeletApiOptions, namesOf } from "./mod.ts";

export interface KeptCertificate extends ServingCertificate {
  /** Until the signal. */
  keep(signal: AbortSignal): Promise<void>;
}

/** Undefined where none is asked for. */
export function servingCertificate(o: KubeletApiOptions): KeptCertificate | undefined {
  const { config: { kubeletApi: api, cluster }, host, link, log, store } = o;
  if (link === undefined || !api.serverTLSBootstrap || api.certFile !== "") return undefined;
  const changes = createListeners<void>();
  let current: string | undefined;
  return {
    current: () => current,
    changes,
    keep: (signal) =>
      keepServingCertificate({
        ...{ host, log, api: link.api, nodeName: link.nodeName },
        files: createCertificateFiles(host, cluster.certDir, "kubelet-server"),
        names: () => namesOf(o),
        changed(pair) {
          current = pair;
          changes.tell();
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
