/**
 * What running containers use, in one call for all of them. Not for: pods and the node, whose cgroups the agent reads
 * itself.
 */
import type { ContainerUsage } from "../../agent/model/usage.ts";
import type { ContainerStats, SwapUsage } from "../rpc/gen/cri.ts";
import { type RuntimeClient, within } from "./client.ts";
import { CONTAINER_NAME, INSTANCE, POD_UID } from "./labels.ts";

export async function listStats(
  client: RuntimeClient,
  instance: string,
  signal: AbortSignal,
): Promise<ContainerUsage[]> {
  const filter = { id: "", podSandboxId: "", labelSelector: { [INSTANCE]: instance } };
  const { stats } = await client.listContainerStats({ filter }, within(signal));
  return stats.flatMap((s) => toUsage(s) ?? []);
}

function swapOf(
  { swapUsageBytes, swapAvailableBytes }: SwapUsage,
): Pick<ContainerUsage, "swap" | "swapLimit"> {
  const swap = Number(swapUsageBytes?.value ?? 0n);
  const available = Number(swapAvailableBytes?.value ?? 0n);
  // What no limit holds is told as a number beyond all disks.
  return available >= 2 ** 62 ? { swap } : { swap, swapLimit: swap + available };
}

/** `undefined` for a container that has no processes. */
export function toUsage(
  { attributes, cpu, memory, swap, writableLayer }: ContainerStats,
): ContainerUsage | undefined {
  if (attributes === undefined || cpu?.usageCoreNanoSeconds === undefined || memory === undefined) {
    return undefined;
  }
  const workingSet = Number(memory.workingSetBytes?.value ?? 0n);
  const bytes = writableLayer?.usedBytes?.value;
  return {
    id: attributes.id,
    uid: attributes.labels[POD_UID] ?? "",
    name: attributes.labels[CONTAINER_NAME] ?? attributes.metadata?.name ?? "",
    at: Number(cpu.timestamp / 1000n) / 1000,
    cpu: Number(cpu.usageCoreNanoSeconds.value),
    memory: Number(memory.usageBytes?.value ?? memory.workingSetBytes?.value ?? 0n),
    workingSet,
    ...(memory.rssBytes === undefined || memory.rssBytes.value === 0n
      ? {}
      : { rss: Number(memory.rssBytes.value) }),
    ...(swap?.swapUsageBytes === undefined ? {} : swapOf(swap)),
    ...(bytes === undefined
      ? {}
      : { disk: { bytes: Number(bytes), inodes: Number(writableLayer?.inodesUsed?.value ?? 0n) } }),
  };
}
