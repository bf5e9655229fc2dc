/**
 * Quality of service: the class of a pod, what it asks for in all, its OOM score and its cgroup with the limits of it.
 * Pure. Not for: writing cgroups (node/cgroups.ts).
 *
 * Sources: kubernetes pkg/apis/core/v1/helper/qos, pkg/kubelet/qos/policy.go, pkg/kubelet/cm (names and limits).
 */
import type { Container, Pod } from "./gen/v1.ts";
import { toMilli } from "./downward.ts";
import { parseQuantity } from "./quantity.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

type Amounts = Readonly<Record<string, number>>;

function amounts(list: Record<string, string> | undefined): Record<string, number> {
  const read: Record<string, number> = {};
  for (const [name, text] of Object.entries(list ?? {})) read[name] = parseQuantity(text) ?? 0;
  return read;
}

const limitsOf = (container: Container): Amounts => amounts(container.resources?.limits);

/** A request that is not written is the limit that is (API defaulting). */
const requestsOf = (container: Container): Amounts => ({
  ...limitsOf(container),
  ...amounts(container.resources?.requests),
});

const podLevel = (pod: Pod): boolean =>
  Object.keys(pod.spec?.resources?.limits ?? {}).length +
      Object.keys(pod.spec?.resources?.requests ?? {}).length > 0;

const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/** The class by which the node decides whom to squeeze first. */
export function qosClass(pod: Pod): QosClass {
  const all = [...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []];
  const sets = podLevel(pod)
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
  if (podLevel(pod)) {
    Object.assign(limits, amounts(pod.spec?.resources?.limits));
    Object.assign(requests, amounts(pod.spec?.resources?.limits), amounts(pod.spec?.resources?.requests));
  }
  for (const [name, more] of Object.entries(overhead)) {
    requests[name] = (requests[name] ?? 0) + more;
    if ((limits[name] ?? 0) > 0) limits[name] = (limits[name] ?? 0) + more;
  }
  return { requests, limits };
}

function combine(pod: Pod, of: (container: Container) => Amounts): Record<string, number> {
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
  const whole = podLevel(pod) ? podResources(pod).requests["memory"] ?? 0 : 0;
  if (whole === 0) return own;
  const all = [
    ...pod.spec?.containers ?? [],
    ...(pod.spec?.initContainers ?? []).filter(isSidecar),
  ];
  const claimed = all.reduce((total, c) => total + (requestsOf(c)["memory"] ?? 0), 0);
  return own + Math.max(0, Math.floor((whole - claimed) / Math.max(1, all.length)));
}

/** Parts of the cgroup's name, from the root: `["kubepods", "burstable", "pod<uid>"]`. */
function cgroupName(root: string, qos: QosClass, uid: string): string[] {
  const base = [...root.split("/").filter((part) => part !== ""), "kubepods"];
  return [...base, ...(qos === "Guaranteed" ? [] : [qos.toLowerCase()]), `pod${uid}`];
}

/**
 * The pod's cgroup in the form that CRI's `cgroup_parent` expects. `root` is the cgroup that this agent may fill, "/" by
 * default: `/kubepods/burstable/pod<uid>`, or with systemd
 * `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice`.
 */
export function podCgroup(root: string, qos: QosClass, uid: string, driver: "cgroupfs" | "systemd"): string {
  const parts = cgroupName(root, qos, uid);
  return driver === "cgroupfs" ? `/${parts.join("/")}` : systemdPath(parts);
}

/** Where the pods of one class live, same form. */
export const kubepodsCgroup = (root: string): string =>
  `/${cgroupName(root, "Guaranteed", "").slice(0, -1).join("/")}`;

/** Slices nest by their dashes, so dashes within a part become underscores (systemd.slice(5)). */
function systemdPath(parts: readonly string[]): string {
  const escaped = parts.map((part) => part.replaceAll("-", "_"));
  return escaped.map((_, i) => `/${escaped.slice(0, i + 1).join("-")}.slice`).join("");
}

/** Limits of a cgroup: shares, microseconds per period, bytes. An absent one is unlimited. */
export interface CgroupLimits {
  cpuShares: number;
  cpuQuota?: number;
  cpuPeriod?: number;
  memory?: number;
}

export const cpuPeriod = 100_000;

/** cpu.shares for an amount of cores: 1024 a core, at least 2. */
export const cpuShares = (cores: number): number =>
  Math.min(262_144, Math.max(2, Math.floor((toMilli(cores) * 1024) / 1000)));

/** CFS quota for an amount of cores: at least 1 ms per period; `undefined` is unlimited. */
export const cpuQuota = (cores: number): number | undefined =>
  cores > 0 ? Math.max(1000, Math.floor((toMilli(cores) * cpuPeriod) / 1000)) : undefined;

/** cgroup v2's cpu.weight (1 to 10000) for v1's shares (2 to 262144), as KEP-2254 converts them. */
export const cpuWeight = (shares: number): number =>
  Math.min(10_000, 1 + Math.floor(((Math.max(2, shares) - 2) * 9999) / 262_142));

/** The least shares that have this weight: cpuWeight backwards. */
export const sharesOfWeight = (weight: number): number => 2 + Math.ceil(((weight - 1) * 262_142) / 9999);

/** Limits of the pod's own cgroup. A limit holds only when every container (or the pod itself) declares one. */
export function podCgroupLimits(pod: Pod): CgroupLimits {
  if (qosClass(pod) === "BestEffort") return { cpuShares: 2 };
  const { requests, limits } = podResources(pod);
  const all = [...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []];
  const declared = (name: string) =>
    (parseQuantity(pod.spec?.resources?.limits?.[name] ?? "0") ?? 0) > 0 ||
    all.every((c) => (limitsOf(c)[name] ?? 0) > 0);
  const result: CgroupLimits = { cpuShares: cpuShares(requests["cpu"] ?? 0) };
  const quota = declared("cpu") ? cpuQuota(limits["cpu"] ?? 0) : undefined;
  if (quota !== undefined) Object.assign(result, { cpuQuota: quota, cpuPeriod });
  if (declared("memory")) result.memory = Math.ceil(limits["memory"] ?? 0);
  return result;
}
