/** Which Kubernetes a node with this agent is one of, for who compares versions: kubeadm, controllers, kubectl. */

export const KUBERNETES_VERSION = "v1.36.2";

/** As a Node tells it: a version of that Kubernetes, built by us (semver's build metadata, as distributions have it). */
export const kubeletVersion = (agentVersion: string): string =>
  `${KUBERNETES_VERSION}+agent.${agentVersion.replace(/[^0-9A-Za-z.-]/g, "-")}`;
