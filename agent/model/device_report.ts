/** The devices of a node as users see them: who offers each, how it is, who has it. Not for: giving them away. */
import { type DeviceOffer, type Grants, idsOf } from "./devices.ts";

export interface DeviceReport {
  resource: string;
  /** Without the number of the share, where it is given to several. */
  id: string;
  /** Who offers it; "" for one that is given and that nobody offers now. */
  source: string;
  health: "Healthy" | "Unhealthy" | "Unknown";
  numaNodes: readonly number[];
  /** So many containers may have it at a time. */
  shares: number;
  /** One for each share that is given. */
  users: { uid: string; container: string }[];
}

export interface NamedOffers {
  name: string;
  offers(): ReadonlyMap<string, DeviceOffer>;
}

/** In the order of resources, then of the sources' own. Of sources that offer one resource the first connected one counts. */
export function deviceReports(sources: readonly NamedOffers[], grants: Grants): DeviceReport[] {
  const reports = new Map<string, DeviceReport>();
  const at = (resource: string, id: string): DeviceReport => {
    const key = `${resource} ${id}`;
    const report = reports.get(key) ??
      { resource, id, source: "", health: "Unknown", numaNodes: [], shares: 0, users: [] };
    reports.set(key, report);
    return report;
  };
  for (const [resource, { source, offer }] of effective(sources)) {
    for (const { id, healthy, numaNodes } of offer.devices) {
      const report = at(resource, withoutShare(id));
      const health = !offer.connected ? "Unknown" : healthy ? "Healthy" : "Unhealthy";
      Object.assign(report, { source, health, numaNodes, shares: report.shares + 1 });
    }
  }
  for (const [uid, containers] of grants) {
    for (const [container, resources] of containers) {
      for (const [resource, grant] of resources) {
        for (const id of idsOf(grant)) at(resource, withoutShare(id)).users.push({ uid, container });
      }
    }
  }
  return [...reports.values()].map((report) => ({ ...report, shares: Math.max(1, report.shares) }))
    .sort((a, b) => a.resource < b.resource ? -1 : a.resource > b.resource ? 1 : 0);
}

function effective(sources: readonly NamedOffers[]): Map<string, { source: string; offer: DeviceOffer }> {
  const found = new Map<string, { source: string; offer: DeviceOffer }>();
  for (const source of sources) {
    for (const [resource, offer] of source.offers()) {
      const known = found.get(resource)?.offer;
      if (known !== undefined && (known.connected || !offer.connected)) continue;
      found.set(resource, { source: source.name, offer });
    }
  }
  return found;
}

/** `/dev/kvm::3` is a share of `/dev/kvm`, as NVIDIA's device plugin names shares, too. */
const withoutShare = (id: string): string => id.replace(/::\d+$/, "");
