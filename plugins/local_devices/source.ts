/** What the sources of this directory have in common: offers that are told when they change. Not for: finding devices. */
import { createListeners } from "../../agent/lib/listeners.ts";
import type { ContainerEdits } from "../../agent/model/edits.ts";
import { AgentError, errorText } from "../../agent/model/errors.ts";
import type { Device, DeviceOffer, DeviceSource } from "../../agent/plugin_ports.ts";

export interface LocalSource {
  source: DeviceSource;
  /** Replaces what is offered, by resource. Nothing happens when it is the same. */
  offer(devices: ReadonlyMap<string, readonly Device[]>): void;
}

export function createLocalSource(
  name: string,
  allocate: (resource: string, ids: readonly string[], signal: AbortSignal) => Promise<ContainerEdits>,
): LocalSource {
  const changes = createListeners<void>();
  let offers: ReadonlyMap<string, DeviceOffer> = new Map();
  let told = "[]";
  return {
    source: {
      name,
      offers: () => offers,
      subscribe: changes.subscribe,
      preferred: () => Promise.resolve(undefined),
      async allocate(resource, ids, signal) {
        try {
          return await allocate(resource, ids, signal);
        } catch (error) {
          throw new AgentError("UnexpectedAdmissionError", `${resource}: ${errorText(error)}`, {
            cause: error,
          });
        }
      },
      preStart: () => Promise.resolve(),
    },
    offer(devices) {
      const text = JSON.stringify([...devices]);
      if (text === told) return;
      told = text;
      offers = new Map(
        [...devices].map(([resource, list]) => [resource, {
          devices: list,
          connected: true,
          prefers: false,
          preStarts: false,
        }]),
      );
      changes.tell();
    },
  };
}
