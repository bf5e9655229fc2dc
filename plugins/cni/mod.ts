/**
 * CNI: networks of the configuration directory, and attachments that are remembered. Calls about one container never
 * overlap. Not for: which container is in which network, and not for the first interface of a pod, which is the runtime's.
 */
import type { CniNetwork, Json } from "../../agent/model/cni_config.ts";
import { AgentError } from "../../agent/model/errors.ts";
import type { CniResult } from "../../agent/plugin_ports.ts";
import type { Host } from "../../agent/ports.ts";
import { type Attachment, createCache } from "./cache.ts";
import { type ConfDir, loadConfDir } from "./conf_dir.ts";
import type { CniTarget, InvokeOptions } from "./invoke.ts";
import {
  addTo,
  checkIn,
  type CniRequest,
  collectIn,
  deleteFrom,
  releaseAddresses,
  statusOf,
  type ValidAttachment,
  versionsOf,
} from "./network.ts";

export type { Attachment } from "./cache.ts";
export { createLeakCollector, type LeakCollector } from "./collect.ts";
export type { ConfDir, ConfiguredNetwork } from "./conf_dir.ts";
export { loadNetworkFile } from "./conf_dir.ts";
export { CniError, type CniTarget } from "./invoke.ts";
export type { CniRequest, ValidAttachment } from "./network.ts";
export { createPodNetworks } from "./pod_networks.ts";
export { formatResult } from "./result.ts";

export interface CniOptions {
  host: Host;
  binDirs: readonly string[];
  confDir: string;
  /** Where attachments are remembered; libcni's is /var/lib/cni. */
  cacheDir: string;
  /** Of one call of one plugin. */
  timeoutMs: number;
}

/** What an agent writes down with an attachment. */
export interface Keeping {
  owner?: string;
  note?: Json;
  /** Belongs to the attachment: it is on record only when this has succeeded, too. */
  finish?(result: CniResult): Promise<void>;
}

type Of = Pick<CniTarget, "containerId" | "ifname">;

export interface Cni {
  networks(): Promise<ConfDir>;
  /** Refuses what is attached already. What a failed ADD has done is undone. */
  add(network: CniNetwork, request: CniRequest, keeping: Keeping, signal: AbortSignal): Promise<CniResult>;
  /**
   * Detaches what is on record, with the configuration that it was attached with; where nothing is, `request` says what
   * to tell the plugins. Idempotent.
   */
  del(network: CniNetwork | string, request: CniRequest, signal: AbortSignal): Promise<void>;
  /** Of one whose namespace is gone and whose plugins refuse DEL: its addresses are given back, and its record goes. */
  abandon(attachment: Attachment, signal: AbortSignal): Promise<void>;
  /** Throws what is not as ADD left it. */
  check(network: CniNetwork | string, of: Of, signal: AbortSignal): Promise<void>;
  /** Detaches what is on record for the network and not valid; of version 1.1 on, plugins are told, too. */
  gc(network: CniNetwork, valid: readonly ValidAttachment[], signal: AbortSignal): Promise<Attachment[]>;
  /** Throws why the network takes no containers now. */
  status(network: CniNetwork, signal: AbortSignal): Promise<void>;
  versions(type: string, signal: AbortSignal): Promise<string[]>;
  /** All that are on record, or those of one container, whoever made them. */
  attachments(containerId?: string): Promise<Attachment[]>;
}

const nameOf = (network: CniNetwork | string): string => typeof network === "string" ? network : network.name;

export function createCni(options: CniOptions): Cni {
  const { host, confDir, cacheDir } = options;
  const calls: InvokeOptions = options;
  const cache = createCache(host, cacheDir);
  const inTurn = createTurns();

  const remove = async (network: CniNetwork | string, request: CniRequest, signal: AbortSignal) => {
    const known = await cache.get(nameOf(network), request);
    // The namespace may have gone, or be another one, since then: the caller knows.
    const target = known && { ...known, netns: request.netns };
    const used = known?.network ?? network;
    if (typeof used === "string") return;
    await deleteFrom(calls, used, target ?? request, signal);
    await cache.remove(used.name, request);
  };

  const add: Cni["add"] = (network, request, keeping, signal) =>
    inTurn(request.containerId, async () => {
      const known = await cache.get(network.name, request);
      if (known?.result !== undefined) {
        const where = `${request.containerId} has ${request.ifname} in network ${network.name}`;
        throw new AgentError("Unknown", `container ${where} already`, { retry: false });
      }
      if (known !== undefined) await remove(network, request, signal);
      const { finish, ...kept } = keeping;
      await cache.put({ ...request, network, ...kept });
      try {
        const result = await addTo(calls, network, request, signal);
        await finish?.(result);
        await cache.put({ ...request, network, result, ...kept });
        return result;
      } catch (error) {
        // Its record stays where it cannot be undone now: whoever collects what leaked tries again.
        await remove(network, request, AbortSignal.timeout(options.timeoutMs)).catch(() => {});
        throw error;
      }
    });

  const abandon: Cni["abandon"] = (attachment, signal) =>
    inTurn(attachment.containerId, async () => {
      await releaseAddresses(calls, attachment.network, attachment, signal);
      await cache.remove(attachment.network.name, attachment);
    });

  const check: Cni["check"] = (network, of, signal) =>
    inTurn(of.containerId, async () => {
      const known = await cache.get(nameOf(network), of);
      if (known?.result === undefined) {
        const what = `no ${of.ifname} of container ${of.containerId} in network ${
          nameOf(network)
        } is on record`;
        throw new AgentError("Unknown", `${what} in ${cacheDir}/results`, { retry: false });
      }
      const { result } = known;
      await checkIn(
        calls,
        typeof network === "string" ? known.network : network,
        { ...known, result },
        signal,
      );
    });

  const gc: Cni["gc"] = async (network, valid, signal) => {
    const isValid = (a: Attachment) =>
      valid.some((v) => v.containerID === a.containerId && v.ifname === a.ifname);
    const lost = (await cache.list()).filter((a) => a.network.name === network.name && !isValid(a));
    for (const attachment of lost) {
      await inTurn(attachment.containerId, () => remove(network, attachment, signal));
    }
    await collectIn(calls, network, valid, signal);
    return lost;
  };

  return {
    networks: () => loadConfDir(host, confDir),
    add,
    del: (network, request, signal) => inTurn(request.containerId, () => remove(network, request, signal)),
    abandon,
    check,
    gc,
    status: (network, signal) => statusOf(calls, network, signal),
    versions: (type, signal) => versionsOf(calls, type, signal),
    attachments: (containerId) => cache.list(containerId),
  };
}

/** One after the other for each key. */
function createTurns(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return (key, work) => {
    const turn = (last.get(key) ?? Promise.resolve()).then(work, work);
    last.set(key, turn);
    const clear = () => {
      if (last.get(key) === turn) last.delete(key);
    };
    turn.then(clear, clear);
    return turn;
  };
}
