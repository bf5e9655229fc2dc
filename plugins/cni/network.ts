/**
 * A network's plugins as one: ADD in order, each told what those before brought; DEL in reverse; CHECK, GC, STATUS,
 * VERSION. Source: the CNI specification 1.1, section 3, and libcni where that is silent.
 * Not for: which attachments there should be.
 */
import {
  type CniNetwork,
  type CniPlugin,
  type CniVersion,
  isAtLeast,
  isContainerId,
  isInterfaceName,
  isJson,
  isNetworkName,
  type Json,
} from "../../agent/model/cni_config.ts";
import { AgentError } from "../../agent/model/errors.ts";
import type { CniResult } from "../../agent/plugin_ports.ts";
import {
  type CniCommand,
  CniError,
  type CniTarget,
  type InvokeOptions,
  invokePlugin,
  noTarget,
} from "./invoke.ts";
import { formatResult, parseResult } from "./result.ts";

/** What one container is to have in a network. */
export interface CniRequest extends CniTarget {
  /** By capability; each plugin is told of those that it declares. */
  capabilityArgs: Json;
}

export interface ValidAttachment {
  containerID: string;
  ifname: string;
}

/** What a plugin reads: its own part, the network's name and version, and what was asked and brought so far. */
export function pluginInput(
  network: CniNetwork,
  plugin: CniPlugin,
  more: { capabilityArgs?: Json; prevResult?: CniResult | undefined; extra?: Json } = {},
): Json {
  const asked = Object.entries(more.capabilityArgs ?? {}).filter(([name]) =>
    plugin.capabilities.includes(name)
  );
  return {
    ...plugin.config,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(asked.length > 0 && { runtimeConfig: Object.fromEntries(asked) }),
    ...(more.prevResult && { prevResult: formatResult(more.prevResult, network.cniVersion) }),
    ...more.extra,
  };
}

function checkRequest(network: CniNetwork, { containerId, ifname }: CniTarget): void {
  const refuse = (what: string, value: string) => {
    throw new AgentError("Unknown", `${what} ${JSON.stringify(value)} is not one that CNI takes`, {
      retry: false,
    });
  };
  if (!isNetworkName(network.name)) refuse("the network's name", network.name);
  if (!isContainerId(containerId)) refuse("the container's id", containerId);
  if (!isInterfaceName(ifname)) refuse("the interface's name", ifname);
}

/** Throws what the first failing plugin says; what the others have done stays, for `deleteFrom` to undo. */
export async function addTo(
  o: InvokeOptions,
  network: CniNetwork,
  request: CniRequest,
  signal: AbortSignal,
): Promise<CniResult> {
  checkRequest(network, request);
  let result: CniResult | undefined;
  for (const plugin of network.plugins) {
    const input = pluginInput(network, plugin, { ...request, prevResult: result });
    const answer = await invokePlugin(
      o,
      { command: "ADD", type: plugin.type, target: request, input },
      signal,
    );
    result = resultOf(plugin, answer, network.cniVersion);
  }
  return result ?? { interfaces: [], ips: [], routes: [], dns: {} };
}

function resultOf({ type }: CniPlugin, answer: unknown, version: CniVersion): CniResult {
  try {
    return parseResult(answer, version);
  } catch (cause) {
    throw new CniError(`CNI plugin ${type} (ADD): ${cause instanceof Error ? cause.message : ""}`, { cause });
  }
}

/** The first plugin that fails keeps those before it from being asked: their turn comes when it has succeeded. */
export async function deleteFrom(
  o: InvokeOptions,
  network: CniNetwork,
  request: CniRequest & { result?: CniResult },
  signal: AbortSignal,
): Promise<void> {
  checkRequest(network, request);
  const prevResult = isAtLeast(network.cniVersion, "0.4.0") ? request.result : undefined;
  for (const plugin of network.plugins.toReversed()) {
    const input = pluginInput(network, plugin, { ...request, prevResult });
    await invokePlugin(o, { command: "DEL", type: plugin.type, target: request, input }, signal);
  }
}

