/**
 * Which devices each container of a pod gets, and what stands in the way: pure decisions on what sources offer and what
 * is given already. Not for: asking sources or keeping assignments (node/device_ledger.ts), counts that decide whether
 * the node takes a pod (admission.ts).
 *
 * Source: kubernetes pkg/kubelet/cm/devicemanager (devicesToAllocate, filterByAffinity, Allocate).
 */
import type { ContainerEdits } from "./edits.ts";
import type { PodEnd } from "./end.ts";
import type { Container, Pod } from "./gen/v1.ts";
import { type Amounts, limitsOf } from "./qos.ts";
import { formatQuantity } from "./quantity.ts";
import { isSidecar } from "./restart.ts";

export interface Device {
  id: string;
  healthy: boolean;
  /** NUMA nodes that it is near to; empty: any. */
  numaNodes: readonly number[];
}

/** One extended resource as its source offers it now. */
export interface DeviceOffer {
  devices: readonly Device[];
  /** False once the source went away: what was given stays so, nothing more is. */
  connected: boolean;
  /** Whether the source has a preference, and readies devices before each start. */
  prefers: boolean;
  preStarts: boolean;
}

export type Offers = ReadonlyMap<string, DeviceOffer>;

/** The devices of one resource that one container has. */
export interface Grant {
  /** Ids by NUMA node; -1 is none. A device that is near to several stands at each. */
  devices: ReadonlyMap<number, readonly string[]>;
  /** What they bring with them; absent while the source has not answered yet. */
  edits?: ContainerEdits;
}

/** By container, then by resource. */
export type PodGrants = ReadonlyMap<string, ReadonlyMap<string, Grant>>;
/** By uid of the pod. */
export type Grants = ReadonlyMap<string, PodGrants>;

/** Nothing new that needs these devices starts; what runs stays. */
export interface Held extends PodEnd {
  /** Names of the containers that wait; a pod without a sandbox waits as a whole. */
  containers: ReadonlySet<string>;
  /** When the wait ends, in ms since the epoch; absent: with what is waited for. */
  until?: number;
}

export const isDeviceResource = (name: string): boolean => name.includes("/");

/** What a container asks for, by resource; counts above 0. */
export function deviceRequests(container: Container): [resource: string, count: number][] {
  return Object.entries(limitsOf(container)).filter(([name, n]) => isDeviceResource(name) && n > 0);
}

/** In the order in which they are given devices. */
export const containersOf = (pod: Pod): Container[] => [
  ...pod.spec?.initContainers ?? [],
  ...pod.spec?.containers ?? [],
];

/** By this a pod asks for another device, and a restart, when one of a container turns unhealthy. */
export const replacesUnhealthy = (pod: Pod): boolean =>
  pod.metadata?.annotations?.["agent/replace-unhealthy-devices"] === "true";

/** Asked for at every look at a pod, whose manifest is never changed in place. */
const wanting = new WeakMap<Pod, boolean>();
export function wantsDevices(pod: Pod): boolean {
  const known = wanting.get(pod) ?? containersOf(pod).some((c) => deviceRequests(c).length > 0);
  wanting.set(pod, known);
  return known;
}

export const idsOf = (grant: Grant): string[] => [...new Set([...grant.devices.values()].flat())].sort();

/** Sorts ids by the NUMA nodes of their devices. */
export function byNuma(ids: readonly string[], offer: DeviceOffer | undefined): Map<number, string[]> {
  const known = new Map(offer?.devices.map((d) => [d.id, d.numaNodes]));
  const nodes = new Map<number, string[]>();
  for (const id of ids) {
    const near = known.get(id) ?? [];
    for (const node of near.length === 0 ? [-1] : near) nodes.set(node, [...nodes.get(node) ?? [], id]);
  }
  return nodes;
}

