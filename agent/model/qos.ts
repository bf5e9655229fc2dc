/**
 * Quality of service: the class of a pod, what it asks for in all and the OOM scores of its containers. Pure. Not for:
 * its cgroup (pod_cgroup.ts).
 *
 * Sources: kubernetes pkg/apis/core/v1/helper/qos, pkg/kubelet/qos/policy.go, component-helpers/resource.
 */
import type { Container, Pod } from "./gen/v1.ts";
import { toMilli } from "./downward.ts";
import { parseQuantity } from "./quantity.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

/** By name of the resource, in base units: cores, bytes, counts. */
export type Amounts = Readonly<Record<string, number>>;

function amounts(list: Record<string, string> | undefined): Record<string, number> {
  const read: Record<string, number> = {};
  for (const [name, text] of Object.entries(list ?? {})) read[name] = parseQuantity(text) ?? 0;
  return read;
}

export const limitsOf = (container: Container): Amounts => amounts(container.resources?.limits);

/** A request that is not written is the limit that is (API defaulting). */
export const requestsOf = (container: Container): Amounts => ({
  ...limitsOf(container),
  ...amounts(container.resources?.requests),
});

/** Whether the pod has resources of its own, besides those of its containers (KEP-2837). */
export const hasOwnResources = (pod: Pod): boolean =>
  Object.keys(pod.spec?.resources?.limits ?? {}).length +
      Object.keys(pod.spec?.resources?.requests ?? {}).length > 0;

const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/** The class by which the node decides whom to squeeze first. */
export function qosClass(pod: Pod): QosClass {
  const all = [...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []];
  const sets = hasOwnResources(pod)
    ? [{
      limits: amounts(pod.spec?.resources?.limits),
      requests: { ...amounts(pod.spec?.resources?.limits), ...amounts(pod.spec?.resources?.requests) },
    }]
    : all.map((c) => ({ limits: limitsOf(c), requests: requestsOf(c) }));
  const names = ["cpu", "memory"] as const;
  const any = sets.some(({ limits, requests }) =>
    names.some((n) => (limits[n] ?? 0) > 0 || (requests[n] ?? 0) > 0)
  );
  if (!any) return "BestEffort";
  const sum = (pick: "limits" | "requests", name: string) =>
    sets.reduce((total, set) => total + toMilli(set[pick][name] ?? 0), 0);
  const guaranteed = sets.every(({ limits }) => names.every((n) => (limits[n] ?? 0) > 0)) &&
    names.every((n) => sum("limits", n) === sum("requests", n));
  return guaranteed ? "Guaranteed" : "Burstable";
}

/**
 * What the whole pod asks for at its highest moment, in base units: containers and sidecars together, or an init
 * container with the sidecars before it, whichever is more; then the overhead. Pod-level resources replace the sums.
 */
export function podResources(pod: Pod): { requests: Amounts; limits: Amounts } {
  const overhead = amounts(pod.spec?.overhead);
  const requests = combine(pod, requestsOf);
  const limits = combine(pod, limitsOf);
  if (hasOwnResources(pod)) {
    Object.assign(limits, amounts(pod.spec?.resources?.limits));
    Object.assign(requests, amounts(pod.spec?.resources?.limits), amounts(pod.spec?.resources?.requests));
  }
  for (const [name, more] of Object.entries(overhead)) {
    requests[name] = (requests[name] ?? 0) + more;
    if ((limits[name] ?? 0) > 0) limits[name] = (limits[name] ?? 0) + more;
  }
  return { requests, limits };
}

/** What the containers have together at the pod's highest moment. */
export function combine(pod: Pod, of: (container: Container) => Amounts): Record<string, number> {
  const running = sum((pod.spec?.containers ?? []).map(of));
  let sidecars: Record<string, number> = {};
  const peak: Record<string, number> = {};
  for (const container of pod.spec?.initContainers ?? []) {
    const during = sum([sidecars, of(container)]);
    if (isSidecar(container)) sidecars = during;
    raise(peak, during);
  }
  return raise(sum([running, sidecars]), peak);
}

function sum(list: readonly Amounts[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const each of list) {
    for (const [name, value] of Object.entries(each)) total[name] = (total[name] ?? 0) + value;
  }
  return total;
}

function raise(into: Record<string, number>, floor: Amounts): Record<string, number> {
  for (const [name, value] of Object.entries(floor)) into[name] = Math.max(into[name] ?? 0, value);
  return into;
}

const systemNodeCritical = 2_000_001_000;

/**
 * oom_score_adj of a container: guaranteed and node-critical pods die last (-997), best-effort ones first (1000), and
 * between them the more memory was asked for, the later. `memoryCapacity` is the node's, in bytes.
 */
export function oomScoreAdj(pod: Pod, container: Container, memoryCapacity: number): number {
  if ((pod.spec?.priority ?? 0) >= systemNodeCritical) return -997;
  const qos = qosClass(pod);
  if (qos === "Guaranteed") return -997;
  if (qos === "BestEffort") return 1000;
  const score = (memory: number) => Math.trunc(1000 - Math.floor((1000 * memory) / memoryCapacity));
  const memory = (c: Container) => memoryShare(pod, c);
  let adjust = score(memory(container));
  const regular = pod.spec?.containers ?? [];
  if (isSidecar(container) && !regular.includes(container) && regular.length > 0) {
    adjust = Math.min(adjust, score(Math.min(...regular.map(memory))));
  }
  return Math.max(3, adjust === 1000 ? 999 : adjust);
}

/** The container's own request; with pod-level resources also its part of what the containers leave. */
function memoryShare(pod: Pod, container: Container): number {
  const own = requestsOf(container)["memory"] ?? 0;
  const whole = hasOwnResources(pod) ? podResources(pod).requests["memory"] ?? 0 : 0;
  if (whole === 0) return own;
  const all = [
    ...pod.spec?.containers ?? [],
    ...(pod.spec?.initContainers ?? []).filter(isSidecar),
  ];
  const claimed = all.reduce((total, c) => total + (requestsOf(c)["memory"] ?? 0), 0);
  return own + Math.max(0, Math.floor((whole - claimed) / Math.max(1, all.length)));
}

const hugePagePrefix = "hugepages-";

/** Bytes by size of page as hugetlb cgroups name it. */
export function hugePagesOf(list: Amounts): Record<string, number> {
  const pages = Object.entries(list).filter(([name]) => name.startsWith(hugePagePrefix));
  return Object.fromEntries(
    pages.map((
      [name, bytes],
    ) => [pageSizeName(parseQuantity(name.slice(hugePagePrefix.length)) ?? 0), bytes]),
  );
}

/** `2MB`, `1GB`: powers of 1024 with the kernel's spelling, as hugetlb cgroup files are named. */
export function pageSizeName(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${bytes}${units[unit]}`;
}
