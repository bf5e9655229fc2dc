/** A source of devices in memory: what it offers and how it answers is the test's. Not for: gRPC. */
import { AgentError } from "../../agent/model/errors.ts";
import type { DeviceOffer } from "../../agent/model/devices.ts";
import type { DeviceSource } from "../../agent/plugin_ports.ts";

export interface FakeDevices extends DeviceSource {
  /** Replaces an offer and tells of it; `undefined` takes it away. */
  offer(resource: string, offer: Partial<DeviceOffer> | undefined): void;
  /** What was asked of it, in order: `allocate a.com/x d0,d1`. */
  readonly calls: string[];
  /** What it would rather give. */
  prefer: string[];
  /** Called before each answer to `allocate`; may throw, or take its time. */
  onAllocate: (ids: readonly string[]) => Promise<void> | void;
}

export function createFakeDevices(name = "fake devices"): FakeDevices {
  const offers = new Map<string, DeviceOffer>();
  const listeners = new Set<() => void>();
  const calls: string[] = [];
  const source: FakeDevices = {
    name,
    calls,
    prefer: [],
    onAllocate: () => {},
    offer(resource, offer) {
      if (offer === undefined) offers.delete(resource);
      else offers.set(resource, { devices: [], connected: true, prefers: false, preStarts: false, ...offer });
      for (const listener of listeners) listener();
    },
    offers: () => offers,
    subscribe(listener, signal) {
      listeners.add(listener);
      signal.addEventListener("abort", () => listeners.delete(listener));
    },
    preferred(resource, { available, mustInclude, size }) {
      calls.push(`prefer ${resource} ${available} must ${mustInclude} size ${size}`);
      return Promise.resolve(source.prefer);
    },
    async allocate(resource, ids) {
      calls.push(`allocate ${resource} ${ids}`);
      await source.onAllocate(ids);
      if (offers.get(resource)?.connected !== true) throw new AgentError("UnexpectedAdmissionError", "gone");
      return { owner: resource, env: { [resource.replace(/\W/g, "_").toUpperCase()]: ids.join(",") } };
    },
    preStart(resource, ids) {
      calls.push(`preStart ${resource} ${ids}`);
      return Promise.resolve();
    },
  };
  return source;
}

/** Healthy devices `d0`, `d1`, …, near to no NUMA node. */
export const devices = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `d${i}`, healthy: true, numaNodes: [] as number[] }));
