/** What all sources want of this node together, told to who acts on it. Not for: what a source says (sources/, cluster/pods/). */
import { createListeners, type Listeners } from "../lib/listeners.ts";
import { type Desired, noObjects, type Snapshot } from "../model/wish.ts";
import { mergeSnapshots } from "../sources/merge.ts";
import type { StatusStore } from "../status_store.ts";
import type { ClusterLink } from "./cluster/link.ts";
import type { PodParts } from "./pods.ts";

export interface WantedOptions {
  store: StatusStore;
  link: ClusterLink | undefined;
  parts: Pick<PodParts, "claims" | "reconciler">;
  /** The source that is this node's own. */
  own: string;
  /** Nothing is removed before all of these have spoken. */
  expected: readonly string[];
}

export interface Wanted {
  /** The newest of each source. */
  snapshots: ReadonlyMap<string, Snapshot>;
  updates: Listeners<Desired>;
  /** For the source of this name. */
  publish(name: string): (snapshot: Snapshot) => void;
}

export function createWanted({ store, link, parts, own, expected }: WantedOptions): Wanted {
  const snapshots = new Map<string, Snapshot>();
  const updates = createListeners<Desired>();
  let wasComplete = false;
  return {
    snapshots,
    updates,
    publish: (name) => (snapshot) => {
      snapshots.set(name, snapshot);
      const desired = mergeSnapshots(snapshots, expected);
      store.setProblems(own, desired.problems);
      if (link !== undefined) link.objects = desired.clusterObjects ?? noObjects;
      const complete = desired.complete && snapshots.get(own)?.readable !== false;
      // First: pods ask for their claims. Those of a cluster are bound there.
      if (name === own || complete !== wasComplete) parts.claims.update({ ...desired, complete });
      wasComplete = complete;
      parts.reconciler.update(desired);
      updates.tell(desired);
    },
  };
}
