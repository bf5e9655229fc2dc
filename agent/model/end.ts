/**
 * Pods that are ended as a whole, whatever their containers and restart policy say: by a deadline, by what they use, or
 * because this node does not take them. Not for: pods whose containers have all ended by themselves.
 */
import type { Pod } from "./gen/v1.ts";
import type { Facts } from "./plan.ts";
import type { ObservedPod } from "./observed.ts";
import { isOfApi } from "./api_pod.ts";
import { podSpecHash } from "./hash.ts";

/** Reason and message of the pod's status (`Evicted`, `DeadlineExceeded`, …). */
export interface PodEnd {
  reason: string;
  message: string;
  /** In seconds; stands instead of the pod's own. */
  grace?: number;
  /** The node ends it for others' sake: the message of condition DisruptionTarget. */
  disruption?: string;
}

/** An end that is asked for. */
export interface AskedEnd extends PodEnd {
  /** Its event has been told. */
  told?: true;
}

/** An end on record. It holds for the spec with this hash (`podSpecHash`): an edit gives the pod a new life. */
export interface KeptEnd extends PodEnd {
  /** `*`: for good. */
  spec: string;
}

const forGood = "*";

/** The end as it is put on record: a pod of the API server has no life after it. */
export const keptEnd = ({ reason, message, grace, disruption }: PodEnd, pod: Pod): KeptEnd => ({
  reason,
  message,
  ...(grace !== undefined && { grace }),
  ...(disruption !== undefined && { disruption }),
  spec: isOfApi(pod) ? forGood : podSpecHash(pod),
});

/** Whether the end on record is one of this pod as it is now. */
export const holds = (end: KeptEnd, pod: Pod): boolean =>
  end.spec === forGood || end.spec === podSpecHash(pod);

/** The record, when the pod shall begin anew: an end for good stays. */
export const forgiven = (end: KeptEnd | undefined): KeptEnd | undefined =>
  end && (end.spec === forGood ? end : { ...end, spec: "" });

/** Why the pod has been ended; undefined: it has not. */
export function endOf(pod: Pod, facts: Pick<Facts, "memory" | "rejected">): PodEnd | undefined {
  const { end } = facts.memory;
  if (end?.spec === forGood) return end;
  return facts.rejected ?? (end !== undefined && holds(end, pod) ? end : undefined);
}

/** The pod's start time, in ms: it outlives agents and sandboxes, and begins anew after an end. */
export function startOf(pod: Pod, o: ObservedPod, { now, memory }: Pick<Facts, "now" | "memory">): number {
  const told = isOfApi(pod) ? Date.parse(pod.status?.startTime ?? "") : NaN;
  if (!Number.isNaN(told)) return told;
  return Math.min(now, memory.firstSeen, ...o.sandboxes.map((s) => s.podStart ?? s.createdAt));
}

/** When its activeDeadlineSeconds are over, in ms. */
export function deadlineOf(pod: Pod, o: ObservedPod, facts: Facts): number | undefined {
  const seconds = pod.spec?.activeDeadlineSeconds;
  return seconds === undefined ? undefined : startOf(pod, o, facts) + seconds * 1000;
}

/** In the kubelet's words. */
export const deadlineExceeded: PodEnd = {
  reason: "DeadlineExceeded",
  message: "Pod was active on the node longer than the specified deadline",
};

/** Whether the node needs back what the pod's volumes hold. */
export const givesBack = (end: PodEnd): boolean => end.reason === "Evicted";

/** The file in the pod's directory; undefined where it says nothing. */
export function parseEnd(text: string | undefined): KeptEnd | undefined {
  try {
    const { reason, message, spec, grace, disruption } = JSON.parse(text ?? "{}");
    if (![reason, message, spec].every((word) => typeof word === "string")) return undefined;
    return {
      ...{ reason, message, spec },
      ...(typeof grace === "number" && { grace }),
      ...(typeof disruption === "string" && { disruption }),
    };
  } catch {
    return undefined;
  }
}
