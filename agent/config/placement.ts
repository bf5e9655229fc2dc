/** What the configuration says of CPUs, NUMA nodes and what is kept for the host. Pure. Not for: checking it (checks.ts). */
import { type CpuSet, parseCpuSet } from "../model/cpu_set.ts";
import type { StaticOptions } from "../model/exclusive_cpus.ts";
import { parseQuantity } from "../model/quantity.ts";
import type { TopologyPolicy } from "../model/topology.ts";

export interface PlacementConfig {
  /** CPUs of their own for containers; absent: all share all. */
  exclusiveCpus?: StaticOptions;
  topology: TopologyConfig;
  /** Kept from pods. */
  reserved: Reservation;
}

export interface TopologyConfig extends TopologyPolicy {
  /** On machines with more NUMA nodes the agent does not start with a policy. */
  maxNodes: number;
}

export interface Reservation {
  /** By name; absent: as many as `cpu` says. */
  cpus?: CpuSet;
  /** Cores. */
  cpu: number;
  /** Bytes. */
  memory: number;
  ephemeralStorage: number;
}

type Values = ReadonlyMap<string, unknown>;

const mapOf = (values: Values, key: string) => (values.get(key) ?? {}) as Readonly<Record<string, string>>;

export function toPlacement(values: Values): PlacementConfig {
  return {
    ...(values.get("cpuManagerPolicy") === "static" && { exclusiveCpus: toStaticOptions(values) }),
    topology: toTopology(values),
    reserved: toReservation(values),
  };
}

function toStaticOptions(values: Values): StaticOptions {
  const options = mapOf(values, "cpuManagerPolicyOptions");
  return {
    wholeCores: options["full-pcpus-only"] === "true",
    distribute: options["distribute-cpus-across-numa"] === "true",
    bySocket: options["align-by-socket"] === "true",
    strictReservation: options["strict-cpu-reservation"] === "true",
  };
}

function toTopology(values: Values): TopologyConfig {
  const options = mapOf(values, "topologyManagerPolicyOptions");
  return {
    name: values.get("topologyManagerPolicy") as TopologyPolicy["name"],
    scope: values.get("topologyManagerScope") as TopologyPolicy["scope"],
    preferClosest: options["prefer-closest-numa-nodes"] === "true",
    maxNodes: Number(options["max-allowable-numa-nodes"] ?? 8),
  };
}

function toReservation(values: Values): Reservation {
  const cpus = parseCpuSet(String(values.get("reservedSystemCPUs") ?? "")) ?? new Set();
  const sum = (name: string) =>
    ["systemReserved", "kubeReserved"].reduce(
      (total, key) => total + (parseQuantity(mapOf(values, key)[name] ?? "0") ?? 0),
      0,
    );
  const kept = { memory: sum("memory"), ephemeralStorage: sum("ephemeral-storage") };
  return cpus.size === 0 ? { cpu: sum("cpu"), ...kept } : { cpus, cpu: cpus.size, ...kept };
}
