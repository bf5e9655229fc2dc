/**
 * What each pod has been given of the node, so that a change of one knows what the others leave, and who waits for more.
 * Not for: the judgement (model/resize.ts), or taking new pods (admission.ts).
 */
import type { Pod } from "../model/gen/v1.ts";
import type { ObservedPod } from "../model/observed.ts";
import type { Memory } from "../model/plan.ts";
import { type Amounts, podResources } from "../model/qos.ts";
import type { DesiredPod } from "../model/wish.ts";
import { allocate, type Allocation } from "../model/resize.ts";

export interface Allocations {
  /** The pod with the resources that it may have now. */
  decide(uid: string, pod: Pod, observed: ObservedPod, memory: Memory): Allocation;
  /** The pod with the resources that it has while it waits for others. */
  given(pod: DesiredPod): DesiredPod;
  /** The pod takes no place any more. */
  release(uid: string): void;
}

/**
 * `wake` tells a pod that waits for resources that others have given some back, `changed` that one begins or ceases to
 * have other resources than it asks for.
 */
export function createAllocations(
  allocatable: Amounts,
  wake: (uid: string) => void,
  changed: () => void,
): Allocations {
  const given = new Map<string, Amounts>();
  const waiting = new Set<string>();
  const held = new Map<string, Pod>();

  const hold = (uid: string, pod: Pod | undefined) => {
    const same = JSON.stringify(held.get(uid)) === JSON.stringify(pod);
    if (pod === undefined) held.delete(uid);
    else held.set(uid, pod);
    if (!same) changed();
  };

  const put = (uid: string, requests: Amounts | undefined) => {
    const before = given.get(uid) ?? {};
    if (requests === undefined) given.delete(uid);
    else given.set(uid, requests);
    const less = Object.entries(before).some(([name, amount]) => (requests?.[name] ?? 0) < amount);
    for (const other of less ? waiting : []) if (other !== uid) wake(other);
  };

  const othersOf = (uid: string): Amounts => {
    const sum: Record<string, number> = {};
    for (const [other, requests] of given) {
      if (other === uid) continue;
      for (const [name, amount] of Object.entries(requests)) sum[name] = (sum[name] ?? 0) + amount;
    }
    return sum;
  };

  return {
    decide(uid, pod, observed, memory) {
      const allocation = allocate(pod, observed, memory, { allocatable, others: othersOf(uid) });
      if (allocation.pending?.reason === "Deferred") waiting.add(uid);
      else waiting.delete(uid);
      put(uid, podResources(allocation.pod).requests);
      hold(uid, allocation.pending && allocation.pod);
      return allocation;
    },
    given: (desired) => ({ ...desired, pod: held.get(desired.uid) ?? desired.pod }),
    release(uid) {
      waiting.delete(uid);
      put(uid, undefined);
      hold(uid, undefined);
    },
  };
}
