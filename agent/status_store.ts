/**
 * The latest of everything a user can see. Workers and sources put; the API, the CLI behind it and the cluster
 * reporter get and subscribe. In memory only: the world is the database. Not for: deciding anything.
 */
import { putNewest } from "./lib/bounded_map.ts";
import { createListeners } from "./lib/listeners.ts";
import type { Pod } from "./model/gen/v1.ts";
import type { Problem } from "./model/errors.ts";
import type { PluginReport } from "./model/plugin_report.ts";
import type { AgentEvent, AgentStatus } from "./model/status_types.ts";
import { noObjects, type Objects } from "./model/wish.ts";

/** What changed; subscribers get the newest value by asking the store. */
export type Change =
  | { kind: "pod"; uid: string; pod: Pod; deleted: boolean }
  | { kind: "event"; event: AgentEvent }
  | { kind: "problems" }
  | { kind: "objects" }
  | { kind: "plugins" }
  | { kind: "status" };

export interface StatusStore {
  /** The pod with its full v1 status. Nothing happens when it equals the one before. */
  putPod(pod: Pod): void;
  removePod(uid: string): void;
  /** Sorted by namespace and name. */
  pods(): Pod[];
  /** Replaces all problems of one owner (`manifests`, `config`, `images`, `pod UID`). */
  setProblems(owner: string, problems: readonly Problem[]): void;
  problems(): Problem[];
  /** Merges with an equal event (same object, reason, message) by counting. At most 1000 are kept. */
  addEvent(event: Omit<AgentEvent, "count" | "firstTimestamp" | "lastTimestamp">, now: number): void;
  /** Oldest first. */
  events(): AgentEvent[];
  setObjects(objects: Objects): void;
  objects(): Objects;
  /** Replaces all plugins of one owner (`registry`). */
  setPlugins(owner: string, plugins: readonly PluginReport[]): void;
  plugins(): PluginReport[];
  setStatus(status: AgentStatus): void;
  status(): AgentStatus | undefined;
  /** Calls back after each change until the signal aborts. */
  subscribe(listener: (change: Change) => void, signal: AbortSignal): void;
}

const maxEvents = 1000;

export function createStatusStore(): StatusStore {
  const pods = new Map<string, { pod: Pod; text: string }>();
  const problems = new Map<string, readonly Problem[]>();
  const plugins = new Map<string, readonly PluginReport[]>();
  const events = new Map<string, AgentEvent>();
  const { tell, subscribe } = createListeners<Change>();
  let objects = noObjects;
  let status: AgentStatus | undefined;
  const byName = (a: Pod, b: Pod) => {
    const [x, y] = [a, b].map((p) => `${p.metadata?.namespace}/${p.metadata?.name}`);
    return x! < y! ? -1 : 1;
  };
  return {
    putPod(pod) {
      const uid = pod.metadata?.uid ?? "";
      const text = JSON.stringify(pod);
      if (pods.get(uid)?.text === text) return;
      pods.set(uid, { pod, text });
      tell({ kind: "pod", uid, pod, deleted: false });
    },
    removePod(uid) {
      const known = pods.get(uid);
      if (known === undefined) return;
      pods.delete(uid);
      this.setProblems(`pod ${uid}`, []);
      tell({ kind: "pod", uid, pod: known.pod, deleted: true });
    },
    pods: () => [...pods.values()].map((p) => p.pod).sort(byName),
    setProblems(owner, list) {
      if (JSON.stringify(problems.get(owner) ?? []) === JSON.stringify(list)) return;
      if (list.length === 0) problems.delete(owner);
      else problems.set(owner, list);
      tell({ kind: "problems" });
    },
    problems: () => [...problems.values()].flat(),
    addEvent(event, now) {
      const key = JSON.stringify([event.object, event.fieldPath, event.type, event.reason, event.message]);
      const known = events.get(key);
      const merged: AgentEvent = {
        ...event,
        count: (known?.count ?? 0) + 1,
        firstTimestamp: known?.firstTimestamp ?? now,
        lastTimestamp: now,
      };
      putNewest(events, key, merged, maxEvents);
      tell({ kind: "event", event: merged });
    },
    events: () => [...events.values()],
    setObjects(value) {
      objects = value;
      tell({ kind: "objects" });
    },
    objects: () => objects,
    setPlugins(owner, list) {
      if (JSON.stringify(plugins.get(owner) ?? []) === JSON.stringify(list)) return;
      plugins.set(owner, list);
      tell({ kind: "plugins" });
    },
    plugins: () => [...plugins.values()].flat(),
    setStatus(value) {
      if (JSON.stringify(status) === JSON.stringify(value)) return;
      status = value;
      tell({ kind: "status" });
    },
    status: () => status,
    subscribe,
  };
}
