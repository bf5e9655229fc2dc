/**
 * Whom a node that is short of something evicts, in which words, and which pods it takes meanwhile. Pure. Not for: whether it
 * is short (node_pressure.ts), measuring and ending pods (node/eviction.ts), limits of a pod's own (storage_limits.ts).
 *
 * Source: kubernetes pkg/kubelet/eviction (eviction_manager.go, helpers.go).
 */
import { isOver } from "./api_pod.ts";
import type { PodEnd } from "./end.ts";
import {
  amountOf,
  type Pressure,
  resourceOf,
  type Signal,
  type StarvedResource,
  type Threshold,
} from "./eviction_thresholds.ts";
import type { Container, Pod, Toleration } from "./gen/v1.ts";
import type { Rooms } from "./node_pressure.ts";
import { isCritical, priorityOf } from "./priority.ts";
import { hasOwnResources, podResources, qosClass } from "./qos.ts";
import { formatCount, formatQuantity, parseQuantity } from "./quantity.ts";

export interface DiskUse {
  bytes: number;
  inodes: number;
}

/** What a pod uses of that of which there is too little; what was not measured is 0, or absent. */
export interface Consumption {
  /** Working set of the whole pod, in bytes. */
  memory: number;
  processes: number;
  containers: ReadonlyMap<string, ContainerConsumption>;
  /** Volumes that are files on the node's disk. */
  volumes: DiskUse;
}

export interface ContainerConsumption {
  memory: number;
  layer: DiskUse;
  logs: DiskUse;
}

export const noConsumption: Consumption = {
  memory: 0,
  processes: 0,
  containers: new Map(),
  volumes: { bytes: 0, inodes: 0 },
};

export type Consumptions = ReadonlyMap<string, Consumption>;

const useOf = (pod: Pod, uses: Consumptions) => uses.get(pod.metadata?.uid ?? "") ?? noConsumption;

/** Which parts of a pod lie on the file system that a signal is about. */
function partsOn(signal: Signal, dedicated: boolean): { layers: boolean; rest: boolean } {
  if (!dedicated) return { layers: true, rest: true };
  return signal.startsWith("imagefs.") ? { layers: true, rest: false } : { layers: false, rest: true };
}

/** @param dedicated images and containers have a file system of their own. */
function usedOf(signal: Signal, use: Consumption, dedicated: boolean): number {
  const resource = resourceOf(signal);
  if (resource === "memory") return use.memory;
  if (resource === "pids") return use.processes;
  const { layers, rest } = partsOn(signal, dedicated);
  const measure = resource === "inodes" ? "inodes" : "bytes";
  return [...use.containers.values()].reduce(
    (sum, c) => sum + (layers ? c.layer[measure] : 0) + (rest ? c.logs[measure] : 0),
    rest ? use.volumes[measure] : 0,
  );
}

/**
 * Those that may be evicted, the first one first: who uses more than it asked for, then by priority, then by how much more.
 * Process ids cannot be asked for.
 */
export function rankPods(
  pods: readonly Pod[],
  signal: Signal,
  uses: Consumptions,
  dedicated: boolean,
): Pod[] {
  const resource = resourceOf(signal);
  const ranks = pods.filter((pod) => !isOver(pod.status) && !isCritical(pod)).map((pod) => {
    const above = usedOf(signal, useOf(pod, uses), dedicated) - (podResources(pod).requests[resource] ?? 0);
    return { pod, above, exceeds: resource !== "pids" && above > 0, priority: priorityOf(pod) };
  });
  ranks.sort((a, b) => Number(b.exceeds) - Number(a.exceeds) || a.priority - b.priority || b.above - a.above);
  return ranks.map(({ pod }) => pod);
}

/** A pod has a moment to end when the node must have its resources at once. In seconds. */
const hardGrace = 1;
const defaultGrace = 30;

export interface Reasons {
  /** Most urgent first; the pod is ended for the first. */
  due: readonly Threshold[];
  rooms: Rooms;
  use: Consumption;
  /** In seconds, for soft thresholds. */
  maxGrace: number;
}

