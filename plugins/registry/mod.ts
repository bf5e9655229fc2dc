/**
 * Plugin registration: watches `plugins_registry` for sockets, asks each who it is, and hands it to whoever takes plugins
 * of its kind. Source: the kubelet's pkg/kubelet/pluginmanager. Not for: what a driver or a device does.
 */
import { listenForHints } from "../../agent/lib/hints.ts";
import type { Log } from "../../agent/lib/log.ts";
import { errorText } from "../../agent/model/errors.ts";
import type { PluginReport } from "../../agent/model/plugin_report.ts";
import type { PluginTakers } from "../../agent/plugin_ports.ts";
import type { Host } from "../../agent/ports.ts";
import { findSockets, type FoundSocket } from "./find.ts";
import { keepPlugin } from "./keeper.ts";
import { createNames } from "./names.ts";

export interface RegistryOptions {
  host: Host;
  /** ROOT/plugins_registry; made when it is missing. */
  directory: string;
  takers: PluginTakers;
  log: Log;
  /** Told all plugins, by socket, after each change. */
  report(plugins: readonly PluginReport[]): void;
  /** Told once for each thing that goes wrong, or well. */
  event(plugin: PluginReport): void;
  retry?: { initialMs: number; maxMs: number };
  /** Of the question who a plugin is, in milliseconds; default 10 s. */
  deadlineMs?: number;
}

/** As the kubelet's exponential back-off. */
const defaultRetry = { initialMs: 500, maxMs: 122_000 };
/** Covers lost hints. */
const rescanMs = 60_000;

interface Kept {
  identity: string;
  report: PluginReport | undefined;
  /** The socket is gone. */
  gone: AbortController;
  ended: Promise<void>;
}

/** Runs until the signal aborts, which leaves plugins registered in the eyes of their takers. */
export async function runRegistry(o: RegistryOptions, signal: AbortSignal): Promise<void> {
  const { host, directory, log } = o;
  const names = createNames();
  const kept = new Map<string, Kept>();
  const tell = () => {
    const reports = [...kept.values()].flatMap(({ report }) => report ?? []);
    o.report(reports.sort((a, b) => a.socket < b.socket ? -1 : 1));
  };
  const keep = (socket: FoundSocket, before: Promise<void> | undefined): void => {
    const { path, identity } = socket;
    const gone = new AbortController();
    const entry: Kept = { identity, report: undefined, gone, ended: Promise.resolve() };
    const show = (report: PluginReport) => {
      const known = entry.report;
      entry.report = report;
      if (report.state !== known?.state || report.error !== known.error) o.event(report);
      if (kept.get(path) === entry) tell();
    };
    const options = { ...o, names, retry: o.retry ?? defaultRetry, now: host.now, show };
    const live = async () => {
      await before; // the one that had the path
      await keepPlugin(socket, options, gone.signal, signal);
    };
    entry.ended = live().catch((error) =>
      log.error("a plugin was given up", { path, error: errorText(error) })
    );
    kept.set(path, entry);
  };
  const look = async () => {
    if (await host.stat(directory) === undefined) await host.mkdir(directory, 0o750);
    const found = await findSockets(host, directory);
    const replaced = new Map<string, Promise<void>>();
    for (const [path, { identity, gone, ended }] of [...kept]) {
      if (found.get(path)?.identity === identity) continue;
      kept.delete(path);
      gone.abort();
      replaced.set(path, ended);
    }
    for (const [path, socket] of found) if (!kept.has(path)) keep(socket, replaced.get(path));
    tell();
  };
  const hints = listenForHints(host, () => directory, signal);
  while (!signal.aborted) {
    await look().catch((error) =>
      log.warn("plugins are not looked for", { directory, error: errorText(error) })
    );
    await hints.within(rescanMs);
  }
  await Promise.all([hints.ended, ...[...kept.values()].map(({ ended }) => ended)]);
}
