/** What is typed to join a cluster, as kubeadm join has it. A type alone: the command line and what carries it out share it. */

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
