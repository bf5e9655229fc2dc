/**
 * The DNS configuration of a pod from its dnsPolicy, dnsConfig and the node's resolv.conf. Pure. Not for: writing
 * resolv.conf (the runtime does).
 *
 * Source: kubernetes pkg/kubelet/network/dns/dns.go; limits of pkg/apis/core/validation.
 */
import type { Pod } from "./gen/v1.ts";
import type { DnsConfig } from "./container.ts";

const maxServers = 3;
const maxSearches = 32;
const maxSearchCharacters = 2048;
const maxDomain = 253;

/** What the node knows. */
export interface DnsFacts {
  /** The node's resolv.conf, parsed; `undefined` when resolvConf is set to "": then names resolve nowhere. */
  host: DnsConfig | undefined;
  /** Addresses of the cluster's DNS; may be empty. */
  clusterDNS: readonly string[];
  /** `cluster.local`; may be "". */
  clusterDomain: string;
  hostIPs: readonly string[];
}

/** Last `search` line wins, `nameserver` lines add up, options add up with the last value of each name. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line.trim().split(/\s+/);
    if (keyword === "nameserver" && words[0] !== undefined) servers.push(words[0]);
    if (keyword === "search") searches = words.map((word) => word === "." ? word : word.replace(/\.$/, ""));
    if (keyword === "options") options = mergeOptions(options, words);
  }
  return { servers, searches, options };
}

export interface PodDns {
  dns: DnsConfig;
  /** Messages of events DNSConfigForming that say what was left out. */
  warnings: string[];
}

export function podDns(pod: Pod, facts: DnsFacts): PodDns {
  const warnings: string[] = [];
  const base = baseDns(pod, facts, warnings);
  const extra = pod.spec?.dnsConfig;
  const merged = extra === undefined ? base : {
    servers: unique([...base.servers, ...extra.nameservers ?? []]),
    searches: unique([...base.searches, ...extra.searches ?? []]),
    options: mergeOptions(
      base.options,
      (extra.options ?? []).map(({ name = "", value }) => value ? `${name}:${value}` : name),
    ),
  };
  const dns = {
    servers: limitServers(merged.servers, warnings),
    searches: limitSearches(merged.searches, warnings),
    options: merged.options,
  };
  return { dns, warnings };
}

function baseDns(pod: Pod, facts: DnsFacts, warnings: string[]): DnsConfig {
  const policy = pod.spec?.dnsPolicy ?? "ClusterFirst";
  if (policy === "None") return { servers: [], searches: [], options: [] };
  const cluster = policy === "ClusterFirstWithHostNet" ||
    (policy === "ClusterFirst" && pod.spec?.hostNetwork !== true);
  if (!cluster) return hostDns(facts);
  if (facts.clusterDNS.length === 0) {
    // A pod that says nothing has ClusterFirst, and would be warned about on every node without a cluster.
    if (policy === "ClusterFirstWithHostNet") {
      warnings.push(
        `the node has no ClusterDNS address configured (clusterDNS) and cannot create Pod using "${policy}" policy. ` +
          `Falling back to "Default" policy.`,
      );
    }
    return hostDns(facts);
  }
  const searches = facts.host?.searches ?? [];
  return {
    servers: [...facts.clusterDNS],
    searches: facts.clusterDomain === "" ? searches : unique([
      `${pod.metadata?.namespace ?? "default"}.svc.${facts.clusterDomain}`,
      `svc.${facts.clusterDomain}`,
      facts.clusterDomain,
      ...searches,
    ]),
    options: ["ndots:5"],
  };
}

function hostDns({ host, hostIPs }: DnsFacts): DnsConfig {
  if (host !== undefined) return host;
  const local = hostIPs.map((ip) => ip.includes(":") ? "::1" : "127.0.0.1");
  return { servers: local.length === 0 ? ["127.0.0.1"] : local, searches: ["."], options: [] };
}

const unique = (list: readonly string[]): string[] => [...new Set(list)];

/** `name:value` or `name`; a later one replaces an earlier one of the same name, in its place. */
function mergeOptions(options: readonly string[], more: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const option of [...options, ...more]) {
    const colon = option.indexOf(":");
    byName.set(colon === -1 ? option : option.slice(0, colon), option);
  }
  return [...byName.values()];
}

function limitServers(servers: string[], warnings: string[]): string[] {
  if (servers.length <= maxServers) return servers;
  const kept = servers.slice(0, maxServers);
  warnings.push(
    `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${
      kept.join(" ")
    }`,
  );
  return kept;
}

function limitSearches(searches: string[], warnings: string[]): string[] {
  const kept = searches.slice(0, maxSearches).filter((search) => search.length <= maxDomain);
  while (kept.join(" ").length > maxSearchCharacters) kept.pop();
  if (kept.length < searches.length) {
    warnings.push(
      `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${
        kept.join(" ")
      }`,
    );
  }
  return kept;
}
