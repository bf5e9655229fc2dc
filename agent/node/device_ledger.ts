/**
 * Which container has which devices: gives them, keeps that in the kubelet's own file, takes them back. One ledger over
 * all sources; where two offer one resource, the first of them has it. Not for: the choice (model/devices.ts), how a
 * source talks to its devices (plugins).
 */
import { join } from "@std/path";
import { createListeners } from "../lib/listeners.ts";
import type { Log } from "../lib/log.ts";
import { aborted } from "../lib/pause.ts";
import {
  byNuma,
  chooseDevices,
  containersOf,
  deviceRequests,
  type Grant,
  type Grants,
  healthOf,
  idsOf,
  isProvided,
  type Obstacle,
  obstaclesOf,
  type Offers,
  questionOf,
  replacesUnhealthy,
  reusable,
  type Selection,
  selectionOf,
  suffices,
  usedOf,
  wantsDevices,
} from "../model/devices.ts";
import { type DeviceCheckpoint, formatCheckpoint, parseCheckpoint } from "../model/device_checkpoint.ts";
import { type DeviceReport, deviceReports } from "../model/device_report.ts";
import { type ContainerEdits, mergeEdits } from "../model/edits.ts";
import { AgentError, errorText, type Problem } from "../model/errors.ts";
import type { Container, Pod, ResourceStatus } from "../model/gen/v1.ts";
import { isAlive } from "../model/plan_stop.ts";
import type { DesiredPod } from "../model/wish.ts";
import type { Devices, DeviceSource } from "../plugin_ports.ts";
import type { Host } from "../ports.ts";

export interface DeviceLedgerOptions {
  host: Host;
  log: Log;
  /** Those of them that come first win. */
  sources: readonly DeviceSource[];
  /** `ROOT/device-plugins`, where the kubelet has its file. */
  directory: string;
  /** What a source gives, as the kubelet's file has it. */
  codec: { encode(edits: ContainerEdits): Uint8Array; decode(response: Uint8Array): ContainerEdits };
  /** So long a pod that has had no devices waits for somebody to offer them, in ms. */
  waitMs: number;
  /** NUMA nodes that the devices of a container should be near to; undefined: any. */
  near?(pod: DesiredPod, container: Container): ReadonlySet<number> | undefined;
  report(problems: readonly Problem[]): void;
}

export interface DeviceLedger extends Devices {
  /** Reads what was given. Before anything else. */
  load(): Promise<void>;
  offers(): Offers;
  grants(): Grants;
  /** As users see them. */
  reports(): DeviceReport[];
  /** Calls back with the pods for which something has changed: offers, or what others have given back. */
  subscribe(listener: (uids: ReadonlySet<string>) => void, signal: AbortSignal): void;
}

const fileName = "kubelet_internal_checkpoint";

