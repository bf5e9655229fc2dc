/**
 * Further networks of a pod: what its annotation asks for, which of them its sandbox lacks, and the annotation that
 * tells what came of it. Pure. Source: the Network Plumbing Working Group's de-facto standard, version 1.3, and Multus
 * for the interfaces' names. Not for: the first interface, which is the runtime's; calling plugins (plugins/cni).
 */
import { type CniNetwork, isInterfaceName, isJson, type Json, parseNetwork } from "./cni_config.ts";
import { fieldText, type Report, shown } from "./finding.ts";
import type { NetworkAttachmentDefinition, Pod } from "./gen/v1.ts";
import { dnsLabel, dnsSubdomain, ipAddress } from "./names.ts";
import type { ObservedNetwork, ObservedPod, ObservedSandbox } from "./observed.ts";
import { didYouMean } from "./suggest.ts";
import type { Objects } from "./wish.ts";

export const NETWORKS = "k8s.v1.cni.cncf.io/networks";
export const NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status";

export interface NetworkSelection {
  /** `namespace/name` of its definition. */
  key: string;
  ifname: string;
  /** By CNI's names of capabilities. */
  capabilityArgs: Json;
  /** What every plugin gets as `args.cni`. */
  cniArgs: Json;
  /** Gateways of the pod's default routes, which go through this interface from then on; at most one of each family. */
  defaultRoute: readonly string[];
}

/** A selection with its configuration; without one it is the network of that name on the node. */
export interface WantedNetwork extends NetworkSelection {
  network: CniNetwork | undefined;
  /** Of the node's network. */
  name: string;
}

/** Input that means nothing, in words for its author. */
class BadNetworks extends Error {}

const refuse = (message: string): never => {
  throw new BadNetworks(message);
};

