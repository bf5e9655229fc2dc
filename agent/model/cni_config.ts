/**
 * CNI network configurations: text -> a list of plugins, or findings that name the field. Pure.
 * Source: the CNI specification 1.1, section 1; single plugins and older versions as libcni reads them.
 * Not for: reading files, running plugins.
 */
import type { FieldPath, Finding } from "./finding.ts";
import { shown } from "./finding.ts";

export type Json = Readonly<Record<string, unknown>>;

/** Versions of the specification that are spoken, oldest first. */
export const cniVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof cniVersions)[number];

export const isAtLeast = (version: CniVersion, than: CniVersion): boolean =>
  cniVersions.indexOf(version) >= cniVersions.indexOf(than);

export interface CniPlugin {
  type: string;
  /** Names of the capability arguments that it takes. */
  capabilities: readonly string[];
  /** As it is written. */
  config: Json;
}

export interface CniNetwork {
  name: string;
  cniVersion: CniVersion;
  disableCheck: boolean;
  disableGC: boolean;
  /** False: plugins may also lie as files in a directory of the network's name. */
  onlyInlined: boolean;
  plugins: readonly CniPlugin[];
}

export type CniReading = { network: CniNetwork } | { findings: Finding[] };

/** Names of networks and ids of containers. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export const isNetworkName = (name: string): boolean => namePattern.test(name);
export const isContainerId = (id: string): boolean => namePattern.test(id);

/** What the kernel takes as the name of an interface. */
export const isInterfaceName = (name: string): boolean =>
  /^[^\s/:]{1,15}$/.test(name) && name !== "." && name !== "..";

class Reader {
  readonly findings: Finding[] = [];

  report(path: FieldPath, message: string): void {
    this.findings.push({ severity: "error", path, message });
  }

  text(object: Json, key: string, at: FieldPath): string | undefined {
    const value = object[key];
    if (value === undefined || typeof value === "string") return value;
    this.report([...at, key], `expected text, found ${shown(value)}`);
    return undefined;
  }

  /** libcni takes the words, too. */
  flag(object: Json, key: string): boolean {
    const value = object[key] ?? false;
    if (value === true || value === "true") return true;
    if (value !== false && value !== "false") {
      this.report([key], `expected true or false, found ${shown(value)}`);
    }
    return false;
  }
}

export const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `name` is used where the configuration has none, as Multus does for a NetworkAttachmentDefinition. */
export function parseNetwork(text: string, name?: string): CniReading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : "";
    return { findings: [{ severity: "error", path: [], message: `expected JSON: ${why}` }] };
  }
  const reader = new Reader();
  const network = isJson(value) ? readNetwork(reader, value, name) : undefined;
  if (!isJson(value)) reader.report([], `expected a CNI configuration, found ${shown(value)}`);
  return network === undefined || reader.findings.length > 0 ? { findings: reader.findings } : { network };
}

function readNetwork(reader: Reader, object: Json, fallback: string | undefined): CniNetwork | undefined {
  const name = reader.text(object, "name", []) || fallback;
  if (name === undefined) reader.report(["name"], "expected the network's name");
  else if (!isNetworkName(name)) {
    reader.report(["name"], `expected letters, digits, "_", "." and "-", found ${shown(name)}`);
  }
  const onlyInlined = reader.flag(object, "loadOnlyInlinedPlugins");
  return {
    name: name ?? "",
    cniVersion: readVersion(reader, object),
    disableCheck: reader.flag(object, "disableCheck"),
    disableGC: reader.flag(object, "disableGC"),
    onlyInlined: object["plugins"] === undefined && object["type"] !== undefined ? true : onlyInlined,
    plugins: readPlugins(reader, object, onlyInlined),
  };
}

function readPlugins(reader: Reader, object: Json, onlyInlined: boolean): CniPlugin[] {
  const { plugins } = object;
  if (plugins === undefined) {
    if (object["type"] !== undefined) return [readPlugin(reader, object, [])].filter((p) => p !== undefined);
    if (object["name"] === undefined || onlyInlined) {
      reader.report([], 'expected "plugins" (a list), or "type" (a single plugin)');
    }
    return [];
  }
  if (!Array.isArray(plugins)) {
    reader.report(["plugins"], `expected a list, found ${shown(plugins)}`);
    return [];
  }
  if (plugins.length === 0 && onlyInlined) reader.report(["plugins"], "expected at least one plugin");
  return plugins.flatMap((p: unknown, i) => readPlugin(reader, p, ["plugins", i]) ?? []);
}

function readPlugin(reader: Reader, value: unknown, at: FieldPath): CniPlugin | undefined {
  if (!isJson(value)) {
    reader.report(at, `expected a plugin's configuration, found ${shown(value)}`);
    return undefined;
  }
  const { type } = value;
  if (typeof type !== "string" || !/^[^/\0]+$/.test(type) || type === "." || type === "..") {
    reader.report([...at, "type"], `expected the file name of a plugin, found ${shown(type)}`);
    return undefined;
  }
  const capabilities = value["capabilities"] ?? {};
  if (!isJson(capabilities)) {
    reader.report([...at, "capabilities"], `expected a mapping, found ${shown(capabilities)}`);
    return undefined;
  }
  const declared = Object.keys(capabilities).filter((name) => capabilities[name] === true);
  return { type, capabilities: declared, config: value };
}

/** The newest of `cniVersion` and `cniVersions` that is spoken here; without both it is the oldest. */
function readVersion(reader: Reader, object: Json): CniVersion {
  const one = reader.text(object, "cniVersion", []);
  const several = object["cniVersions"] ?? [];
  if (!Array.isArray(several) || several.some((v) => typeof v !== "string")) {
    reader.report(["cniVersions"], "expected a list of versions");
    return "0.1.0";
  }
  const offered = [...several as string[], ...(one ? [one] : [])];
  const spoken = cniVersions.findLast((v) => offered.includes(v));
  if (spoken !== undefined) return spoken;
  if (offered.length > 0) {
    const field = one ? "cniVersion" : "cniVersions";
    reader.report([field], `expected one of ${cniVersions.join(", ")}, found ${offered.join(", ")}`);
  }
  return "0.1.0";
}

/** A file of the directory of a network's plugins: one plugin, without a list around it. */
export function parsePlugin(text: string): { plugin: CniPlugin } | { findings: Finding[] } {
  const reading = parseNetwork(text, "plugin");
  if ("findings" in reading) return reading;
  const [plugin, second] = reading.network.plugins;
  if (plugin !== undefined && second === undefined) return { plugin };
  return { findings: [{ severity: "error", path: [], message: "expected the configuration of one plugin" }] };
}

/** The network as text in which every plugin is inlined. */
export const formatNetwork = (n: CniNetwork): string =>
  JSON.stringify({
    cniVersion: n.cniVersion,
    name: n.name,
    ...(n.disableCheck && { disableCheck: true }),
    ...(n.disableGC && { disableGC: true }),
    loadOnlyInlinedPlugins: true,
    plugins: n.plugins.map((p) => p.config),
  });
