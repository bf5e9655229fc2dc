/**
 * Pods of the API server, together with what they use: a new one enters when that was looked for, so that it does not start
 * by failing. Who has entered stays. Not for: the looking (objects.ts).
 */
import { type DesiredPod, isTerminating, type Objects, type PodKey } from "../../model/wish.ts";
import type { ClusterObjects } from "./objects.ts";

export type Pods = ReadonlyMap<PodKey, DesiredPod>;

export interface Entrance {
  /** All that are bound to this node now. */
  put(pods: Pods): void;
  /** What pods use has changed. */
  look(): void;
}

/** @param publish told nothing before all pods of the first set may enter: they may be running. */
export function createEntrance(
  objects: ClusterObjects,
  publish: (pods: Pods, objects: Objects) => void,
): Entrance {
  let newest: Pods | undefined;
  let entered: ReadonlySet<string> | undefined;

  function look(): void {
    if (newest === undefined) return;
    const mayEnter = (pod: DesiredPod) =>
      entered?.has(pod.uid) === true || isTerminating(pod) || objects.known(pod.pod);
    const inside = [...newest].filter(([, pod]) => mayEnter(pod));
    if (entered === undefined && inside.length < newest.size) return;
    entered = new Set(inside.map(([, { uid }]) => uid));
    publish(new Map(inside), objects.objects());
  }

  return {
    put(pods) {
      newest = pods;
      objects.want([...pods.values()].map(({ pod }) => pod));
      look();
    },
    look,
  };
}
