/**
 * Results of CNI's ADD: read from any version of the specification, written in any other. Pure.
 * Source: the CNI specification, "Success", and its 0.2.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0 types in containernetworking/cni.
 * Not for: error results (invoke.ts).
 */
import { type CniVersion, cniVersions, isAtLeast, isJson, type Json } from "../../agent/model/cni_config.ts";
import { AgentError } from "../../agent/model/errors.ts";
import { shown } from "../../agent/model/finding.ts";
import type { CniDns, CniInterface, CniIp, CniResult, CniRoute } from "../../agent/plugin_ports.ts";

/** A plugin's answer that is no result, in the field's name. */
const wrong = (what: string, value: unknown, expected: string): AgentError =>
  new AgentError("Unknown", `the result's ${what}: expected ${expected}, found ${shown(value)}`);

const textIn = (object: Json, key: string, at: string): string | undefined => {
  const value = object[key];
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") throw wrong(`${at}${key}`, value, "text");
  return value;
};

const numberIn = (object: Json, key: string, at: string): number | undefined => {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw wrong(`${at}${key}`, value, "a whole number");
  }
  return value;
};

const listIn = (object: Json, key: string, at = ""): unknown[] => {
  const value = object[key] ?? [];
  if (!Array.isArray(value)) throw wrong(`${at}${key}`, value, "a list");
  return value;
};

const objectsIn = (object: Json, key: string, at = ""): Json[] =>
  listIn(object, key, at).map((item, i) => {
    if (!isJson(item)) throw wrong(`${at}${key}[${i}]`, item, "a mapping");
    return item;
  });

const textsIn = (object: Json, key: string, at: string): string[] =>
  listIn(object, key, at).map((item, i) => {
    if (typeof item !== "string") throw wrong(`${at}${key}[${i}]`, item, "text");
    return item;
  });

/** Without what is undefined. */
const set = <T extends object>(value: { [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;

const isAddress = (text: string): boolean =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || (/^[0-9a-fA-F:.]+$/.test(text) && text.includes(":"));

function readRoute(object: Json, at: string): CniRoute {
  const dst = textIn(object, "dst", at);
  if (dst === undefined || !isAddress(dst.split("/")[0]!)) throw wrong(`${at}dst`, dst, "a CIDR");
  const number = (key: string) => numberIn(object, key, at);
  return set<CniRoute>({
    dst,
    gw: textIn(object, "gw", at),
    mtu: number("mtu"),
    advmss: number("advmss"),
    priority: number("priority"),
    table: number("table"),
    scope: number("scope"),
  });
}

const readRoutes = (object: Json, at = ""): CniRoute[] =>
  objectsIn(object, "routes", at).map((route, i) => readRoute(route, `${at}routes[${i}].`));

function readIp(object: Json, at: string, key = "address"): CniIp {
  const address = textIn(object, key, at);
  if (address === undefined || !isAddress(address.split("/")[0]!) || !/\/\d{1,3}$/.test(address)) {
    throw wrong(`${at}${key}`, address, "a CIDR");
  }
  const found = numberIn(object, "interface", at);
  return set<CniIp>({ address, gateway: textIn(object, "gateway", at), interface: found });
}

function readInterface(object: Json, at: string): CniInterface {
  return set<CniInterface>({
    name: textIn(object, "name", at) ?? "",
    mac: textIn(object, "mac", at),
    mtu: numberIn(object, "mtu", at),
    sandbox: textIn(object, "sandbox", at),
    socketPath: textIn(object, "socketPath", at),
    pciID: textIn(object, "pciID", at),
  });
}

function readDns(object: Json): CniDns {
  const dns = object["dns"] ?? {};
  if (!isJson(dns)) throw wrong("dns", dns, "a mapping");
  return set<CniDns>({
    domain: textIn(dns, "domain", "dns."),
    nameservers: textsIn(dns, "nameservers", "dns."),
    search: textsIn(dns, "search", "dns."),
    options: textsIn(dns, "options", "dns."),
  });
}

/** Up to 0.2.0 there was one address of each family, with routes of its own. */
function readOld(object: Json): CniResult {
  const families = (["ip4", "ip6"] as const).flatMap((key) => {
    const value = object[key];
    if (value === undefined || value === null) return [];
    if (!isJson(value)) throw wrong(key, value, "a mapping");
    return [{ ip: readIp(value, `${key}.`, "ip"), routes: readRoutes(value, `${key}.`) }];
  });
  return {
    interfaces: [],
    ips: families.map(({ ip }) => ip),
    routes: families.flatMap(({ routes }) => routes),
    dns: readDns(object),
  };
}

/** Which version an answer is in: its own word, or that of the configuration. Throws where it is not spoken here. */
function versionOf(object: Json, configured: CniVersion): CniVersion {
  const own = textIn(object, "cniVersion", "");
  if (own === undefined) return configured;
  const version = cniVersions.find((v) => v === own);
  if (version === undefined) throw wrong("cniVersion", own, `one of ${cniVersions.join(", ")}`);
  return version;
}

/** Throws AgentError with the field that is wrong. */
export function parseResult(value: unknown, configured: CniVersion): CniResult {
  if (!isJson(value)) throw new AgentError("Unknown", `expected a result, found ${shown(value)}`);
  const version = versionOf(value, configured);
  if (!isAtLeast(version, "0.3.0")) return readOld(value);
  const interfaces = objectsIn(value, "interfaces").map((o, i) => readInterface(o, `interfaces[${i}].`));
  const ips = objectsIn(value, "ips").map((o, i) => readIp(o, `ips[${i}].`));
  const astray = ips.findIndex((ip) => ip.interface !== undefined && interfaces[ip.interface] === undefined);
  if (astray >= 0) {
    throw wrong(`ips[${astray}].interface`, ips[astray]!.interface, "an index of the interfaces");
  }
  return { interfaces, ips, routes: readRoutes(value), dns: readDns(value) };
}

const isV6 = (cidr: string): boolean => cidr.includes(":");

function formatOld(result: CniResult): Json {
  const family = (v6: boolean): Json | undefined => {
    const ip = result.ips.find((i) => isV6(i.address) === v6);
    if (ip === undefined) return undefined;
    const routes = result.routes.filter((r) => isV6(r.dst) === v6).map(({ dst, gw }) => set({ dst, gw }));
    return set<Json>({
      ip: ip.address,
      gateway: ip.gateway,
      routes: routes.length === 0 ? undefined : routes,
    });
  };
  return set<Json>({ ip4: family(false), ip6: family(true) });
}

const newInRoutes = ["mtu", "advmss", "priority", "table", "scope"] as const;
const newInInterfaces = ["mtu", "socketPath", "pciID"] as const;

const without = <T extends object>(value: T, keys: readonly string[]): Json =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));

/** What a version has no words for is left out. */
export function formatResult(result: CniResult, version: CniVersion): Json {
  const { dns } = result;
  const rest = { cniVersion: version, dns };
  if (!isAtLeast(version, "0.3.0")) return { ...formatOld(result), ...rest };
  const newest = isAtLeast(version, "1.1.0");
  const family = (address: string) =>
    isAtLeast(version, "1.0.0") ? {} : { version: isV6(address) ? "6" : "4" };
  return {
    interfaces: result.interfaces.map((i) => newest ? i : without(i, newInInterfaces)),
    ips: result.ips.map((ip) => ({ ...family(ip.address), ...ip })),
    routes: result.routes.map((r) => newest ? r : without(r, newInRoutes)),
    ...rest,
  };
}
