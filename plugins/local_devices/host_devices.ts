/**
 * Device nodes of the host, as rules name them, offered as extended resources. A node that goes makes its device
 * unhealthy, one that comes back heals it. Not for: the rules (agent/model/host_devices.ts).
 */
import type { ContainerEdits } from "../../agent/model/edits.ts";
import { type DeviceUnit, type HostDeviceRule, shareIds, unitsOf } from "../../agent/model/host_devices.ts";
import type { Device, DeviceSource } from "../../agent/plugin_ports.ts";
import type { WatchedPlace } from "../../agent/model/glob.ts";
import { findNodes, type NodeFiles } from "./host_nodes.ts";
import { placesOf } from "./look.ts";
import { createLocalSource } from "./source.ts";

interface Known {
  unit: DeviceUnit;
  rule: HostDeviceRule;
  healthy: boolean;
}

/** Numbers of USB devices rise with each time they are plugged in: so many that went are remembered. */
const rememberedGone = 16;

/** Devices that show themselves in directories. */
export interface SeenDevices {
  source: DeviceSource;
  /** Where something may change. */
  places: readonly WatchedPlace[];
  look(): Promise<void>;
}

export function createHostDevices(
  host: NodeFiles,
  rules: readonly HostDeviceRule[],
): SeenDevices {
  /** By resource, then by the device's id. */
  const known = new Map<string, Map<string, Known>>();

  const allocate = (resource: string, ids: readonly string[]): Promise<ContainerEdits> => {
    const devices = new Map<string, { hostPath: string; containerPath: string; permissions: string }>();
    for (const id of ids) {
      const found = sharing(known.get(resource), id);
      if (found?.healthy !== true) throw new Error(`device ${id} is not there now`);
      for (const path of found.unit.paths) {
        const permissions = found.rule.permissions ?? "rw";
        devices.set(path, { hostPath: path, containerPath: path, permissions });
      }
    }
    return Promise.resolve({ owner: `device ${resource}`, devices: [...devices.values()] });
  };
  const local = createLocalSource(
    "devices of the host",
    async (resource, ids) => await allocate(resource, ids),
  );

  const look = async () => {
    const seen = new Map<string, Map<string, Known>>();
    for (const rule of rules) {
      const units = seen.get(rule.resource) ?? new Map<string, Known>();
      for (const unit of unitsOf(rule, await findNodes(host, rule.paths))) {
        if (!units.has(unit.id)) units.set(unit.id, { unit, rule, healthy: true });
      }
      seen.set(rule.resource, units);
    }
    for (const [resource, units] of seen) known.set(resource, withGone(units, known.get(resource)));
    const offered = [...known].filter(([, units]) => units.size > 0);
    local.offer(
      new Map(offered.map(([resource, units]) => [resource, [...units.values()].flatMap(toDevices)])),
    );
  };

  return { source: local.source, places: placesOf(rules.flatMap((rule) => rule.paths)), look };
}

function sharing(units: ReadonlyMap<string, Known> | undefined, id: string): Known | undefined {
  return units?.get(id) ?? units?.get(id.replace(/::\d+$/, ""));
}

function withGone(
  seen: Map<string, Known>,
  before: ReadonlyMap<string, Known> | undefined,
): Map<string, Known> {
  const gone = [...before ?? []].filter(([id]) => !seen.has(id)).slice(-rememberedGone);
  return new Map([...seen, ...gone.map(([id, each]) => [id, { ...each, healthy: false }] as const)]);
}

const toDevices = ({ unit, rule, healthy }: Known): Device[] =>
  shareIds(unit.id, rule.share ?? 1).map((id) => ({ id, healthy, numaNodes: unit.numaNodes }));
