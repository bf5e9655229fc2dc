/**
 * Which CDI devices are extended resources: each kind `vendor/class` is one, its devices are what pods ask for. Not for:
 * who gets them.
 */
import type { CdiRegistry } from "./cdi_registry.ts";
import { isExtendedResource } from "./host_devices.ts";

/** Names that stand for all devices of a kind together, by custom. */
const collective = new Set(["all"]);

/**
 * Names of devices by resource, in order; `refused` are fully qualified names that nobody can have. Devices that change
 * the same in a container are one device with several names (as an index and a UUID): it is offered once, by a name
 * that is no number where there is one. Vendors that begin with `k8s.` are drivers' own and are left out.
 */
export function deviceOffers(
  registry: CdiRegistry,
  refused: ReadonlySet<string>,
): Map<string, string[]> {
  const offers = new Map<string, Map<string, string>>();
  for (const [qualified, { file: { spec }, device }] of registry.devices) {
    if (refused.has(qualified) || collective.has(device.name) || !isResource(spec.kind)) continue;
    const same = JSON.stringify([device.containerEdits, spec.containerEdits]);
    const devices = offers.get(spec.kind) ?? new Map<string, string>();
    devices.set(same, betterName(devices.get(same), device.name));
    offers.set(spec.kind, devices);
  }
  return new Map([...offers].map(([resource, devices]) => [resource, [...devices.values()].sort(byName)]));
}

const isResource = (kind: string): boolean => isExtendedResource(kind) && !kind.startsWith("k8s.");

function betterName(a: string | undefined, b: string): string {
  if (a === undefined) return b;
  const rank = (name: string) => `${/^\d+$/.test(name) ? 1 : 0}${name}`;
  return rank(a) <= rank(b) ? a : b;
}

/** Numbers in names count as numbers. */
const byName = (a: string, b: string): number =>
  a.localeCompare(b, "en", { numeric: true }) || (a < b ? -1 : 1);
