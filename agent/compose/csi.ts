/** CSI drivers and the volumes that pods have of them, wired. Not for: what any of them does. */
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import { createMailbox } from "../lib/mailbox.ts";
import { errorText } from "../model/errors.ts";
import type { CsiDrivers, PluginTaker } from "../plugin_ports.ts";
import type { Host } from "../ports.ts";
import type { Reconciler } from "../reconcile/reconciler.ts";
import type { StatusStore } from "../status_store.ts";
import { runRepublish } from "../volumes/csi/republish.ts";
import type { ClusterLink } from "./cluster/link.ts";
import { createCsiVolumes, type CsiVolumes } from "../volumes/csi/volumes.ts";
import { createCsiDrivers } from "../../plugins/csi/mod.ts";

export interface Csi {
  drivers: CsiDrivers;
  taker: PluginTaker;
  volumes: CsiVolumes;
  /**
   * Follows drivers that come: pods that wait for one go on, and what no pod has any more is taken from the node. Asks
   * drivers again for what they want to renew.
   */
  run(reconciler: Pick<Reconciler, "retryVolumes">, signal: AbortSignal): Promise<void>;
}

export interface CsiPartsOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  /** Absent: there is no control plane. */
  link?: Pick<ClusterLink, "objects" | "tokens" | "attachments"> | undefined;
}

const firstRetryMs = 1000;
const longestRetryMs = 120_000;

export function createCsi({ config, host, log, store, link }: CsiPartsOptions, leave: AbortSignal): Csi {
  const { drivers, taker } = createCsiDrivers({}, leave);
  const volumes = createCsiVolumes({
    host,
    drivers,
    nodeName: config.nodeName,
    rootDir: config.rootDir,
    stateDir: config.stateDir,
    objects: () => store.objects(),
    ...(link && { cluster: { objects: () => link.objects, tokens: link.tokens } }),
    ...(link?.attachments && { attachments: link.attachments }),
  });

  async function followDrivers(
    reconciler: Pick<Reconciler, "retryVolumes">,
    signal: AbortSignal,
  ): Promise<void> {
    const mailbox = createMailbox<never>(() => host.monotonic());
    const due = new Set(drivers.all().map(({ facts }) => facts.name));
    drivers.subscribe((name) => {
      if (drivers.driver(name) === undefined) return;
      due.add(name);
      reconciler.retryVolumes();
      mailbox.nudge();
    }, signal);
    if (due.size > 0) mailbox.nudge();
    for (let pauseMs = firstRetryMs; !signal.aborted;) {
      await mailbox.wait(signal, due.size === 0 ? undefined : host.monotonic() + pauseMs);
      const names = [...due];
      due.clear();
      const failed = await Promise.all(names.map((name) => collect(name, signal)));
      for (const name of failed) if (name !== undefined) due.add(name);
      pauseMs = due.size === 0 ? firstRetryMs : Math.min(longestRetryMs, pauseMs * 2);
    }
  }

  /** The driver's name where it is to be tried again. */
  async function collect(name: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      await volumes.collect(name, signal);
      return undefined;
    } catch (error) {
      if (signal.aborted || drivers.driver(name) === undefined) return undefined;
      log.warn("a volume that no pod uses is still on the node", { driver: name, error: errorText(error) });
      return name;
    }
  }

  return {
    drivers,
    taker,
    volumes,
    run: async (reconciler, signal) =>
      void await Promise.all([
        followDrivers(reconciler, signal),
        runRepublish({ host, store, volumes }, signal),
      ]),
  };
}
