/**
 * Networks by CNI, wired: for the pods of `agent run`, and for people at the command line. Not for: the first interface
 * of pods, which the runtime attaches.
 */
import type { Config } from "../config/config.ts";
import type { Networks } from "../plugin_ports.ts";
import type { Host } from "../ports.ts";
import { type Cni, createCni, createPodNetworks } from "../../plugins/cni/mod.ts";
import { CNI_BIN_DIRS } from "../../plugins/containerd/mod.ts";

/** libcni's own, where other tools look, too. */
const cacheDir = "/var/lib/cni";
/** Of one call of one plugin: an address by DHCP may take its time. */
const timeoutMs = 60_000;

export const createNodeCni = ({ config, host }: { config: Config; host: Host }): Cni =>
  createCni({
    host,
    binDirs: [...config.managedRuntime.cniBinDirs, ...CNI_BIN_DIRS],
    confDir: config.managedRuntime.cniConfDir,
    cacheDir,
    timeoutMs,
  });

export const createNetworks = (o: { config: Config; host: Host; cni: Cni }): Networks =>
  createPodNetworks({ ...o, owner: `agent-${o.config.instanceId}` });
