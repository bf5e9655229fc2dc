/**
 * From requests and limits of a container, and of its pod, to what cgroups take. Pure. Not for: the pod's own cgroup
 * (pod_cgroup.ts) nor CRI's words (plugins/cri/resources.ts).
 *
 * Source: kubernetes pkg/kubelet/kuberuntime, kuberuntime_container_linux.go.
 */
import type { LinuxResources } from "./container.ts";
import { type CpuPolicy, cpuQuota, cpuShares } from "./cpu.ts";
import type { Container, Pod } from "./gen/v1.ts";
import { hugePagesOf, oomScoreAdj, pageSizeName } from "./qos.ts";
import { parseQuantity } from "./quantity.ts";

/** What of the node decides about limits of containers. */
export interface ContainerLimitFacts {
  cpu: CpuPolicy;
  /** Of the node, in bytes. */
  memoryCapacity: number;
  /** Bytes of the sizes of huge pages that the node has. */
  hugePageSizes: readonly number[];
}

/** What a container runs on. */
export interface ContainerCpus {
  /** As the kernel lists them. */
  cpus: string;
  /** No other container runs on them: a limit of CPU would only throttle it. */
  own: boolean;
}

/** A container that sets no limit of its own has that of its pod. */
export function linuxResources(
  pod: Pod,
  container: Container,
  facts: ContainerLimitFacts,
  place?: ContainerCpus,
): LinuxResources {
  const limit = (name: string): number =>
    quantity(container.resources?.limits?.[name]) || quantity(pod.spec?.resources?.limits?.[name]);
  const request = container.resources?.requests?.["cpu"];
  const enforced = facts.cpu.enforced && place?.own !== true;
  const quota = cpuQuota(limit("cpu"), { ...facts.cpu, enforced });
  const memory = Math.ceil(limit("memory"));
  const hugePages = hugePageLimits(pod, container, facts.hugePageSizes);
  return {
    cpuShares: cpuShares(request === undefined ? limit("cpu") : quantity(request)),
    ...(enforced ? { cpuPeriod: facts.cpu.period } : {}),
    ...(quota === undefined ? {} : { cpuQuota: quota }),
    ...(memory === 0 ? {} : { memoryLimit: memory }),
    ...(hugePages.length === 0 ? {} : { hugepages: hugePages }),
    ...(place === undefined ? {} : { cpus: place.cpus }),
    oomScoreAdj: oomScoreAdj(pod, container, facts.memoryCapacity),
  };
}

const quantity = (text: string | undefined): number => text === undefined ? 0 : parseQuantity(text) ?? 0;

/** Every size that the node has: none of it, unless a limit says otherwise. */
function hugePageLimits(
  pod: Pod,
  container: Container,
  sizes: readonly number[],
): { pageSize: string; limit: number }[] {
  const amounts = (list: Record<string, string> = {}) =>
    Object.fromEntries(Object.entries(list).map(([name, text]) => [name, quantity(text)]));
  const wanted = hugePagesOf({
    ...amounts(pod.spec?.resources?.limits),
    ...amounts(container.resources?.limits),
  });
  const all = { ...Object.fromEntries(sizes.map((size) => [pageSizeName(size), 0])), ...wanted };
  return Object.entries(all).map(([pageSize, limit]) => ({ pageSize, limit }));
}