/** Ids of a resource that somebody has. */
export function usedOf(grants: Grants, resource: string): Set<string> {
  const used = new Set<string>();
  for (const pod of grants.values()) {
    for (const container of pod.values()) {
      const grant = container.get(resource);
      if (grant !== undefined) { for (const id of idsOf(grant)) used.add(id); }
    }
  }
  return used;
}

/** Devices of init containers that have ended by the time this container starts, and that no other one has. */
export function reusable(pod: Pod, grants: PodGrants, name: string, resource: string): Set<string> {
  const of = (c: Container) => {
    const grant = grants.get(c.name)?.get(resource);
    return grant === undefined ? [] : idsOf(grant);
  };
  const inits = pod.spec?.initContainers ?? [];
  const at = inits.findIndex((c) => c.name === name);
  const before = (at < 0 ? inits : inits.slice(0, at)).filter((c) => !isSidecar(c));
  const free = new Set(before.flatMap(of));
  const lasting = [...inits.filter(isSidecar), ...pod.spec?.containers ?? []].filter((c) => c.name !== name);
  for (const id of lasting.flatMap(of)) free.delete(id);
  return free;
}

/** From what a container's devices of one resource are chosen. */
export interface Selection {
  size: number;
  /** Already decided: what it has, then what init containers leave to it. */
  must: readonly string[];
  /** Healthy and free, without `must`: near to the wanted NUMA nodes, far from them, near to none. */
  aligned: readonly string[];
  unaligned: readonly string[];
  anywhere: readonly string[];
}

export interface SelectionFacts {
  offer: DeviceOffer;
  size: number;
  /** What the container has and may keep. */
  own: readonly string[];
  reuse: ReadonlySet<string>;
  used: ReadonlySet<string>;
  /** NUMA nodes to take from first; absent: any. */
  near?: ReadonlySet<number> | undefined;
}

export function selectionOf({ offer, size, own, reuse, used, near }: SelectionFacts): Selection {
  const healthy = offer.devices.filter((d) => d.healthy);
  const reused = healthy.filter((d) => reuse.has(d.id)).map((d) => d.id);
  const must = [...new Set([...own, ...reused])].slice(0, size);
  const free = healthy.filter((d) => !used.has(d.id) && !must.includes(d.id));
  const place = (d: Device) =>
    near === undefined || d.numaNodes.length === 0
      ? "anywhere"
      : d.numaNodes.some((node) => near.has(node))
      ? "aligned"
      : "unaligned";
  const at = (where: string) => free.filter((d) => place(d) === where).map((d) => d.id);
  return { size, must, aligned: at("aligned"), unaligned: at("unaligned"), anywhere: at("anywhere") };
}

const lacking = (s: Selection): number => s.size - s.must.length;
const freeOf = (s: Selection): string[] => [...s.aligned, ...s.unaligned, ...s.anywhere];

/** Whether there are enough. */
export const suffices = (s: Selection): boolean => freeOf(s).length >= lacking(s);

/** What a source that has a preference is asked; undefined: there is nothing to choose. */
export function questionOf(
  s: Selection,
): { available: string[]; mustInclude: readonly string[]; size: number } | undefined {
  if (lacking(s) <= 0 || freeOf(s).length <= lacking(s)) return undefined;
  const narrow = lacking(s) < s.aligned.length;
  const mustInclude = narrow ? s.must : [...s.must, ...s.aligned].slice(0, s.size);
  if (mustInclude.length === s.size) return undefined;
  const available = narrow ? s.aligned : freeOf(s);
  return { available: [...new Set([...s.must, ...available])], mustInclude, size: s.size };
}

/** The choice: what must be, then near devices, preferred ones before others. Ids in the order of the offer. */
export function chooseDevices(s: Selection, preferred: readonly string[] = []): string[] {
  const liked = (ids: readonly string[]) => preferred.filter((id) => ids.includes(id));
  const free = freeOf(s);
  const order = lacking(s) < s.aligned.length
    ? [...s.must, ...liked(s.aligned), ...s.aligned]
    : [...s.must, ...s.aligned, ...liked(free), ...free];
  return [...new Set(order)].slice(0, s.size);
}

