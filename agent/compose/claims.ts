/** Claims of pods, wired to the volumes of drivers and to the pods that wait for them. */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import type { Csi } from "./csi.ts";
import { type ClaimBook, createClaims } from "../volumes/claims/claims.ts";

export interface ClaimPartsOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  csi: Pick<Csi, "drivers" | "volumes">;
  labels(): Readonly<Record<string, string>>;
  /** A pod whose volumes could not be had may try again. */
  retry(podUid: string): void;
}

export function createClaimParts(o: ClaimPartsOptions, leave: AbortSignal): ClaimBook {
  const { config, host, log, store } = o;
  return createClaims({
    host,
    log,
    store,
    rootDir: config.rootDir,
    volumesDir: config.volumesDir,
    recordsPath: join(config.stateDir, "volumes.json"),
    node: {
      name: config.nodeName,
      get labels() {
        return o.labels();
      },
    },
    drivers: o.csi.drivers,
    isOnNode: (volume) => o.csi.volumes.isOnNode(volume),
    expandOnNode: (volume, bytes, signal) => o.csi.volumes.expand(volume, bytes, signal),
    retry: o.retry,
  }, leave);
}
