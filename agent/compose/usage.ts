/** Usage for the API: the meter and the forms it is told in, wired. Not for: either of them. */
import { nodeMetrics, podMetrics, resourceMetrics } from "../model/resource_metrics.ts";
import { statsSummary } from "../model/stats_summary.ts";
import type { ApiUsage } from "../api/usage.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import type { NodeFacts } from "../reconcile/apply.ts";
import type { UsageMeter } from "../node/usage.ts";
import type { VolumeMeter } from "../node/volume_meter.ts";

export function createApiUsage(
  { meter, volumeMeter, node, store, host }: {
    meter: UsageMeter;
    volumeMeter: VolumeMeter;
    node: NodeFacts;
    store: StatusStore;
    host: Host;
  },
): ApiUsage {
  const allocatable = { cpu: node.allocatable["cpu"] ?? 0, memory: node.allocatable["memory"] ?? 0 };
  return {
    async summary(signal) {
      const [measured, disks, disk, volumes] = await Promise.all([
        meter.measure(signal),
        meter.disks(signal),
        meter.capacity(),
        volumeMeter.look(signal),
      ]);
      const { nodeName, memoryCapacity } = node;
      const uptime = Number((await host.readText("/proc/uptime"))?.split(" ")[0] ?? 0);
      const bootedAt = host.now() - uptime * 1000;
      return statsSummary(measured, store.pods(), {
        nodeName,
        memoryCapacity,
        bootedAt,
        disk,
        disks,
        volumes,
      });
    },
    resource: async (signal) => resourceMetrics(await meter.look(signal), store.pods()),
    pods: async (signal) => podMetrics(await meter.measure(signal), store.pods()),
    node: async (signal) => nodeMetrics(await meter.measure(signal), node.nodeName, allocatable),
  };
}