/** How the pod ends, and annotations of the event that tells of it. */
export function evictionOf(
  pod: Pod,
  { due, rooms, use, maxGrace }: Reasons,
): { end: PodEnd; annotations: Record<string, string> } {
  const [threshold] = due;
  const resource = resourceOf(threshold!.signal);
  const whole = wholeText(pod, resource, use);
  const offenders = offendersOf(pod, resource, use);
  const message = `The node was low on resource: ${resource}. ` + thresholdText(resource, due, rooms) +
    (whole?.text ?? "") + offenders.map((o) => o.text).join("");
  const grace = threshold!.grace === undefined
    ? hardGrace
    : Math.min(maxGrace, pod.spec?.terminationGracePeriodSeconds ?? defaultGrace);
  return {
    end: { reason: "Evicted", message, grace, disruption: message },
    annotations: {
      ...(whole && { offending_pod: pod.metadata?.name ?? "", offending_pod_usage: whole.used }),
      offending_containers: offenders.map((o) => o.name).join(","),
      offending_containers_usage: offenders.map((o) => o.used).join(","),
      starved_resource: resource,
    },
  };
}

const shown = (resource: StarvedResource, amount: number): string =>
  resource === "memory" || resource === "ephemeral-storage"
    ? formatQuantity(resource, amount)
    : formatCount(amount);

function thresholdText(resource: StarvedResource, due: readonly Threshold[], rooms: Rooms): string {
  const threshold = due.find(({ signal }) => resourceOf(signal) === resource && rooms[signal] !== undefined);
  if (threshold === undefined) return "";
  const { available, capacity } = rooms[threshold.signal]!;
  const quantity = shown(resource, amountOf(threshold, capacity));
  return `Threshold quantity: ${quantity}, available: ${shown(resource, available)}. `;
}

const blame = (what: string, name: string, used: string, request: string, resource: string) =>
  `${what} ${name} was using ${used}, request is ${request}, has larger consumption of ${resource}. `;

/** Of a pod that asks for memory as a whole. */
function wholeText(pod: Pod, resource: StarvedResource, use: Consumption) {
  const request = pod.spec?.resources?.requests?.[resource];
  if (resource !== "memory" || request === undefined || !hasOwnResources(pod)) return undefined;
  const used = shown(resource, use.memory);
  return { used, text: blame("Pod", pod.metadata?.name ?? "", used, request, resource) };
}

/** The containers that use more than they asked for. */
function offendersOf(pod: Pod, resource: StarvedResource, use: Consumption) {
  if (resource !== "memory" && resource !== "ephemeral-storage") return [];
  const all: Container[] = [...pod.spec?.containers ?? [], ...pod.spec?.initContainers ?? []];
  return all.flatMap(({ name, resources }) => {
    const container = use.containers.get(name);
    if (container === undefined) return [];
    const bytes = resource === "memory" ? container.memory : container.layer.bytes + container.logs.bytes;
    const request = resources?.requests?.[resource] ?? "0";
    if (bytes <= (parseQuantity(request) ?? 0)) return [];
    const used = shown(resource, bytes);
    return [{ name, used, text: blame("Container", name, used, request, resource) }];
  });
}

const memoryTaint = { key: "node.kubernetes.io/memory-pressure", effect: "NoSchedule" };

const tolerates = ({ key = "", operator = "Equal", value = "", effect = "" }: Toleration): boolean =>
  (effect === "" || effect === memoryTaint.effect) &&
  (key === memoryTaint.key || (key === "" && operator === "Exists")) &&
  (operator === "Exists" || value === "");

/** Why a node under pressure does not take a pod that is new; `undefined`: it does. */
export function whyUnderPressure(pod: Pod, pressures: ReadonlySet<Pressure>): PodEnd | undefined {
  if (pressures.size === 0 || isCritical(pod)) return undefined;
  const onlyMemory = pressures.size === 1 && pressures.has("MemoryPressure");
  const bearsIt = qosClass(pod) !== "BestEffort" || pod.spec?.tolerations?.some(tolerates) === true;
  if (onlyMemory && bearsIt) return undefined;
  return { reason: "Evicted", message: `The node had condition: [${[...pressures].join(" ")}]. ` };
}
