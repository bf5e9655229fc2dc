/** Devices of this node: who offers them, and the ledger over them all. Not for: what any of them does. */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import type { NodeResources } from "../node/status.ts";
import { createDeviceLedger, type DeviceLedger, type DeviceLedgerOptions } from "../node/device_ledger.ts";
import type { DeviceSource, PluginTakers } from "../plugin_ports.ts";
import type { Host } from "../ports.ts";
import type { Reconciler } from "../reconcile/reconciler.ts";
import type { StatusStore } from "../status_store.ts";
import { createDevicePlugins, responseCodec, runRegistration } from "../../plugins/device/mod.ts";
import { tellOfPlugin } from "./plugins.ts";

export interface DevicePartsOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  near?: DeviceLedgerOptions["near"];
}

export interface DeviceParts {
  ledger: DeviceLedger;
  takers: PluginTakers;
  /** Listens to device plugins until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** With what was given before. Device plugins come before `others`, and those that come first win. */
export async function createDevices(
  { config, host, log, store, near }: DevicePartsOptions,
  others: readonly DeviceSource[],
): Promise<DeviceParts> {
  const directory = join(config.rootDir, "device-plugins");
  const plugins = createDevicePlugins({
    log,
    now: () => host.now(),
    report: (reports) => store.setPlugins("devices", reports),
    event: (plugin) => tellOfPlugin(plugin, store, host.now()),
  });
  const ledger = createDeviceLedger({
    host,
    log,
    sources: [plugins.source, ...others],
    directory,
    codec: responseCodec,
    waitMs: config.deviceWait,
    ...(near && { near }),
    report: (problems) => store.setProblems("devices", problems),
  });
  await ledger.load();
  return {
    ledger,
    takers: { DevicePlugin: plugins.taker },
    async run(signal) {
      signal.addEventListener("abort", plugins.close, { once: true });
      await runRegistration({ host, directory, plugins }, signal);
    },
  };
}

/** Pods learn at once what has changed for them, and so does who looks at the node. */
export function followDevices(
  { ledger, reconciler, store, resources }: {
    ledger: DeviceLedger;
    reconciler: Reconciler;
    store: StatusStore;
    resources(): NodeResources;
  },
  signal: AbortSignal,
): void {
  ledger.subscribe((uids) => {
    const status = store.status();
    if (status !== undefined) store.setStatus({ ...status, ...resources() });
    reconciler.readmit();
    for (const uid of uids) reconciler.nudge(uid);
  }, signal);
}