/** DEL of the IPAM plugins alone, as their main plugins would ask for it. */
export async function releaseAddresses(
  o: InvokeOptions,
  network: CniNetwork,
  request: CniRequest,
  signal: AbortSignal,
): Promise<void> {
  for (const plugin of network.plugins) {
    const ipam = plugin.config["ipam"];
    const type = isJson(ipam) ? ipam["type"] : undefined;
    if (typeof type !== "string" || !/^[^/\0]+$/.test(type)) continue;
    const call = {
      command: "DEL",
      type,
      target: request,
      input: pluginInput(network, plugin, request),
    } as const;
    await invokePlugin(o, call, signal);
  }
}

/** Throws what is not as ADD left it. */
export async function checkIn(
  o: InvokeOptions,
  network: CniNetwork,
  request: CniRequest & { result: CniResult },
  signal: AbortSignal,
): Promise<void> {
  checkRequest(network, request);
  if (!isAtLeast(network.cniVersion, "0.4.0")) {
    const message = `network ${network.name} is of version ${network.cniVersion}: CHECK came with 0.4.0`;
    throw new AgentError("Unknown", message, { retry: false });
  }
  if (network.disableCheck) return;
  for (const plugin of network.plugins) {
    const input = pluginInput(network, plugin, { ...request, prevResult: request.result });
    await invokePlugin(o, { command: "CHECK", type: plugin.type, target: request, input }, signal);
  }
}

/** One call for each plugin, about the network as a whole; networks of older versions have none. */
async function askAll(
  o: InvokeOptions,
  command: CniCommand,
  network: CniNetwork,
  extra: Json,
  signal: AbortSignal,
  failed: (error: unknown) => void,
): Promise<void> {
  if (!isAtLeast(network.cniVersion, "1.1.0")) return;
  for (const plugin of network.plugins) {
    const input = pluginInput(network, plugin, { extra });
    const call = { command, type: plugin.type, target: noTarget, input };
    await invokePlugin(o, call, signal).catch(failed);
  }
}

/**
 * Tells the plugins which attachments are still in use, so that they release all else. All are told; then the first
 * error is thrown.
 */
export async function collectIn(
  o: InvokeOptions,
  network: CniNetwork,
  valid: readonly ValidAttachment[],
  signal: AbortSignal,
): Promise<void> {
  if (network.disableGC) return;
  const errors: unknown[] = [];
  // The second is the name that version 1.1.0 of libcni used.
  const extra = { "cni.dev/valid-attachments": valid, "cni.dev/attachments": valid };
  await askAll(o, "GC", network, extra, signal, (error) => void errors.push(error));
  if (errors.length > 0) throw errors[0];
}

/** Throws why the network takes no containers now: code 50, or 51 where those that it has are cut off, too. */
export async function statusOf(o: InvokeOptions, network: CniNetwork, signal: AbortSignal): Promise<void> {
  await askAll(o, "STATUS", network, {}, signal, (error) => {
    throw error;
  });
}

/** The versions that a plugin speaks. */
export async function versionsOf(o: InvokeOptions, type: string, signal: AbortSignal): Promise<string[]> {
  const call = { command: "VERSION", type, target: noTarget, input: { cniVersion: "1.1.0" } } as const;
  try {
    const answer = await invokePlugin(o, call, signal);
    const versions = isJson(answer) ? answer["supportedVersions"] : undefined;
    if (Array.isArray(versions)) return versions.filter((v) => typeof v === "string");
    throw new CniError(`CNI plugin ${type} (VERSION) answered without supportedVersions`);
  } catch (error) {
    // Version 0.1.0 had no such command.
    if (error instanceof CniError && error.message.includes("unknown CNI_COMMAND: VERSION")) return ["0.1.0"];
    throw error;
  }
}
