/**
 * Limits of one container in CRI's words. Pure. Not for: what they are (agent/model/linux_resources.ts).
 */
import type { LinuxResources } from "../../agent/model/container.ts";
import { LinuxContainerResources } from "../rpc/gen/cri.ts";

export function toCriResources(resources: LinuxResources): LinuxContainerResources {
  return LinuxContainerResources.fromPartial({
    cpuPeriod: BigInt(resources.cpuPeriod ?? 0),
    cpuQuota: BigInt(resources.cpuQuota ?? 0),
    cpuShares: BigInt(resources.cpuShares ?? 0),
    memoryLimitInBytes: BigInt(resources.memoryLimit ?? 0),
    oomScoreAdj: BigInt(resources.oomScoreAdj ?? 0),
    cpusetCpus: resources.cpus ?? "",
    hugepageLimits: (resources.hugepages ?? []).map((h) => ({
      pageSize: h.pageSize,
      limit: BigInt(h.limit),
    })),
  });
}

/** For a running container, where 0 means "unchanged": a limit that is gone is said as -1. */
export function toCriResourceUpdate(resources: LinuxResources): LinuxContainerResources {
  const message = toCriResources(resources);
  const gone = (limit: bigint): bigint => limit === 0n ? -1n : limit;
  // Huge pages never change in place.
  return {
    ...message,
    cpuQuota: gone(message.cpuQuota),
    memoryLimitInBytes: gone(message.memoryLimitInBytes),
    hugepageLimits: [],
  };
}
