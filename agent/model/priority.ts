/**
 * Priorities of pods, which decide whom a lack of room or memory meets last. Pure. Not for: PriorityClasses of a cluster,
 * which manifests do not describe.
 */
import type { Pod } from "./gen/v1.ts";
import { isMirror } from "./mirror.ts";
import { sourceOf } from "./wish.ts";

/** Source: kubernetes pkg/apis/scheduling. */
export const systemPriorities: Readonly<Record<string, number>> = {
  "system-cluster-critical": 2_000_000_000,
  "system-node-critical": 2_000_001_000,
};

/** Of a class that Kubernetes itself defines. */
export const classPriority = (name: string | undefined): number | undefined =>
  name !== undefined && Object.hasOwn(systemPriorities, name) ? systemPriorities[name] : undefined;

/** What a node cannot do without: it is never evicted, and taken under pressure. Source: pkg/kubelet/types, IsCriticalPod. */
export const isCritical = (pod: Pod): boolean =>
  sourceOf(pod) !== "api" || isMirror(pod) ||
  priorityOf(pod) >= systemPriorities["system-cluster-critical"]!;

export const priorityOf = (pod: Pod): number => pod.spec?.priority ?? 0;
