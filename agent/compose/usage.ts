/** Usage for the API: the meter and the forms it is told in, wired. Not for: either of them. */
import { nodeMetrics, podMetrics, resourceMetrics } from "../model/resource_metrics.ts";
import { statsSummary } from "../model/stats_summary.ts";
import { readImageDisks, readNode } from "../node/node_reading.ts";
import type { ApiUsage } from "../api/usage.ts";
import type { Host } from "../ports.ts";
import type { StatusStore } from "../status_store.ts";
import type { PodParts } from "./pods.ts";

export function createApiUsage(
  { usage: meter, volumeMeter, node, images, cgroups, store, host }:
    & Pick<PodParts, "usage" | "volumeMeter" | "node" | "images" | "cgroups">
    & { store: StatusStore; host: Host },
): ApiUsage {
  const allocatable = { cpu: node.allocatable["cpu"] ?? 0, memory: node.allocatable["memory"] ?? 0 };
  const startedAt = host.now();
  const detailed = async () => {
    const { read } = await cgroups();
    const readings = await Promise.all(
      store.pods().map((pod) => read({ pod, uid: pod.metadata?.uid ?? "" })),
    );
    return new Map(readings.flatMap((reading) => reading === undefined ? [] : [[reading.uid, reading]]));
  };
  return {
    async summary(signal) {
      const [measured, disks, files, disk, volumes, imageDisks] = await Promise.all([
        meter.measure(signal),
        meter.disks(signal),
        meter.files(signal),
        meter.capacity(),
        volumeMeter.look(signal),
        readImageDisks({ host, images }, signal),
      ]);
      const [reading, readings] = await Promise.all([readNode(host), detailed()]);
      const { nodeName, memoryCapacity } = node;
      return statsSummary(measured, store.pods(), {
        node: { nodeName, memoryCapacity, startedAt, reading, disk, images: imageDisks },
        ...{ readings, disks, files, volumes },
      });
    },
    resource: async (signal) => resourceMetrics(await meter.look(signal), store.pods()),
    pods: async (signal) => podMetrics(await meter.measure(signal), store.pods()),
    node: async (signal) => nodeMetrics(await meter.measure(signal), node.nodeName, allocatable),
  };
}
