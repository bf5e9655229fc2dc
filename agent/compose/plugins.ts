/**
 * Plugins: those that register themselves go to those who take them, those that the agent runs itself are kept running;
 * both are told in the status store and as events. Not for: what each kind of plugin is used for.
 */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import type { PluginReport } from "../model/plugin_report.ts";
import type { PluginTakers } from "../plugin_ports.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import { locateProblems } from "../sources/locate.ts";
import { runDrivers } from "../../plugins/drivers/mod.ts";
import { runRegistry } from "../../plugins/registry/mod.ts";

export interface PluginOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  takers: PluginTakers;
}

export function runPlugins(o: PluginOptions, signal: AbortSignal): Promise<void> {
  const { config, host, log, store, takers } = o;
  return runRegistry({
    host,
    directory: join(config.rootDir, "plugins_registry"),
    takers,
    log,
    report: (plugins) => store.setPlugins("registry", plugins),
    event: (plugin) => tellOfPlugin(plugin, store, host.now()),
  }, signal);
}

export function runOwnDrivers(
  { config, host, log, store }: Omit<PluginOptions, "takers">,
  signal: AbortSignal,
): Promise<void> {
  return runDrivers({
    host,
    directory: config.pluginsDir,
    instance: config.rootDir,
    logsDir: config.pluginLogsDir,
    log,
    locate: locateProblems,
    problems: (problems) => store.setProblems("drivers", problems),
    report: (drivers) => store.setPlugins("drivers", drivers),
    event({ name, state, error }) {
      const object = { kind: "Plugin", name };
      const now = host.now();
      if (state === "failed") {
        store.addEvent({ type: "Warning", reason: "DriverFailed", message: error, object }, now);
      } else if (state === "running") {
        store.addEvent({ type: "Normal", reason: "DriverRunning", message: "The driver runs", object }, now);
      }
    },
  }, signal);
}

/** A plugin that comes or fails is worth a word; that one is being asked is not. */
export function tellOfPlugin(
  { name, type, state, error, socket }: PluginReport,
  store: StatusStore,
  now: number,
): void {
  const object = { kind: "Plugin", name };
  if (error !== "") {
    const message = `${type || "plugin"} at ${socket}: ${error}`;
    store.addEvent({ type: "Warning", reason: "PluginRegistrationFailed", message, object }, now);
  } else if (state === "registered") {
    const message = `${type} at ${socket} is registered`;
    store.addEvent({ type: "Normal", reason: "PluginRegistered", message, object }, now);
  }
}
