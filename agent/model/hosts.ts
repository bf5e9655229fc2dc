/**
 * A pod's host name and its /etc/hosts, byte for byte as the kubelet writes it. Pure. Not for: writing the file
 * (volumes).
 *
 * Source: kubernetes pkg/kubelet/kubelet_pods.go.
 */
import type { HostAlias, Pod } from "./gen/v1.ts";

const maxHostname = 63;

/** Host name (at most 63 characters) and domain of a pod; the domain is "" without `subdomain`. */
export function podHostname(pod: Pod, clusterDomain: string): { hostname: string; domain: string } {
  const { hostnameOverride, hostname, subdomain } = pod.spec ?? {};
  if (hostnameOverride !== undefined) return { hostname: truncate(hostnameOverride), domain: "" };
  return {
    hostname: truncate(hostname || (pod.metadata?.name ?? "")),
    domain: subdomain ? `${subdomain}.${pod.metadata?.namespace ?? "default"}.svc.${clusterDomain}` : "",
  };
}

/** As many characters as the kernel keeps (HOST_NAME_MAX). */
const maxKernelHostname = 64;

/** What the kernel is told: the short name, or the full one with setHostnameAsFQDN. */
export function kernelHostname(pod: Pod, clusterDomain: string): { hostname: string } | { error: string } {
  const { hostname, domain } = podHostname(pod, clusterDomain);
  if (pod.spec?.setHostnameAsFQDN !== true || domain === "") return { hostname };
  const full = `${hostname}.${domain}`.replace(/\.$/, "");
  if (full.length <= maxKernelHostname) return { hostname: full };
  const limit = `${maxKernelHostname} characters is the max, ${full.length} characters requested`;
  return {
    error:
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long (${limit})`,
  };
}

const truncate = (name: string): string =>
  name.length <= maxHostname ? name : name.slice(0, maxHostname).replace(/[-.]+$/, "");

export interface HostsFacts {
  podIPs: readonly string[];
  clusterDomain: string;
  /** The node's /etc/hosts, for pods on the host's network. */
  nodeHosts: string;
}

/** Text of the pod's /etc/hosts; `undefined` while the pod has no address: then none is mounted. */
export function podHosts(pod: Pod, facts: HostsFacts): string | undefined {
  const aliases = aliasLines(pod.spec?.hostAliases ?? []);
  if (pod.spec?.hostNetwork === true) {
    return `# Kubernetes-managed hosts file (host network).\n${facts.nodeHosts}${aliases}`;
  }
  if (facts.podIPs.length === 0) return undefined;
  const { hostname, domain } = podHostname(pod, facts.clusterDomain);
  const names = domain === "" ? hostname : `${hostname}.${domain}\t${hostname}`;
  return header + facts.podIPs.map((ip) => `${ip}\t${names}\n`).join("") + aliases;
}

const header = [
  "# Kubernetes-managed hosts file.",
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::0\tip6-localnet",
  "fe00::0\tip6-mcastprefix",
  "fe00::1\tip6-allnodes",
  "fe00::2\tip6-allrouters",
  "",
].join("\n");

function aliasLines(aliases: readonly HostAlias[]): string {
  if (aliases.length === 0) return "";
  const lines = aliases.map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join("\t")}\n`);
  return `\n# Entries added by HostAliases.\n${lines.join("")}`;
}
