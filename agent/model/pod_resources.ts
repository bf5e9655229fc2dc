/**
 * Which container has which devices and CPUs of its own, as monitors of GPUs and networks ask a kubelet. Pure. Not for:
 * answering them (plugins/podresources).
 *
 * Source: kubernetes pkg/kubelet/apis/podresources, server_v1.go.
 */
import { type CpuSet, sorted } from "./cpu_set.ts";
import type { Grant, Grants, Offers } from "./devices.ts";
import type { Assignments } from "./exclusive_cpus.ts";
import type { Container, Pod } from "./gen/v1.ts";
import { isSidecar } from "./restart.ts";

export interface DeviceUse {
  resource: string;
  id: string;
  /** NUMA nodes that it is near to; empty: any. */
  nodes: readonly number[];
}

export interface ContainerUse {
  name: string;
  devices: readonly DeviceUse[];
  cpus: readonly number[];
}

export interface PodUse {
  name: string;
  namespace: string;
  containers: readonly ContainerUse[];
}

export interface Given {
  grants: Grants;
  assignments: Assignments;
}

const isOver = (pod: Pod) => ["Succeeded", "Failed"].includes(pod.status?.phase ?? "");

/** Of the pods that have not ended: their containers and sidecars. */
export function podUses(pods: readonly Pod[], given: Given): PodUse[] {
  return pods.filter((pod) => !isOver(pod)).map((pod) => ({
    name: pod.metadata?.name ?? "",
    namespace: pod.metadata?.namespace ?? "default",
    containers: [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...pod.spec?.containers ?? []]
      .map((container) => containerUse(pod.metadata?.uid ?? "", container, given)),
  }));
}

function containerUse(uid: string, { name }: Container, { grants, assignments }: Given): ContainerUse {
  const resources = [...grants.get(uid)?.get(name) ?? []];
  return {
    name,
    devices: resources.flatMap(([resource, grant]) => devicesOf(resource, grant)),
    cpus: sorted(assignments.get(uid)?.get(name) ?? []),
  };
}

function devicesOf(resource: string, { devices }: Grant): DeviceUse[] {
  const nodes = new Map<string, number[]>();
  for (const [node, ids] of devices) {
    for (const id of ids) nodes.set(id, [...nodes.get(id) ?? [], ...(node < 0 ? [] : [node])]);
  }
  return [...nodes].map(([id, near]) => ({ resource, id, nodes: near }));
}

/** What could be given away, were nothing given yet. */
export const allocatableUse = (offers: Offers, cpus: CpuSet): Omit<ContainerUse, "name"> => ({
  devices: [...offers].flatMap(([resource, { devices, connected }]) =>
    devices.filter((d) => connected && d.healthy).map(({ id, numaNodes }) => ({
      resource,
      id,
      nodes: numaNodes,
    }))
  ),
  cpus: sorted(cpus),
});
