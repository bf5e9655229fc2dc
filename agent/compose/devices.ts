/** Devices of this node: who offers them, and the ledger over them all. Not for: what any of them does. */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import { createDeviceLedger, type DeviceLedger } from "../node/device_ledger.ts";
import type { DeviceSource } from "../plugin_ports.ts";
import type { Host } from "../ports.ts";
import type { Reconciler } from "../reconcile/reconciler.ts";
import type { StatusStore } from "../status_store.ts";
import { responseCodec } from "../../plugins/device/mod.ts";

export interface DevicePartsOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
}

/** With what was given before; sources that come first win. */
export async function createDevices(
  { config, host, log, store }: DevicePartsOptions,
  sources: readonly DeviceSource[],
): Promise<DeviceLedger> {
  const ledger = createDeviceLedger({
    host,
    log,
    sources,
    directory: join(config.rootDir, "device-plugins"),
    codec: responseCodec,
    waitMs: config.deviceWait,
    report: (problems) => store.setProblems("devices", problems),
  });
  await ledger.load();
  return ledger;
}

/** Pods learn at once what has changed for them. */
export function followDevices(ledger: DeviceLedger, reconciler: Reconciler, signal: AbortSignal): void {
  ledger.subscribe((uids) => {
    reconciler.readmit();
    for (const uid of uids) reconciler.nudge(uid);
  }, signal);
}
