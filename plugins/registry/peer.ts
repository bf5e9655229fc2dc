/**
 * One plugin's registration socket: what it says of itself, and what it is told. Source: pluginregistration v1 and the
 * kubelet's pluginmanager/operationexecutor. Not for: when to ask, or what follows from the answers.
 */
import { AgentError } from "../../agent/model/errors.ts";
import { shown } from "../../agent/model/finding.ts";
import type { FoundPlugin, PluginKind } from "../../agent/plugin_ports.ts";
import { type PluginInfo, RegistrationDefinition } from "../rpc/gen/pluginregistration.ts";
import { createChannel, createClient } from "../rpc/mod.ts";

/** What a plugin said, made fit to be shown. */
export interface Introduction {
  type: string;
  name: string;
  endpoint: string;
  versions: readonly string[];
}

export interface Peer {
  introduction(signal: AbortSignal): Promise<Introduction>;
  /** Tells it that it is registered, or with an error why it is not. */
  notify(error: string | undefined, signal: AbortSignal): Promise<void>;
  /** Resolves when the connection has ended or the signal aborts. */
  lost(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** For who has much to do; the kubelet waits a second. */
const infoMs = 10_000;
const notifyMs = 5_000;
/** An introduction has a few names. */
const maxAnswer = 64 * 1024;
/** sun_path without its end mark, unix(7). */
const longestPath = 107;

const kinds: readonly PluginKind[] = ["CSIPlugin", "DevicePlugin", "DRAPlugin"];

export const refusal = (message: string, options: { retry?: boolean } = {}): AgentError =>
  new AgentError("PluginRegistrationFailed", message, options);

export function openPeer(socket: string, deadlineMs = infoMs): Peer {
  const length = new TextEncoder().encode(socket).length;
  if (length > longestPath) {
    throw refusal(
      `the path of its socket has ${length} bytes, and the kernel takes ${longestPath}: place it less deep`,
      { retry: false },
    );
  }
  const channel = createChannel(socket, { maxMessageBytes: maxAnswer });
  const client = createClient(RegistrationDefinition, channel);
  return {
    introduction: async (signal) =>
      introductionOf(await client.getInfo({}, { signal, timeoutMs: deadlineMs }), socket),
    async notify(error, signal) {
      const status = { pluginRegistered: error === undefined, error: error ?? "" };
      await client.notifyRegistrationStatus(status, { signal, timeoutMs: notifyMs });
    },
    async lost(signal) {
      const ended = Promise.withResolvers<void>();
      const end = () => ended.resolve();
      signal.addEventListener("abort", end, { once: true });
      await channel.withLink(({ connection }) => void connection.closed.then(end)).catch(end);
      if (signal.aborted) end();
      await ended.promise.finally(() => signal.removeEventListener("abort", end));
    },
    close: channel.close,
  };
}

const maxName = 253;
const maxVersions = 32;
const cut = (text: string): string => text.length > maxName ? text.slice(0, maxName) + "…" : text;

function introductionOf(info: PluginInfo, socket: string): Introduction {
  return {
    type: cut(info.type),
    name: cut(info.name),
    endpoint: info.endpoint === "" ? socket : info.endpoint.replace(/^unix:(\/\/)?(?=\/)/, ""),
    versions: info.supportedVersions.slice(0, maxVersions).map(cut),
  };
}

/** Throws AgentError saying what the plugin should have said. */
export function parseIntroduction(said: Introduction, socket: string): FoundPlugin {
  const { type, name, endpoint, versions } = said;
  const kind = kinds.find((k) => k === type);
  if (kind === undefined) {
    throw refusal(`it says that its type is ${shown(type)}; expected one of ${kinds.join(", ")}`, {
      retry: false,
    });
  }
  if (name === "" || name.length > maxName || /\p{Cc}/u.test(name)) {
    throw refusal(`it says that its name is ${shown(name)}; expected 1 to ${maxName} printable characters`);
  }
  if (!endpoint.startsWith("/")) {
    throw refusal(`it says that it serves at ${shown(endpoint)}; expected the absolute path of a socket`);
  }
  return { kind, name, endpoint, versions, socket };
}
