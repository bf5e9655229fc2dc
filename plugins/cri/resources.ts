/**
 * From requests and limits to what cgroups take. Pure. Not for: pod-level cgroups (agent/node) nor QoS.
 */
import type { LinuxResources } from "../../agent/model/container.ts";
import { parseQuantity } from "../../agent/model/quantity.ts";
import { LinuxContainerResources } from "../rpc/gen/cri.ts";

const MIN_SHARES = 2;
const SHARES_PER_CPU = 1024;
/** The kernel refuses cgroup v1 shares above this. */
const MAX_SHARES = 262144;
const PERIOD_US = 100_000;
const MIN_QUOTA_US = 1000;

type Quantities = Record<string, string> | undefined;

/** @param oomScoreAdj by QoS class; absent leaves it as it is. */
export function toLinuxResources(
  requests: Quantities,
  limits: Quantities,
  oomScoreAdj?: number,
): LinuxResources {
  const cpuLimit = milli(limits?.["cpu"]);
  const cpuRequest = requests?.["cpu"] === undefined ? cpuLimit : milli(requests["cpu"]);
  const memory = Math.ceil(quantity(limits?.["memory"]));
  const hugepages = hugepageLimits(limits ?? {});
  return {
    cpuShares: Math.min(MAX_SHARES, Math.max(MIN_SHARES, Math.floor(cpuRequest * SHARES_PER_CPU / 1000))),
    cpuPeriod: PERIOD_US,
    ...(cpuLimit === 0 ? {} : { cpuQuota: Math.max(MIN_QUOTA_US, Math.floor(cpuLimit * PERIOD_US / 1000)) }),
    ...(memory === 0 ? {} : { memoryLimit: memory }),
    ...(hugepages.length === 0 ? {} : { hugepages }),
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
  };
}

const quantity = (text: string | undefined): number => text === undefined ? 0 : parseQuantity(text) ?? 0;

/** Rounded up, as MilliValue of a resource.Quantity. The rounding first removes what binary fractions add. */
const milli = (text: string | undefined): number => Math.ceil(Number((quantity(text) * 1000).toFixed(6)));

function hugepageLimits(limits: Record<string, string>): { pageSize: string; limit: number }[] {
  const prefix = "hugepages-";
  return Object.entries(limits)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, text]) => ({
      pageSize: pageSizeName(quantity(name.slice(prefix.length))),
      limit: quantity(text),
    }));
}

/** `2MB`, `1GB`: powers of 1024 with the kernel's spelling, as hugetlb cgroup files are named. */
function pageSizeName(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${bytes}${units[unit]}`;
}

export function toCriResources(resources: LinuxResources): LinuxContainerResources {
  return LinuxContainerResources.fromPartial({
    cpuPeriod: BigInt(resources.cpuPeriod ?? 0),
    cpuQuota: BigInt(resources.cpuQuota ?? 0),
    cpuShares: BigInt(resources.cpuShares ?? 0),
    memoryLimitInBytes: BigInt(resources.memoryLimit ?? 0),
    oomScoreAdj: BigInt(resources.oomScoreAdj ?? 0),
    hugepageLimits: (resources.hugepages ?? []).map((h) => ({
      pageSize: h.pageSize,
      limit: BigInt(h.limit),
    })),
  });
}

/** For a running container, where 0 means "unchanged": a quota that is gone is said as -1. */
export function toCriResourceUpdate(resources: LinuxResources): LinuxContainerResources {
  const message = toCriResources(resources);
  return message.cpuQuota === 0n ? { ...message, cpuQuota: -1n } : message;
}
