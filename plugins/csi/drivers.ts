/**
 * The CSI drivers that are registered on this node: takes them over from the plugin registry, and gives them to whoever
 * has volumes. Source: kubernetes pkg/volume/csi/csi_plugin.go. Not for: finding sockets (plugins/registry), volumes.
 */
import type { CsiDriver, CsiDrivers, FoundPlugin, PluginTaker } from "../../agent/plugin_ports.ts";
import { AgentError } from "../../agent/model/errors.ts";
import { createListeners } from "../../agent/lib/listeners.ts";
import { createTurns } from "../../agent/lib/turns.ts";
import { type Channel, createChannel } from "../rpc/mod.ts";
import { createDriver } from "./driver.ts";
import { introduce } from "./introduction.ts";

export interface CsiDriversOptions {
  /** Of each call to a driver; the kubelet's is 2 minutes. */
  timeoutMs?: number;
}

interface Registered {
  driver: CsiDriver;
  plugin: FoundPlugin;
  channel: Channel;
}

/** What a driver answers, as Go's clients have it. */
const maxMessageBytes = 4 * 1024 * 1024;

export function createCsiDrivers(
  { timeoutMs = 120_000 }: CsiDriversOptions,
  leave: AbortSignal,
): { drivers: CsiDrivers; taker: PluginTaker } {
  const registered = new Map<string, Registered>();
  const changes = createListeners<string>();
  // They outlive a driver: its next life must not begin with a volume that the last one is still busy with.
  const turns = createTurns();

  function put(name: string, next: Registered | undefined): void {
    const before = registered.get(name);
    if (next === undefined) registered.delete(name);
    else registered.set(name, next);
    before?.channel.close();
    changes.tell(name);
  }

  async function register(plugin: FoundPlugin, signal: AbortSignal): Promise<void> {
    const channel = createChannel(plugin.endpoint, { maxMessageBytes });
    try {
      const facts = await introduce(plugin.name, channel, { signal, timeoutMs });
      signal.throwIfAborted();
      leave.throwIfAborted();
      put(plugin.name, { plugin, channel, driver: createDriver({ facts, channel, turns, timeoutMs }) });
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  leave.addEventListener("abort", () => {
    for (const { channel } of registered.values()) channel.close();
  });
  return {
    drivers: {
      driver: (name) => registered.get(name)?.driver,
      all: () => [...registered.values()].map((r) => r.driver),
      subscribe: changes.subscribe,
    },
    taker: {
      validate: (plugin) => validate(plugin, registered.get(plugin.name)?.plugin),
      register,
      deregister(plugin) {
        if (registered.get(plugin.name)?.plugin.socket === plugin.socket) put(plugin.name, undefined);
      },
    },
  };
}

/** `taken` is the driver that has this name now. */
export function validate(plugin: FoundPlugin, taken: FoundPlugin | undefined): void {
  const refuse = (why: string) => {
    throw new AgentError("FailedMount", `CSI driver ${JSON.stringify(plugin.name)}: ${why}`, {
      retry: false,
    });
  };
  if (!/^[a-z0-9A-Z]([-a-z0-9A-Z.]{0,61}[a-z0-9A-Z])?$/.test(plugin.name)) {
    refuse("its name must be at most 63 letters, digits, '-' and '.', with a letter or digit at either end");
  }
  const version = highestVersion(plugin.versions);
  if (version === undefined) {
    refuse(`none of the versions specified ${JSON.stringify(plugin.versions)} are supported: expected 1.x`);
  }
  if (taken === undefined || taken.socket === plugin.socket) return;
  const other = highestVersion(taken.versions);
  if (other !== undefined && version !== undefined && compare(other, version) >= 0) {
    refuse(
      `another driver with the same name is already registered with a higher supported version: ${
        JSON.stringify(other.join("."))
      }`,
    );
  }
}

type Version = readonly number[];

const compare = (a: Version, b: Version): number => {
  const at = [0, 1, 2].find((i) => a[i] !== b[i]);
  return at === undefined ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
};

/** Of those that we speak, which is 1.x. */
function highestVersion(versions: readonly string[]): Version | undefined {
  return versions.flatMap((text): Version[] => {
    const parts = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?$/.exec(text.trim());
    if (parts === null || Number(parts[1]) !== 1) return [];
    return [[1, Number(parts[2]), Number(parts[3] ?? 0)]];
  }).sort(compare).at(-1);
}