/** Throws BadNetworks. */
function readSelections(text: string, namespace: string): NetworkSelection[] {
  const elements = /[[{"]/.test(text) ? readJson(text) : readList(text);
  const selections = elements.map((element, i) => readElement(element, i, namespace));
  const names = new Set<string>();
  for (const { ifname } of selections) {
    if (names.has(ifname)) refuse(`two networks want the interface ${ifname}: expected unique names`);
    names.add(ifname);
  }
  return selections;
}

function readJson(text: string): Json[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    refuse(`expected a JSON list, or [NAMESPACE/]NAME[@INTERFACE] with commas: ${(error as Error).message}`);
  }
  if (!Array.isArray(value)) return refuse(`expected a list, found ${shown(value)}`);
  return value.map((item: unknown, i) =>
    isJson(item) ? item : refuse(`[${i}]: expected a mapping, found ${shown(item)}`)
  );
}

const readList = (text: string): Json[] =>
  text.split(",").map((item) => item.trim()).filter((item, _, all) => item !== "" || all.length > 1).map(
    (item) => {
      const parts = /^(?:([^/@]+)\/)?([^/@]+)(?:@([^/@]+))?$/.exec(item);
      if (parts === null) return refuse(`expected [NAMESPACE/]NAME[@INTERFACE], found ${shown(item)}`);
      const [, namespace, name, ifname] = parts;
      return { name, ...(namespace && { namespace }), ...(ifname && { interface: ifname }) };
    },
  );

/** What an element may say, and the capability that it becomes. */
const capabilities = {
  ips: "ips",
  mac: "mac",
  "infiniband-guid": "infinibandGUID",
  portMappings: "portMappings",
  bandwidth: "bandwidth",
} as const;
const others = ["name", "namespace", "interface", "default-route", "cni-args"];

function readElement(element: Json, i: number, podNamespace: string): NetworkSelection {
  const at = `[${i}]`;
  const known = [...Object.keys(capabilities), ...others];
  const strange = Object.keys(element).find((key) => !known.includes(key));
  if (strange !== undefined) refuse(`${at}: unknown field "${strange}"${didYouMean(strange, known)}`);
  const text = (key: string, fallback: string): string => {
    const value = element[key] ?? fallback;
    return typeof value === "string"
      ? value || fallback
      : refuse(`${at}.${key}: expected text, found ${shown(value)}`);
  };
  const [name, namespace, ifname] = [
    text("name", ""),
    text("namespace", podNamespace),
    text("interface", `net${i + 1}`),
  ];
  const expected = dnsSubdomain(name) ?? dnsLabel(namespace);
  if (expected !== undefined) {
    refuse(`${at}: expected ${expected} as name and namespace, found ${shown(`${namespace}/${name}`)}`);
  }
  if (!isInterfaceName(ifname)) {
    refuse(
      `${at}.interface: expected at most 15 characters without space, "/" and ":", found ${shown(ifname)}`,
    );
  }
  if (ifname === "eth0" || ifname === "lo") refuse(`${at}.interface: ${ifname} is the pod's own already`);
  const cniArgs = element["cni-args"] ?? {};
  if (!isJson(cniArgs)) return refuse(`${at}.cni-args: expected a mapping, found ${shown(cniArgs)}`);
  return {
    key: `${namespace}/${name}`,
    ifname,
    capabilityArgs: readCapabilities(element, at),
    cniArgs,
    defaultRoute: addressesIn(element, "default-route", at),
  };
}

function readCapabilities(element: Json, at: string): Json {
  addressesIn(element, "ips", at);
  const expect = (key: keyof typeof capabilities, what: string, isIt: (value: unknown) => boolean) => {
    const value = element[key];
    if (value !== undefined && !isIt(value)) refuse(`${at}.${key}: expected ${what}, found ${shown(value)}`);
  };
  expect("mac", "a hardware address", (v) => /^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$/.test(String(v)));
  expect("infiniband-guid", "text", (v) => typeof v === "string");
  expect("portMappings", "a list of mappings", (v) => Array.isArray(v) && v.every(isJson));
  expect("bandwidth", "a mapping", isJson);
  const asked = Object.entries(capabilities).filter(([key]) => element[key] !== undefined);
  return Object.fromEntries(asked.map(([key, capability]) => [capability, element[key]]));
}

/** Addresses, with or without the length of a prefix. */
function addressesIn(element: Json, key: string, at: string): string[] {
  const list = element[key] ?? [];
  if (!Array.isArray(list)) {
    return refuse(`${at}.${key}: expected a list of IP addresses, found ${shown(list)}`);
  }
  return list.map((item: unknown, i) => {
    const address = typeof item === "string" ? item.replace(/\/\d{1,3}$/, "") : "";
    if (ipAddress(address) === undefined) return item as string;
    return refuse(`${at}.${key}[${i}]: expected an IP address, found ${shown(item)}`);
  });
}

/** In the order of the annotation; a pod whose annotation means nothing was refused when it was read. */
export function networksOf({ metadata }: Pod): NetworkSelection[] {
  const text = metadata?.annotations?.[NETWORKS]?.trim() ?? "";
  if (text === "") return [];
  try {
    return readSelections(text, metadata?.namespace ?? "default");
  } catch (error) {
    if (error instanceof BadNetworks) return [];
    throw error;
  }
}

export function validateNetworks({ metadata, spec }: Pod, report: Report): void {
  const text = metadata?.annotations?.[NETWORKS]?.trim() ?? "";
  const at = ["metadata", "annotations", NETWORKS];
  if (text === "") return;
  try {
    const selections = readSelections(text, metadata?.namespace || "default");
    if (spec?.hostNetwork === true && selections.length > 0) {
      report(at, "a pod with hostNetwork has the node's interfaces and no others: expected no annotation");
    }
  } catch (error) {
    if (!(error instanceof BadNetworks)) throw error;
    report(at, error.message);
  }
}

/** The first thing that is wrong with a definition's own configuration, with its field; undefined: it has none. */
export function networkIn(
  { metadata, spec }: NetworkAttachmentDefinition,
): { network: CniNetwork } | { message: string } | undefined {
  const config = spec?.config?.trim() ?? "";
  if (config === "") return undefined;
  const reading = parseNetwork(config, metadata?.name ?? "");
  if ("network" in reading) {
    return reading.network.plugins.length > 0
      ? reading
      : { message: "plugins: expected at least one plugin" };
  }
  const [{ path, message }] = reading.findings as [typeof reading.findings[number]];
  return { message: [fieldText(path), message].filter((part) => part !== "").join(": ") };
}

/** What the pod is to be attached to, or why that is not known. */
export function wantedNetworks(
  pod: Pod,
  { networkAttachments }: Objects,
): WantedNetwork[] | { message: string } {
  const wanted: WantedNetwork[] = [];
  for (const selection of networksOf(pod)) {
    const definition = networkAttachments.get(selection.key);
    if (definition === undefined) {
      return {
        message: `no manifest describes NetworkAttachmentDefinition ${selection.key}: the pod waits for it`,
      };
    }
    const found = networkIn(definition);
    if (found !== undefined && "message" in found) return found;
    wanted.push({ ...selection, network: found?.network, name: selection.key.split("/")[1]! });
  }
  return wanted;
}

/** Changes with all that the pod's further networks are made of. */
export const networksText = (pod: Pod, objects: Objects): string =>
  networksOf(pod).map(({ key }) => {
    const definition = objects.networkAttachments.get(key);
    return definition === undefined ? "" : `${key}=${definition.spec?.config ?? ""}`;
  }).join();

/**
 * Whether interfaces are still to be attached. Containers come after them: where one has been made, all were there, and
 * what a lost record says counts no more.
 */
export function lacksNetworks(pod: Pod, sandbox: ObservedSandbox, o: ObservedPod): boolean {
  if (o.containers.some((c) => c.sandboxId === sandbox.id)) return false;
  const has = (ifname: string) => sandbox.networks?.some((n) => n.ifname === ifname && n.complete) === true;
  return networksOf(pod).some(({ ifname }) => !has(ifname));
}

/** The value of the annotation network-status; undefined for a pod without further networks. */
export function networkStatus(sandbox: ObservedSandbox | undefined): string | undefined {
  if (sandbox?.networks === undefined || sandbox.networks.length === 0) return undefined;
  const first = sandbox.networks.find((n) => n.isDefault);
  const entry = (n: ObservedNetwork, ips: readonly string[]) => ({
    name: n.name,
    interface: n.ifname,
    ips,
    ...(n.mac !== undefined && { mac: n.mac }),
    ...(n.mtu !== undefined && { mtu: n.mtu }),
    ...(n.isDefault && { default: true }),
    dns: n.dns ?? {},
    ...(n.gateways.length > 0 && { gateway: n.gateways }),
  });
  const further = sandbox.networks.filter((n) => !n.isDefault && n.complete);
  return JSON.stringify(
    [...(first === undefined ? [] : [entry(first, sandbox.ips)]), ...further.map((n) => entry(n, n.ips))],
    null,
    4,
  );
}
