/**
 * The record of attachments below the cache directory, in libcni's format, so that other tools can read it and what is
 * attached can be detached when its configuration is gone. Written before ADD, so that a crash leaves a trace of it.
 * Source: containernetworking/cni, libcni/api.go (cachedInfo). Not for: calling plugins.
 */
import { join } from "@std/path";
import {
  type CniNetwork,
  formatNetwork,
  isContainerId,
  isInterfaceName,
  isJson,
  isNetworkName,
  type Json,
  parseNetwork,
} from "../../agent/model/cni_config.ts";
import type { CniResult } from "../../agent/plugin_ports.ts";
import type { Host } from "../../agent/ports.ts";
import type { CniTarget } from "./invoke.ts";
import { formatResult, parseResult } from "./result.ts";

const kind = "cniCacheV1";

/** One interface of one container in one network. */
export interface Attachment extends CniTarget {
  network: CniNetwork;
  capabilityArgs: Json;
  /** Absent: ADD did not end, as far as is known. */
  result?: CniResult;
  /** Which agent made it; absent: somebody else, such as the runtime. */
  owner?: string;
  /** What its owner notes with it. */
  note?: Json;
}

/** `NETWORK-CONTAINER-INTERFACE`. */
export const cacheName = (
  network: string,
  { containerId, ifname }: Pick<CniTarget, "containerId" | "ifname">,
) => `${network}-${containerId}-${ifname}`;

export interface AttachmentCache {
  put(attachment: Attachment): Promise<void>;
  get(network: string, of: Pick<CniTarget, "containerId" | "ifname">): Promise<Attachment | undefined>;
  remove(network: string, of: Pick<CniTarget, "containerId" | "ifname">): Promise<void>;
  /** All, or those of one container; what is no attachment, or cannot be read as one, is left out. */
  list(containerId?: string): Promise<Attachment[]>;
}

type CacheHost = Pick<Host, "readText" | "list" | "mkdir" | "remove" | "writeFileAtomic">;

export function createCache(host: CacheHost, cacheDir: string): AttachmentCache {
  const directory = join(cacheDir, "results");
  const read = async (name: string) => parseAttachment(await host.readText(join(directory, name)) ?? "");
  return {
    async put(attachment) {
      await host.mkdir(directory, 0o700);
      const path = join(directory, cacheName(attachment.network.name, attachment));
      await host.writeFileAtomic(path, formatAttachment(attachment), 0o600);
    },
    get: (network, of) => read(cacheName(network, of)),
    remove: (network, of) => host.remove(join(directory, cacheName(network, of))),
    async list(containerId) {
      const names = (await host.list(directory) ?? []).filter((name) =>
        !name.startsWith(".") && (containerId === undefined || name.includes(`-${containerId}-`))
      );
      const all = (await Promise.all(names.map(read))).filter((a) => a !== undefined);
      return all.filter((a) => containerId === undefined || a.containerId === containerId);
    },
  };
}

const toBase64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

const fromBase64 = (text: string): string =>
  new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));

export function formatAttachment(a: Attachment): string {
  return JSON.stringify({
    kind,
    containerId: a.containerId,
    config: toBase64(formatNetwork(a.network)),
    ifName: a.ifname,
    networkName: a.network.name,
    ...(a.netns !== "" && { netns: a.netns }),
    ...(a.args.length > 0 && { cniArgs: a.args }),
    ...(Object.keys(a.capabilityArgs).length > 0 && { capabilityArgs: a.capabilityArgs }),
    ...(a.result && { result: formatResult(a.result, a.network.cniVersion) }),
    ...(a.owner !== undefined && { owner: a.owner }),
    ...(a.note && { note: a.note }),
  });
}

const textOf = (value: unknown): string => typeof value === "string" ? value : "";

export function parseAttachment(text: string): Attachment | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) && value["kind"] === kind ? readAttachment(value) : undefined;
  } catch {
    return undefined;
  }
}

function readAttachment(value: Json): Attachment | undefined {
  const reading = parseNetwork(fromBase64(textOf(value["config"])), textOf(value["networkName"]));
  const [containerId, ifname] = [textOf(value["containerId"]), textOf(value["ifName"])];
  if (!("network" in reading) || !isContainerId(containerId) || !isInterfaceName(ifname)) return undefined;
  const { network } = reading;
  if (network.name !== value["networkName"] || !isNetworkName(network.name)) return undefined;
  const { owner, note, capabilityArgs } = value;
  const result = isJson(value["result"]) ? parseResult(value["result"], network.cniVersion) : undefined;
  // Older versions of libcni wrote none.
  const sandbox = result?.interfaces.find((i) => i.name === ifname)?.sandbox;
  return {
    network,
    containerId,
    ifname,
    netns: textOf(value["netns"]) || (sandbox ?? ""),
    args: pairsOf(value["cniArgs"]),
    capabilityArgs: isJson(capabilityArgs) ? capabilityArgs : {},
    ...(result && { result }),
    ...(typeof owner === "string" && { owner }),
    ...(isJson(note) && { note }),
  };
}

function pairsOf(value: unknown): [string, string][] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((pair: unknown): [string, string][] =>
    Array.isArray(pair) && pair.length === 2 ? [[textOf(pair[0]), textOf(pair[1])]] : []
  );
}
