/**
 * Networks by CNI, wired: for the pods of `agent run`, and for people at the command line. Not for: the first interface
 * of pods, which the runtime attaches.
 */
import { join } from "@std/path";
import type { CniPlaces, CniTool } from "../cli/cni_tool.ts";
import type { Config } from "../config/config.ts";
import { AgentError, errorText } from "../model/errors.ts";
import type { Networks } from "../plugin_ports.ts";
import { aborted } from "../lib/pause.ts";
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
import {
  addressesInUse,
  bridgeName,
  CNI_BIN_DIRS,
  type DefaultNetwork,
  removeDefaultNetwork,
  writeDefaultNetwork,
} from "../../plugins/containerd/mod.ts";

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

/** Of pods, where no other is configured. */
const defaultNetwork = ({ config }: Pick<Parts, "config">, binDir: string): DefaultNetwork => {
  const { cniConfDir: confDir, podCIDR, podCIDRv6 } = config.managedRuntime;
  const instance = config.isPrivate ? config.rootDir : "";
  return {
    confDir,
    binDir,
    bridge: bridgeName(instance),
    stateDir: config.stateDir,
    instance,
    bandwidth: config.network.bandwidth,
    ...(podCIDR !== undefined && { podCIDR }),
    ...(podCIDRv6 !== undefined && { podCIDRv6 }),
  };
};

/** Writes it for a runtime that is somebody else's. Throws RuntimeUnavailable where there are no plugins. */
async function writeNetwork(o: Parts & { log: Log }): Promise<void> {
  const { config, host } = o;
  const places = [...config.managedRuntime.cniBinDirs, ...CNI_BIN_DIRS];
  const found = await Promise.all(places.map((directory) => host.stat(join(directory, "bridge"))));
  const binDir = places.find((_, i) => found[i] !== undefined);
  if (binDir === undefined) {
    throw new AgentError(
      "RuntimeUnavailable",
      `there are no CNI plugins in ${places.join(", ")}: install them`,
    );
  }
  const isOurs = await writeDefaultNetwork(defaultNetwork(o, binDir));
  const directory = config.managedRuntime.cniConfDir;
  if (isOurs) o.log.info("the network of pods is the agent's", { directory });
  else o.log.warn("another network is configured; network.write changes nothing", { directory });
}

/** Takes it away again, unless pods of somebody else are in it. */
export async function removeNetwork(o: Parts & { report(text: string): void }): Promise<void> {
  const network = defaultNetwork(o, "");
  const addresses = await addressesInUse(network);
  if (addresses === 0) return await removeDefaultNetwork(network);
  o.report(`network ${network.bridge} stays: ${addresses} of its addresses are in use`);
}

const statusMs = 5_000;

/** From version 1.1 on the plugins of the network themselves are asked whether it takes pods. */
export const withNetworkStatus = (runtime: Runtime, cni: Pick<Cni, "networks" | "status">): Runtime => ({
  ...runtime,
  async status(signal) {
    const status = await runtime.status(signal);
    const [first] = status.networkReady ? (await cni.networks()).networks : [];
    if (first === undefined) return status;
    try {
      await cni.status(first.network, AbortSignal.any([signal, AbortSignal.timeout(statusMs)]));
      return status;
    } catch (error) {
      signal.throwIfAborted();
      const message = `network ${first.network.name} (${first.file}): ${errorText(error)}`;
      return { ...status, networkReady: false, message };
    }
  },
});

interface ServiceParts extends Parts {
  cni: Cni;
  log: Log;
  store: StatusStore;
  runtime: Pick<Runtime, "sandboxIds">;
  /** The runtime is the agent's own, which has its network. */
  isManaged: boolean;
}

/** What goes on as long as the agent runs, by name. */
export function networkServices(o: ServiceParts): [string, (signal: AbortSignal) => Promise<void>][] {
  const { write, collectLeaks } = o.config.network;
  return [
    ...(write && !o.isManaged
      ? [["network of pods", (signal: AbortSignal) => writeNetwork(o).then(() => aborted(signal))] as const]
      : []),
    ...(collectLeaks
      ? [["network leaks", (signal: AbortSignal) => runLeakCollection(o, signal)] as const]
      : []),
  ].map(([name, run]) => [name, run]);
}

/** Looks when it starts, when a pod has gone, and when one could not be taken off its networks. */
function runLeakCollection(o: ServiceParts, signal: AbortSignal): Promise<void> {
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
