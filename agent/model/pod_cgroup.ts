/**
 * The cgroup of a pod: its name with both drivers and what it may use. Pure. Not for: writing it (node/cgroups.ts) nor
 * the cgroups of containers in it (linux_resources.ts).
 *
 * Source: kubernetes pkg/kubelet/cm, cgroup_manager_linux.go (names) and helpers_linux.go (ResourceConfigForPod).
 */
import type { Pod } from "./gen/v1.ts";
import { type CpuPolicy, cpuQuota, cpuShares, defaultCpuPolicy } from "./cpu.ts";
import { hugePagesOf, limitsOf, podResources, type QosClass, qosClass } from "./qos.ts";
import { parseQuantity } from "./quantity.ts";

/** Parts of the cgroup's name, from the root: `["kubepods", "burstable", "pod<uid>"]`. */
function cgroupName(root: string, qos: QosClass, uid: string): string[] {
  const base = [...root.split("/").filter((part) => part !== ""), "kubepods"];
  return [...base, ...(qos === "Guaranteed" ? [] : [qos.toLowerCase()]), `pod${uid}`];
}

export type CgroupDriver = "cgroupfs" | "systemd";

/**
 * The pod's cgroup in the form that CRI's `cgroup_parent` expects. `root` is the cgroup that this agent may fill, "/" by
 * default: `/kubepods/burstable/pod<uid>`, or with systemd
 * `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice`.
 */
export function podCgroup(root: string, qos: QosClass, uid: string, driver: CgroupDriver): string {
  const parts = cgroupName(root, qos, uid);
  return driver === "cgroupfs" ? `/${parts.join("/")}` : systemdPath(parts);
}

/** Where all pods live, or those of one class; same form. */
export function classCgroup(root: string, qos: QosClass, driver: CgroupDriver): string {
  const parts = cgroupName(root, qos, "").slice(0, -1);
  return driver === "cgroupfs" ? `/${parts.join("/")}` : systemdPath(parts);
}

/** Slices nest by their dashes, so dashes within a part become underscores (systemd.slice(5)). */
function systemdPath(parts: readonly string[]): string {
  const escaped = parts.map((part) => part.replaceAll("-", "_"));
  return escaped.map((_, i) => `/${escaped.slice(0, i + 1).join("-")}.slice`).join("");
}

/** Limits of a cgroup. What is absent is unlimited. */
export interface CgroupLimits {
  cpuShares: number;
  /** Microseconds a period. */
  cpuQuota?: number;
  /** Microseconds. */
  cpuPeriod?: number;
  /** Bytes. */
  memory?: number;
  /** Processes and threads. */
  pids?: number;
  /** Bytes by size of page as the kernel names it (`2MB`); sizes that are not here get none. Absent: unlimited. */
  hugePages?: Readonly<Record<string, number>>;
}

export interface PodLimitPolicy {
  cpu: CpuPolicy;
  /** Most processes of a pod (KubeletConfiguration podPidsLimit); absent is no limit. */
  pids?: number;
}

/** A limit of CPU or memory holds only when every container, or the pod itself, declares one. */
export function podCgroupLimits(pod: Pod, policy: PodLimitPolicy): CgroupLimits {
  const { requests, limits } = podResources(pod);
  const result: CgroupLimits = {
    cpuShares: cpuShares(requests["cpu"] ?? 0),
    ...(policy.pids === undefined ? {} : { pids: policy.pids }),
    hugePages: hugePagesOf(requests),
  };
  if (qosClass(pod) === "BestEffort") return result;
  const all = [...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []];
  const declared = (name: string) =>
    (parseQuantity(pod.spec?.resources?.limits?.[name] ?? "0") ?? 0) > 0 ||
    all.every((c) => (limitsOf(c)[name] ?? 0) > 0);
  const quota = declared("cpu") ? cpuQuota(limits["cpu"] ?? 0, policy.cpu) : undefined;
  if (quota !== undefined) Object.assign(result, { cpuQuota: quota, cpuPeriod: policy.cpu.period });
  if (declared("memory")) result.memory = Math.ceil(limits["memory"] ?? 0);
  return result;
}

/** Bytes that the pod may use, if that is limited. */
export const podMemoryLimit = (pod: Pod): number | undefined =>
  podCgroupLimits(pod, { cpu: defaultCpuPolicy }).memory;

/** The least limits under which what runs now and what is to run both have room; for the time of a change. */
export function roomForBoth(now: CgroupLimits, next: CgroupLimits): CgroupLimits {
  const ratio = ({ cpuQuota, cpuPeriod = defaultCpuPolicy.period }: CgroupLimits) =>
    cpuQuota === undefined ? Infinity : cpuQuota / cpuPeriod;
  const { cpuQuota, cpuPeriod } = ratio(now) > ratio(next) ? now : next;
  const memory = Math.max(now.memory ?? Infinity, next.memory ?? Infinity);
  const { cpuQuota: _quota, cpuPeriod: _period, memory: _memory, ...rest } = next;
  return {
    ...rest,
    cpuShares: Math.max(now.cpuShares, next.cpuShares),
    ...(cpuQuota === undefined ? {} : { cpuQuota }),
    ...(cpuPeriod === undefined ? {} : { cpuPeriod }),
    ...(memory === Infinity ? {} : { memory }),
  };
}
