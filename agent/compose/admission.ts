/** Which pods this machine takes, from the configuration and what the machine is. Not for: the judgement itself. */
import type { OwnNode } from "../cluster/node/own_node.ts";
import type { Config } from "../config/config.ts";
import { allocatableDevices } from "../model/devices.ts";
import type { Pressure } from "../model/eviction_thresholds.ts";
import { nodeLabels } from "../model/node_affinity.ts";
import type { DeviceLedger } from "../node/device_ledger.ts";
import type { NodeFacts } from "../reconcile/apply.ts";
import { type Admission, createAdmission } from "../reconcile/admission.ts";
import type { StatusStore } from "../status_store.ts";
import { type Machine, readApparmor } from "./machine.ts";

export interface NodeAdmissionOptions {
  config: Config;
  machine: Machine;
  facts: Readonly<Pick<NodeFacts, "allocatable" | "supplementalGroupsPolicy">>;
  store: StatusStore;
  now(): number;
  devices: Pick<DeviceLedger, "offers" | "grants">;
  /** Uids of the pods that an earlier run of the agent took. */
  taken: readonly string[];
  /** What it is short of. */
  pressures(): ReadonlySet<Pressure>;
  /** Absent: the node is of no cluster, and its labels are those of the configuration. */
  own?: OwnNode | undefined;
}

export const mostPods = (config: Config, { cpus }: Machine): number =>
  Math.min(config.maxPods, config.podsPerCore === 0 ? Infinity : config.podsPerCore * cpus);

export function createNodeAdmission(
  o: NodeAdmissionOptions,
): { labels(): Readonly<Record<string, string>>; admission: Admission } {
  const { config, machine, facts, own } = o;
  const configured = nodeLabels(config.nodeName, machine.arch, config.nodeLabels);
  const labels = () => own?.get()?.metadata?.labels ?? configured;
  const node = () => {
    const apparmor = readApparmor();
    const { supplementalGroupsPolicy } = facts;
    return {
      name: config.nodeName,
      labels: labels(),
      labelsKnown: own === undefined || own.get() !== undefined,
      maxPods: mostPods(config, machine),
      allocatable: facts.allocatable,
      devices: allocatableDevices(o.devices.offers()),
      holders: new Set(o.devices.grants().keys()),
      kernel: machine.kernel,
      pressures: o.pressures(),
      allowedUnsafeSysctls: config.allowedUnsafeSysctls,
      ...(apparmor === undefined ? {} : { apparmor }),
      ...(supplementalGroupsPolicy === undefined ? {} : { supplementalGroupsPolicy }),
    };
  };
  return { labels, admission: createAdmission({ store: o.store, now: o.now, taken: o.taken, node }) };
}
