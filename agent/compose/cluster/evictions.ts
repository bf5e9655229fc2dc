/**
 * A node of a cluster that is short of something: what is measured, what is freed and how a pod ends, wired. Not for: the
 * decisions (model/node_pressure.ts, model/eviction.ts).
 */
import { atMost } from "../../lib/pause.ts";
import { isOverAtApi } from "../../model/api_pod.ts";
import { errorText } from "../../model/errors.ts";
import type { Consumption, ContainerConsumption } from "../../model/eviction.ts";
import { watchedThresholds } from "../../model/eviction_thresholds.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { diskVolumes, type PodDisk } from "../../model/stats_summary.ts";
import type { PodUsage } from "../../model/usage.ts";
import { type EvictionOptions, runEvictions } from "../../node/eviction.ts";
import { readRooms } from "../../node/room.ts";
import { podDisks } from "../../node/usage.ts";
import type { Loop } from "../loop.ts";
import { readMachine } from "../machine.ts";
import { imagesNow } from "./images.ts";
import type { ClusterContext } from "./mod.ts";

/** The kubelet's. */
const lookEveryMs = 10_000;
const patienceMs = 30_000;

export function evictions(context: ClusterContext): Loop {
  const { config, host, log, metrics, parts, store, link } = context;
  const { evictionHard, evictionSoft, evictionMaxPodGrace, pressureTransition } = config.node;
  return {
    name: "evictions",
    run: (signal) =>
      runEvictions({
        ...{ host, log, metrics, store, nodeName: link.nodeName, pressureTransition, patienceMs },
        thresholds: watchedThresholds(evictionHard, evictionSoft),
        maxGrace: evictionMaxPodGrace,
        everyMs: Math.min(lookEveryMs, config.nodeStatusUpdateFrequency),
        look: createLook(context),
        measure: createMeasure(context),
        reclaim: (signal) => reclaim(context, signal),
        end: (uid, end) => parts.reconciler.end(uid, end),
        onPressures: parts.pressures.set,
      }, signal),
  };
}

function createLook({ config, host, parts }: ClusterContext): EvictionOptions["look"] {
  const capacity = readMachine(config.nodeIPs).memory - config.reserved.memory;
  const places = { nodefs: config.rootDir, imagefs: config.managedRuntime.root };
  return async () => {
    const [{ rooms, dedicated }, pods] = await Promise.all([
      readRooms(host, places),
      parts.cgroups().then((cgroups) => cgroups.usageOfAll()),
    ]);
    const available = Math.max(0, capacity - (pods?.workingSet ?? 0));
    return { rooms: { ...rooms, "allocatableMemory.available": { available, capacity } }, dedicated };
  };
}

function createMeasure({ config, host, parts }: ClusterContext): EvictionOptions["measure"] {
  return async (pods, resource, signal) => {
    const onDisk = resource === "ephemeral-storage" || resource === "inodes";
    const { storage, usage } = parts;
    const [{ pods: used }, disks, processes] = await Promise.all([
      usage.look(signal),
      onDisk ? podDisks({ host, storage, podLogsDir: config.podLogsDir }, pods, "bytes", signal) : undefined,
      resource === "pids" ? processesOf(parts, pods) : undefined,
    ]);
    return new Map(pods.map((pod) => {
      const uid = pod.metadata?.uid ?? "";
      const use = used.find((u) => u.uid === uid);
      return [uid, { ...consumptionOf(pod, use, disks?.get(uid)), processes: processes?.get(uid) ?? 0 }];
    }));
  };
}

async function processesOf(
  { cgroups }: ClusterContext["parts"],
  pods: readonly Pod[],
): Promise<Map<string, number>> {
  const all = await cgroups();
  const counts = pods.map(async (pod): Promise<[string, number]> => {
    const uid = pod.metadata?.uid ?? "";
    return [uid, (await all.read({ pod, uid }))?.whole.threads ?? 0];
  });
  return new Map(await Promise.all(counts));
}

const noFiles = { bytes: 0, inodes: 0 };

function consumptionOf(
  pod: Pod,
  use: PodUsage | undefined,
  disk: PodDisk | undefined,
): Omit<Consumption, "processes"> {
  const containers = (use?.containers ?? []).map((c): [string, ContainerConsumption] => [c.name, {
    memory: c.workingSet,
    layer: c.disk ?? noFiles,
    logs: { bytes: disk?.logs.get(c.name) ?? 0, inodes: 0 },
  }]);
  const volumes = disk === undefined ? [] : [...diskVolumes(pod, disk.emptyDirs).values()];
  return {
    memory: use?.whole?.workingSet ?? containers.reduce((sum, [, c]) => sum + c.memory, 0),
    containers: new Map(containers),
    volumes: { bytes: volumes.reduce((sum, bytes) => sum + bytes, 0), inodes: 0 },
  };
}

/** Containers of pods that have ended for good, then images that nobody needs. */
async function reclaim({ parts, store, log }: ClusterContext, signal: AbortSignal): Promise<void> {
  const { images, reconciler } = parts;
  const over = store.pods().filter(isOverAtApi).map((pod) => pod.metadata?.uid ?? "");
  await atMost(patienceMs, reconciler.tidy(over), signal);
  const { unused } = await imagesNow({ parts, store }, signal);
  for (const id of unused) {
    log.info("an image that nobody needs is removed", { image: id });
    await images.remove(id, signal).catch((error) =>
      log.warn("cannot remove an image", { image: id, error: errorText(error) })
    );
  }
}
