/** What is typed to join a cluster, as kubeadm join has it: the command line and what carries it out share it. */

/** Of kubeadm's phases of a join those that can be left out here. */
export const joinPhases = ["preflight", "kubelet-start", "kubelet-wait-bootstrap"] as const;

export interface JoinFlags {
  /** `HOST:PORT` of the API server. */
  endpoint?: string;
  /** For both discovery and the certificate, unless one of the next two says otherwise. */
  token?: string;
  discoveryToken?: string;
  tlsBootstrapToken?: string;
  pins: readonly string[];
  unsafeSkipCAVerification: boolean;
  /** A kubeconfig that names the cluster. */
  discoveryFile?: string;
  nodeName?: string;
  criSocket?: string;
  ignorePreflightErrors: readonly string[];
  controlPlane: boolean;
}