/** What keeps a container from its devices. */
export interface Obstacle {
  resource: string;
  container: string;
  size: number;
  /** `absent`: nobody offers the resource now. `short`: too few are free. */
  kind: "absent" | "short";
  free: number;
}

/**
 * What stands between the containers of a pod and their devices, were they given now; empty: nothing. What a container
 * has counts as its own as long as its source is there, healthy or not. `keeps` tells which of its ids it may keep.
 */
export function obstaclesOf(
  pod: Pod,
  uid: string,
  grants: Grants,
  offers: Offers,
  keeps: (resource: string, grant: Grant) => readonly string[] = (_resource, grant) => idsOf(grant),
): Obstacle[] {
  const mine = new Map([...grants.get(uid) ?? []].map(([name, of]) => [name, new Map(of)]));
  const all = new Map([...grants, [uid, mine]]);
  const found: Obstacle[] = [];
  for (const container of containersOf(pod)) {
    for (const [resource, size] of deviceRequests(container)) {
      const of = { resource, container: container.name, size };
      const offer = offers.get(resource);
      if (offer?.connected !== true) {
        found.push({ ...of, kind: "absent", free: 0 });
        continue;
      }
      const has = mine.get(container.name)?.get(resource);
      const selection = selectionOf({
        offer,
        size,
        own: has === undefined ? [] : keeps(resource, has),
        reuse: reusable(pod, mine, container.name, resource),
        used: usedOf(all, resource),
      });
      if (!suffices(selection)) {
        found.push({ ...of, kind: "short", free: freeOf(selection).length + selection.must.length });
      }
      const chosen = { devices: byNuma(chooseDevices(selection), offer) };
      mine.set(container.name, (mine.get(container.name) ?? new Map()).set(resource, chosen));
    }
  }
  return found;
}

/** Whether each container of the pod has all that it asks for. */
export function isProvided(pod: Pod, grants: PodGrants | undefined): boolean {
  return containersOf(pod).every((c) =>
    deviceRequests(c).every(([resource, size]) => {
      const grant = grants?.get(c.name)?.get(resource);
      return grant !== undefined && idsOf(grant).length === size;
    })
  );
}

/** Capacity and what of it may be given, by resource. */
export function deviceAmounts(offers: Offers): Map<string, { capacity: number; allocatable: number }> {
  return new Map(
    [...offers].map(([resource, { devices, connected }]) => [resource, {
      capacity: devices.length,
      allocatable: connected ? devices.filter((d) => d.healthy).length : 0,
    }]),
  );
}

/** As a Node's status tells its resources: of the node itself in base units, and its devices. */
export function nodeResources(
  own: { capacity: Amounts; allocatable: Amounts },
  offers: Offers,
): { capacity: Record<string, string>; allocatable: Record<string, string> } {
  const of = (which: "capacity" | "allocatable") =>
    Object.fromEntries([
      ...Object.entries(own[which]).map(([name, amount]) => [name, formatQuantity(name, amount)] as const),
      ...[...deviceAmounts(offers)].map(([name, amounts]) => [name, String(amounts[which])] as const),
    ]);
  return { capacity: of("capacity"), allocatable: of("allocatable") };
}

/** What may be given of the resources that somebody offers now. */
export const allocatableDevices = (offers: Offers): Record<string, number> =>
  Object.fromEntries(
    [...deviceAmounts(new Map([...offers].filter(([, offer]) => offer.connected)))]
      .map(([resource, { allocatable }]) => [resource, allocatable]),
  );

/** One device of a container in its status (KEP-4680). */
export function healthOf(id: string, offer: DeviceOffer | undefined): "Healthy" | "Unhealthy" | "Unknown" {
  const device = offer?.connected === true ? offer.devices.find((d) => d.id === id) : undefined;
  return device === undefined ? "Unknown" : device.healthy ? "Healthy" : "Unhealthy";
}
