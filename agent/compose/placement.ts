/**
 * Where containers run on this machine: reads how its CPUs lie, and wires who decides. Not for: deciding.
 */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../lib/metrics.ts";
import { takePacked } from "../model/cpu_assignment.ts";
import { formatCpuSet } from "../model/cpu_set.ts";
import { allCpus, type CpuTopology, parseCpuTopology } from "../model/cpu_topology.ts";
import { AgentError } from "../model/errors.ts";
import type { CpuNode } from "../model/exclusive_cpus.ts";
import type { DeviceLedger } from "../node/device_ledger.ts";
import { createPlacement, type PlacementLedger } from "../node/placement.ts";
import { allocatableUse, podUses } from "../model/pod_resources.ts";
import type { Host } from "../ports.ts";
import { runPodResources } from "../../plugins/podresources/mod.ts";
import type { Reconciler } from "../reconcile/reconciler.ts";
import type { StatusStore } from "../status_store.ts";
import { readText } from "./machine.ts";

export interface PlacementPartsOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  metrics: Metrics;
  devices: DeviceLedger;
}

/**
 * Absent where containers run anywhere and always did. Throws when the machine is not one that the configuration can be
 * carried out on.
 */
export async function createPlacementParts(o: PlacementPartsOptions): Promise<PlacementLedger | undefined> {
  const { config, host } = o;
  const path = join(config.rootDir, "cpu_manager_state");
  const decides = config.exclusiveCpus !== undefined || config.topology.name !== "none";
  if (!decides && await host.stat(path) === undefined) return undefined;
  const topology = parseCpuTopology((file) => readText(`/sys/devices/system/${file}`) || undefined);
  const cpus = cpuNode(config, topology);
  if (config.topology.name !== "none") checkNodes(config, topology);
  const placement = createPlacement({
    host,
    node: { policy: config.topology, numa: topology.numa, ...(cpus && { cpus }) },
    all: allCpus(topology),
    path,
    devices: o.devices,
    metrics: o.metrics,
    report: (problems) => o.store.setProblems("cpus", problems),
    logError: (message, error) => o.log.error(message, { path, error }),
  });
  await placement.load();
  return placement;
}

const wrong = (message: string) => new AgentError("Unknown", message, { retry: false });

function cpuNode(config: Config, topology: CpuTopology): CpuNode | undefined {
  const options = config.exclusiveCpus;
  if (options === undefined) return undefined;
  const all = allCpus(topology);
  const reserved = config.reserved.cpus ?? takePacked(topology, all, Math.ceil(config.reserved.cpu));
  if (reserved?.isSubsetOf(all) !== true) {
    const asked = config.reserved.cpus === undefined
      ? `${config.reserved.cpu} CPUs`
      : `CPUs ${formatCpuSet(config.reserved.cpus)}`;
    throw wrong(`cannot keep ${asked} for the host: this machine has CPUs ${formatCpuSet(all)}`);
  }
  return { topology, reserved, options };
}

function checkNodes({ topology: { maxNodes, name } }: Config, { numa }: CpuTopology): void {
  if (numa.nodes.length <= maxNodes) return;
  const advice =
    "expected max-allowable-numa-nodes in topologyManagerPolicyOptions to be as many, at most 16";
  throw wrong(
    `topologyManagerPolicy ${name}: this machine has ${numa.nodes.length} NUMA nodes with CPUs, ${advice}`,
  );
}

/** Answers who has which devices and CPUs. */
export function servePodResources(
  o: Pick<PlacementPartsOptions, "config" | "host" | "store" | "metrics" | "devices">,
  placement: PlacementLedger | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { host, store, metrics, devices } = o;
  return runPodResources({
    host,
    directory: join(o.config.rootDir, "pod-resources"),
    metrics,
    pods: () =>
      podUses(store.pods(), { grants: devices.grants(), assignments: placement?.assignments() ?? new Map() }),
    allocatable: () => allocatableUse(devices.offers(), placement?.allocatable() ?? new Set()),
  }, signal);
}

/** Pods look again when the CPUs that they share change, and those that were refused when others give something back. */
export function followPlacement(
  placement: PlacementLedger | undefined,
  devices: DeviceLedger,
  reconciler: Reconciler,
  signal: AbortSignal,
): void {
  placement?.subscribe((uid) => reconciler.nudge(uid));
  if (placement !== undefined) devices.subscribe(() => placement.retry(), signal);
}
