/**
 * The device plugins of this node by resource, as a source of devices: the newest that registered for a resource has it;
 * one that goes is remembered for five minutes, with nothing of it to be given. Source: kubernetes
 * pkg/kubelet/cm/devicemanager. Not for: the calls (plugin.ts), the registration socket (registration.ts).
 */
import { createListeners } from "../../agent/lib/listeners.ts";
import type { Log } from "../../agent/lib/log.ts";
import { pause } from "../../agent/lib/pause.ts";
import type { Device, DeviceOffer } from "../../agent/model/devices.ts";
import { AgentError, errorText } from "../../agent/model/errors.ts";
import { qualifiedName } from "../../agent/model/names.ts";
import type { PluginReport } from "../../agent/model/plugin_report.ts";
import type { DeviceSource, PluginTaker } from "../../agent/plugin_ports.ts";
import { openPlugin, type PluginCalls } from "./plugin.ts";

export const apiVersion = "v1beta1";

/** As long as the kubelet remembers a plugin that is gone. */
const rememberMs = 300_000;

export interface DevicePluginsOptions {
  log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Told all that registered at kubelet.sock, after each change. */
  report(plugins: readonly PluginReport[]): void;
  /** Told once for each thing that goes wrong, or well. */
  event(plugin: PluginReport): void;
  rememberMs?: number;
}

export interface DevicePlugins {
  source: DeviceSource;
  /** Of plugins that the registry has found. */
  taker: PluginTaker;
  /**
   * Takes a plugin that registered itself: once it has told its options it is asked for its devices. Throws where it does
   * not tell them, and when the signal aborts before.
   */
  add(resource: string, socket: string, signal: AbortSignal): Promise<void>;
  /** Hangs up on all. */
  close(): void;
}

/** @throws {AgentError} that says what was expected of them. */
export function checkRegistration(resource: string, versions: readonly string[]): void {
  if (!versions.includes(apiVersion)) {
    const said = versions.map((v) => JSON.stringify(v)).join(", ") || "none";
    throw new AgentError(
      "Unknown",
      `the API version is not supported: expected "${apiVersion}", got ${said}`,
    );
  }
  const [domain = "", name] = resource.split("/");
  const native = name === undefined || domain === "kubernetes.io" || domain.endsWith(".kubernetes.io");
  if (!native && !domain.startsWith("requests.") && qualifiedName(resource) === undefined) return;
  throw new AgentError(
    "Unknown",
    `the resource name ${JSON.stringify(resource.slice(0, 300))} is invalid: expected DOMAIN/NAME`,
  );
}

interface Entry {
  resource: string;
  socket: string;
  /** The registry tells of it. */
  found: boolean;
  state: "registering" | "registered" | "failed";
  error: string;
  since: number;
  /** Absent as long as nobody can tell how many there are: the plugin has told no list, nor failed to. */
  devices: readonly Device[] | undefined;
  calls: PluginCalls | undefined;
  gone: AbortController;
}

export function createDevicePlugins(o: DevicePluginsOptions): DevicePlugins {
  const entries = new Map<string, Entry>();
  const changes = createListeners<void>();

  const toReport = ({ resource, socket, state, error, since }: Entry): PluginReport => ({
    name: resource,
    type: "DevicePlugin",
    state,
    socket,
    endpoint: socket,
    versions: [apiVersion],
    error,
    since,
  });

  const changed = () => {
    o.report([...entries.values()].filter((e) => !e.found).map(toReport));
    changes.tell();
  };

  const show = (entry: Entry, state: Entry["state"], error: string) => {
    Object.assign(entry, { state, error: error.slice(0, 1024), since: o.now() });
    if (entries.get(entry.resource) !== entry) return;
    if (!entry.found) o.event(toReport(entry));
    changed();
  };

  /** Its devices are remembered a while: what is given of them stays so, nothing more is. */
  const lose = async (entry: Entry, why: string) => {
    entry.calls?.close();
    entry.calls = undefined;
    show(entry, "failed", why);
    await pause(o.rememberMs ?? rememberMs, entry.gone.signal);
    if (entries.get(entry.resource) !== entry) return;
    entries.delete(entry.resource);
    changed();
  };

  const follow = async (entry: Entry, calls: PluginCalls) => {
    const { signal } = entry.gone;
    try {
      for await (const devices of calls.devices(signal)) {
        const same = entry.calls !== undefined && JSON.stringify(devices) === JSON.stringify(entry.devices);
        if (same) continue;
        Object.assign(entry, { calls, devices });
        if (entry.state !== "registered") show(entry, "registered", "");
        else changed();
      }
    } catch (error) {
      calls.close();
      entry.devices ??= [];
      if (!signal.aborted) await lose(entry, errorText(error));
    }
  };

  const begin = (resource: string, socket: string, found: boolean): Entry => {
    const before = entries.get(resource);
    const entry: Entry = {
      ...{ resource, socket, found, state: "registering", error: "", since: o.now() },
      ...{ devices: before?.devices, calls: undefined, gone: new AbortController() },
    };
    entries.set(resource, entry);
    before?.gone.abort();
    before?.calls?.close();
    changed();
    return entry;
  };

  /** Its options first: whoever registered it waits for them, as for the kubelet. */
  const take = async (resource: string, socket: string, found: boolean, signal: AbortSignal) => {
    const entry = begin(resource, socket, found);
    const gone = entry.gone.signal;
    try {
      const calls = await openPlugin(resource, socket, o.log, AbortSignal.any([gone, signal]));
      void follow(entry, calls);
    } catch (error) {
      if (!gone.aborted) void lose(entry, errorText(error));
      throw error;
    }
  };

  const offerOf = ({ devices = [], calls }: Entry): DeviceOffer => ({
    devices,
    connected: calls !== undefined,
    prefers: calls?.prefers === true,
    preStarts: calls?.preStarts === true,
  });

  const callsOf = (resource: string): PluginCalls => {
    const calls = entries.get(resource)?.calls;
    if (calls !== undefined) return calls;
    throw new AgentError("UnexpectedAdmissionError", `the device plugin of ${resource} is gone`);
  };

  const source: DeviceSource = {
    name: "device plugins",
    offers: () =>
      new Map(
        [...entries.values()].filter((e) => e.devices !== undefined).map((e) => [e.resource, offerOf(e)]),
      ),
    subscribe: changes.subscribe,
    preferred: (resource, of, signal) =>
      entries.get(resource)?.calls?.preferred(of, signal) ?? Promise.resolve(undefined),
    allocate: async (resource, ids, signal) => await callsOf(resource).allocate(ids, signal),
    preStart: async (resource, ids, signal) => await callsOf(resource).preStart(ids, signal),
  };

  return {
    source,
    taker: {
      validate: ({ name, versions }) => checkRegistration(name, versions),
      register: ({ name, endpoint }, signal) => take(name, endpoint, true, signal),
      deregister({ name, endpoint }) {
        const entry = entries.get(name);
        if (entry?.socket !== endpoint) return;
        entry.gone.abort();
        entry.gone = new AbortController();
        void lose(entry, "its socket is gone");
      },
    },
    add: (resource, socket, signal) => take(resource, socket, false, signal),
    close() {
      for (const entry of entries.values()) {
        entry.gone.abort();
        entry.calls?.close();
      }
    },
  };
}