export function createDeviceLedger(o: DeviceLedgerOptions): DeviceLedger {
  const path = join(o.directory, fileName);
  const grants = new Map<string, Map<string, Map<string, Grant>>>();
  /** Devices that were known when the last agent ended, of resources that nobody has offered yet. */
  const before = new Map<string, readonly string[]>();
  /** Pods that ask for devices, and whether they wait for some. */
  const asking = new Map<string, boolean>();
  /** Since when pods wait, and since when a resource is gone, on the clock that never jumps. */
  const waiting = new Map<string, number>();
  const lost = new Map<string, number>();
  const listeners = createListeners<ReadonlySet<string>>();
  let follows = false;
  let connected = new Set<string>();
  let bootId = "";
  let written = "";
  let saving: Promise<void> = Promise.resolve();
  let isRestored = false;
  const restored = Promise.withResolvers<void>();

  const offers = (): Offers => {
    const all = new Map<string, ReturnType<Offers["get"]> & object>();
    for (const source of o.sources) {
      for (const [resource, offer] of source.offers()) {
        const known = all.get(resource);
        if (known === undefined || (!known.connected && offer.connected)) all.set(resource, offer);
      }
    }
    return all;
  };

  const sourceOf = (resource: string): DeviceSource | undefined => {
    const all = o.sources.filter((s) => s.offers().has(resource));
    return all.find((s) => s.offers().get(resource)!.connected) ?? all[0];
  };

  const offersChanged = () => {
    const now = new Set([...offers()].filter(([, offer]) => offer.connected).map(([name]) => name));
    for (const name of connected) if (!now.has(name)) lost.set(name, o.host.monotonic());
    for (const name of now) {
      lost.delete(name);
      before.delete(name);
    }
    connected = now;
    listeners.tell(new Set(asking.keys()));
  };

  const snapshot = (): DeviceCheckpoint => ({
    entries: [...grants].flatMap(([uid, containers]) =>
      [...containers].flatMap(([container, resources]) =>
        [...resources].flatMap(([resource, { devices, edits }]) =>
          edits === undefined ? [] : [{ uid, container, resource, devices, response: o.codec.encode(edits) }]
        )
      )
    ),
    registered: new Map([
      ...before,
      ...[...offers()].map(([name, { devices }]) => [name, devices.map((d) => d.id)] as const),
    ]),
  });

  const write = async () => {
    const text = formatCheckpoint(snapshot(), bootId);
    if (text === written) return;
    written = "";
    await o.host.mkdir(o.directory, 0o750);
    await o.host.writeFileAtomic(path, text, 0o600);
    written = text;
  };

  const save = (): Promise<void> => {
    const next = saving.then(write);
    saving = next.catch(() => {});
    return next;
  };

  const saveSoon = () =>
    void save().catch((error) =>
      o.log.error("cannot keep which devices are given", { path, error: errorText(error) })
    );

  const grantOf = (uid: string, container: string, resource: string) =>
    grants.get(uid)?.get(container)?.get(resource);

  /** Which of its devices a container has on for its next start. */
  const kept = (pod: Pod, resource: string, grant: Grant): string[] => {
    const offer = replacesUnhealthy(pod) ? offers().get(resource) : undefined;
    return idsOf(grant).filter((id) => healthOf(id, offer) !== "Unhealthy");
  };

  const put = (uid: string, container: string, resource: string, grant: Grant | undefined) => {
    const pod = grants.get(uid) ?? new Map<string, Map<string, Grant>>();
    const resources = pod.get(container) ?? new Map<string, Grant>();
    if (grant === undefined) resources.delete(resource);
    else resources.set(resource, grant);
    if (resources.size === 0) pod.delete(container);
    else pod.set(container, resources);
    if (pod.size === 0) grants.delete(uid);
    else grants.set(uid, pod);
  };

  /** What there is to choose from now; throws where that is too little. */
  const select = (
    desired: DesiredPod,
    container: Container,
    resource: string,
    size: number,
  ): Selection => {
    const offer = offers().get(resource);
    if (offer?.connected !== true) throw refused(`nobody offers ${resource} now`);
    const has = grantOf(desired.uid, container.name, resource);
    const selection = selectionOf({
      offer,
      size,
      own: has === undefined ? [] : kept(desired.pod, resource, has),
      reuse: reusable(desired.pod, grants.get(desired.uid) ?? new Map(), container.name, resource),
      used: usedOf(grants, resource),
      near: o.near?.(desired, container),
    });
    if (suffices(selection)) return selection;
    throw refused(shortText({ resource, size, free: free(selection) }));
  };

  const give = async (
    desired: DesiredPod,
    container: Container,
    resource: string,
    size: number,
    signal: AbortSignal,
  ) => {
    const { uid } = desired;
    const has = grantOf(uid, container.name, resource);
    if (has?.edits !== undefined && kept(desired.pod, resource, has).length === size) return;
    const question = questionOf(select(desired, container, resource, size));
    const source = sourceOf(resource)!;
    const prefers = source.offers().get(resource)?.prefers === true;
    const preferred = question !== undefined && prefers
      ? await source.preferred(resource, question, signal)
      : undefined;
    // Anew: while the source thought about it others may have been given some.
    const ids = chooseDevices(select(desired, container, resource, size), preferred);
    const devices = byNuma(ids, offers().get(resource));
    put(uid, container.name, resource, { devices });
    const edits = await source.allocate(resource, ids, signal);
    put(uid, container.name, resource, { devices, edits });
  };

  const giveAll = async (desired: DesiredPod, container: Container, signal: AbortSignal) => {
    const wanted = deviceRequests(container);
    const names = new Set(wanted.map(([resource]) => resource));
    for (const resource of grants.get(desired.uid)?.get(container.name)?.keys() ?? []) {
      if (!names.has(resource)) put(desired.uid, container.name, resource, undefined);
    }
    for (const [resource, size] of wanted) await give(desired, container, resource, size, signal);
  };

  const whatRunsIsKnown = async (signal: AbortSignal) => {
    if (!isRestored) await Promise.race([restored.promise, aborted(signal)]);
    signal.throwIfAborted();
  };

  const preStart = async (uid: string, container: Container, signal: AbortSignal) => {
    for (const [resource, grant] of grants.get(uid)?.get(container.name) ?? []) {
      const source = sourceOf(resource);
      if (source?.offers().get(resource)?.preStarts !== true) continue;
      await source.preStart(resource, idsOf(grant), signal);
    }
  };

  /** Something was given back. */
  const tellWaiting = (uid: string) =>
    listeners.tell(new Set([...asking].flatMap(([other, waits]) => waits && other !== uid ? [other] : [])));

  const drop = (uid: string, container?: string) => {
    if (container === undefined) grants.delete(uid);
    else {
      grants.get(uid)?.delete(container);
      if (grants.get(uid)?.size === 0) grants.delete(uid);
    }
    tellWaiting(uid);
    saveSoon();
  };

  return {
    async load() {
      bootId = (await o.host.readText("/proc/sys/kernel/random/boot_id") ?? "").trim();
      const content = await o.host.readText(path);
      if (content === undefined) return;
      try {
        const { entries, registered } = parseCheckpoint(content);
        for (const { uid, container, resource, devices, response } of entries) {
          const edits = response === undefined ? { owner: resource } : o.codec.decode(response);
          put(uid, container, resource, { devices, edits });
        }
        for (const [name, ids] of registered) before.set(name, ids);
        written = content;
      } catch (error) {
        await o.host.rename(path, `${path}.unreadable`);
        const message = `it is not used and was moved to ${path}.unreadable: ${errorText(error)}`;
        o.report([{ severity: "warning", file: path, message }]);
      }
    },
    offers,
    grants: () => grants,
    reports: () => deviceReports(o.sources, grants),
    subscribe(listener, signal) {
      listeners.subscribe(listener, signal);
      if (!follows) { for (const source of o.sources) source.subscribe(offersChanged, signal); }
      follows = true;
    },
    outlook(desired) {
      const { uid, pod } = desired;
      if (!wantsDevices(pod)) return undefined;
      const keeps = (resource: string, grant: Grant) => kept(pod, resource, grant);
      const obstacles = obstaclesOf(pod, uid, grants, offers(), keeps);
      asking.set(uid, obstacles.length > 0);
      const now = o.host.monotonic();
      const absent = obstacles.filter(({ kind }) => kind === "absent");
      if (absent.length === 0) waiting.delete(uid);
      else if (!waiting.has(uid)) waiting.set(uid, now);
      if (obstacles.length === 0) return undefined;
      const containers = new Set(obstacles.map((each) => each.container));
      const held = { reason: "WaitingForDevices", message: obstacleText(obstacles[0]!, before), containers };
      if (absent.length === 0 || grants.has(uid)) return { held };
      const since = Math.max(waiting.get(uid)!, ...absent.map(({ resource }) => lost.get(resource) ?? 0));
      const left = since + o.waitMs - now;
      if (left > 0) return { held, left };
      const message = `Pod was rejected: for ${Math.round(o.waitMs / 1000)} s nobody has offered ${
        absent[0]!.resource
      }`;
      return { held, rejected: { reason: "UnexpectedAdmissionError", message } };
    },
    restore(pods) {
      for (const { uid, containers } of pods) {
        for (const { name, devices = {} } of containers.filter(isAlive)) {
          for (const [resource, ids] of Object.entries(devices)) {
            // Without what they bring along: the next start asks for that, with the same ids.
            const grant = { devices: new Map([[-1, ids]]) };
            if (grantOf(uid, name, resource) === undefined) put(uid, name, resource, grant);
          }
        }
      }
      isRestored = true;
      restored.resolve();
    },
    async prepare(desired, container, signal) {
      const { uid, pod } = desired;
      if (!wantsDevices(pod)) return undefined;
      await whatRunsIsKnown(signal);
      const before = new Map([...grants.get(uid) ?? []].map(([name, of]) => [name, new Map(of)]));
      try {
        for (const each of containersOf(pod)) {
          const isNew = !isProvided({ spec: { containers: [each] } }, grants.get(uid));
          const settled = grants.get(uid)?.has(each.name) === true && each.name !== container.name;
          if (isNew && !settled || each.name === container.name) await giveAll(desired, each, signal);
        }
      } catch (error) {
        // All or nothing: two pods that each have a part of what the other wants would wait for ever.
        if (before.size === 0) grants.delete(uid);
        else grants.set(uid, before);
        tellWaiting(uid);
        await save().catch(() => {}); // the first error is the one to be told
        throw error;
      }
      await save();
      await preStart(uid, container, signal);
      const given = [...grants.get(uid)?.get(container.name) ?? []];
      const [edits, ...more] = given.flatMap(([, grant]) => grant.edits ?? []);
      const granted = Object.fromEntries(given.map(([resource, grant]) => [resource, idsOf(grant)]));
      return edits && { ...mergeEdits(edits, ...more), granted };
    },
    health(uid) {
      const now = offers();
      const status = (resources: ReadonlyMap<string, Grant>): ResourceStatus[] =>
        [...resources].map(([name, grant]) => ({
          name,
          resources: idsOf(grant).map((id) => ({ resourceID: id, health: healthOf(id, now.get(name)) })),
        }));
      return new Map([...grants.get(uid) ?? []].map(([name, resources]) => [name, status(resources)]));
    },
    ailing({ uid, pod }) {
      const of = [...grants.get(uid) ?? []];
      if (of.length === 0 || !replacesUnhealthy(pod)) return new Set();
      const isIll = ([resource, grant]: [string, Grant]) =>
        kept(pod, resource, grant).length < idsOf(grant).length;
      return new Set(of.filter(([, resources]) => [...resources].some(isIll)).map(([name]) => name));
    },
    release(uid, except) {
      const gone = [...grants.get(uid)?.keys() ?? []].filter((name) => except?.has(name) !== true);
      for (const name of gone) drop(uid, name);
    },
    sweep(known) {
      for (const uid of [...grants.keys()]) if (!known.has(uid)) drop(uid);
      for (const uid of [...asking.keys()]) if (!known.has(uid)) asking.delete(uid);
      for (const uid of [...waiting.keys()]) if (!known.has(uid)) waiting.delete(uid);
    },
  };
}

const refused = (message: string) => new AgentError("UnexpectedAdmissionError", message);

const free = (s: Selection) => s.must.length + s.aligned.length + s.unaligned.length + s.anywhere.length;

const shortText = ({ resource, size, free }: { resource: string; size: number; free: number }) =>
  `${resource}: ${size} asked for, ${free} free; waiting until others give theirs back`;

function obstacleText(obstacle: Obstacle, before: ReadonlyMap<string, unknown>): string {
  const { resource, container, kind } = obstacle;
  if (kind === "short") return shortText(obstacle);
  const what = before.has(resource)
    ? "its device plugin has not registered again yet"
    : "no device plugin, CDI spec or device of the configuration offers it now";
  return `container ${container} waits for ${resource}: ${what}`;
}
