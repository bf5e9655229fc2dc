/**
 * Networks by CNI, wired: for the pods of `agent run`, and for people at the command line. Not for: the first interface
 * of pods, which the runtime attaches.
 */
import type { CniPlaces, CniTool } from "../cli/cni_tool.ts";
import type { Config } from "../config/config.ts";
import type { Networks } from "../plugin_ports.ts";
import type { Log } from "../lib/log.ts";
import type { Host, Runtime } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import {
  type Cni,
  createCni,
  createLeakCollector,
  createPodNetworks,
  formatResult,
  loadNetworkFile,
} from "../../plugins/cni/mod.ts";
import { bridgeName, CNI_BIN_DIRS } from "../../plugins/containerd/mod.ts";

/** libcni's own, where other tools look, too. */
const cacheDir = "/var/lib/cni";
/** Of one call of one plugin: an address by DHCP may take its time. */
const timeoutMs = 60_000;

interface Parts {
  config: Config;
  host: Host;
}

export const createNodeCni = ({ config, host }: Parts, places: CniPlaces = { binDirs: [] }): Cni =>
  createCni({
    host,
    binDirs: [...places.binDirs, ...config.managedRuntime.cniBinDirs, ...CNI_BIN_DIRS],
    confDir: places.confDir ?? config.managedRuntime.cniConfDir,
    cacheDir: places.cacheDir ?? cacheDir,
    timeoutMs,
  });

const ownerOf = ({ instanceId }: Config): string => `agent-${instanceId}`;

export const createNetworks = (o: Parts & { cni: Cni }): Networks =>
  createPodNetworks({ ...o, owner: ownerOf(o.config) });

/** Looks when it starts, when a pod has gone, and when one could not be taken off its networks. */
export function runLeakCollection(
  o: Parts & { cni: Cni; log: Log; store: StatusStore; runtime: Pick<Runtime, "sandboxIds"> },
  signal: AbortSignal,
): Promise<void> {
  const collector = createLeakCollector({
    ...o,
    owner: ownerOf(o.config),
    written: new Set([bridgeName(o.config.isPrivate ? o.config.rootDir : "")]),
    sandboxes: (signal) => o.runtime.sandboxIds(signal),
  });
  o.store.subscribe((change) => {
    const ended = change.kind === "pod" && change.deleted;
    if (ended || (change.kind === "event" && change.event.reason === "FailedKillPod")) collector.nudge();
  }, signal);
  return collector.run(signal);
}

/** For `agent cni`. */
export function createCniTool(o: Parts, places: CniPlaces): CniTool {
  const cni = createNodeCni(o, places);
  return {
    ...cni,
    confDir: places.confDir ?? o.config.managedRuntime.cniConfDir,
    read: (file) => loadNetworkFile(o.host, file),
    async recorded() {
      return (await cni.attachments()).map(({ result, ...a }) => ({
        ...a,
        ...(result && { result: formatResult(result, a.network.cniVersion) }),
      }));
    },
    add: async (network, of, signal) =>
      formatResult(await cni.add(network, of, {}, signal), network.cniVersion),
  };
}
