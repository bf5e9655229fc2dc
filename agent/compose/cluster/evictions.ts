/**
 * A node of a cluster that is short of something: what is measured, what is freed and how a pod ends, wired. Not for: the
 * decisions (model/node_pressure.ts, model/eviction.ts).
 */
import { atMost } from "../../lib/pause.ts";
import { isOverAtApi } from "../../model/api_pod.ts";
import { errorText } from "../../model/errors.ts";
import type { Consumption, ContainerConsumption, DiskUse } from "../../model/eviction.ts";
import { watchedThresholds } from "../../model/eviction_thresholds.ts";
import type { Pod } from "../../model/gen/v1.ts";
import { diskVolumes, type PodDisk } from "../../model/stats_summary.ts";
import type { PodUsage } from "../../model/usage.ts";
import { type EvictionOptions, runEvictions } from "../../node/eviction.ts";
import { removeUnused } from "../../node/image_collection.ts";
import { readRooms } from "../../node/room.ts";
import { podDisks } from "../../node/usage.ts";
import type { DiskUnit } from "../../ports.ts";
import type { Loop } from "../loop.ts";
import { readMachine } from "../machine.ts";
import { createImagesPath, imagesNow } from "./images.ts";
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
  const imagesPath = createImagesPath({ config, parts });
  return async (signal) => {
    const imagefs = await imagesPath(signal);
    const [{ rooms, dedicated }, pods] = await Promise.all([
      readRooms(host, { nodefs: config.rootDir, imagefs }),
      // Who makes cgroups is not known while the runtime is away.
      parts.cgroups().then((cgroups) => cgroups.usageOfAll()).catch(() => undefined),
    ]);
    const available = Math.max(0, capacity - (pods?.workingSet ?? 0));
    return { rooms: { ...rooms, "allocatableMemory.available": { available, capacity } }, dedicated };
  };
}

function createMeasure({ config, host, log, parts }: ClusterContext): EvictionOptions["measure"] {
  const { storage, usage } = parts;
  /** More files than can be counted in time must not save their pod, nor all others. */
  const disksOf = (pods: readonly Pod[], unit: DiskUnit, signal: AbortSignal) =>
    podDisks({ host, storage, podLogsDir: config.podLogsDir }, pods, unit, signal).catch((error) => {
      log.warn("cannot measure what pods have on disk", { error: errorText(error) });
      return undefined;
    });
  return async (pods, resource, signal) => {
    const [{ pods: used }, bytes, inodes, processes] = await Promise.all([
      usage.look(signal),
      resource === "ephemeral-storage" ? disksOf(pods, "bytes", signal) : undefined,
      resource === "inodes" ? disksOf(pods, "inodes", signal) : undefined,
      resource === "pids" ? processesOf(parts, pods) : undefined,
    ]);
    return new Map(pods.map((pod) => {
      const uid = pod.metadata?.uid ?? "";
      const use = used.find((u) => u.uid === uid);
      const consumed = consumptionOf(pod, use, { bytes: bytes?.get(uid), inodes: inodes?.get(uid) });
      return [uid, { ...consumed, processes: processes?.get(uid) ?? 0 }];
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

function consumptionOf(
  pod: Pod,
  use: PodUsage | undefined,
  disk: Record<DiskUnit, PodDisk | undefined>,
): Omit<Consumption, "processes"> {
  const inUnits = (amount: (disk: PodDisk) => number): DiskUse => ({
    bytes: disk.bytes === undefined ? 0 : amount(disk.bytes),
    inodes: disk.inodes === undefined ? 0 : amount(disk.inodes),
  });
  const containers = (use?.containers ?? []).map((c): [string, ContainerConsumption] => [c.name, {
    memory: c.workingSet,
    layer: c.disk ?? { bytes: 0, inodes: 0 },
    logs: inUnits(({ logs }) => logs.get(c.name) ?? 0),
  }]);
  return {
    memory: use?.whole?.workingSet ?? containers.reduce((sum, [, c]) => sum + c.memory, 0),
    containers: new Map(containers),
    volumes: inUnits(({ emptyDirs }) => diskVolumes(pod, emptyDirs).values().reduce((sum, n) => sum + n, 0)),
  };
}

/** Containers of pods that have ended for good, then images that nobody needs. */
async function reclaim({ parts, store, log, metrics }: ClusterContext, signal: AbortSignal): Promise<void> {
  const { images, reconciler } = parts;
  const over = store.pods().filter(isOverAtApi).map((pod) => pod.metadata?.uid ?? "");
  await atMost(patienceMs, reconciler.tidy(over), signal);
  const found = await imagesNow({ parts, store }, signal);
  const unused = new Set(found.unused);
  for (const image of found.images.filter(({ id }) => unused.has(id))) {
    await removeUnused(
      { log, metrics, remove: (id, signal) => images.remove(id, signal) },
      image,
      "space",
      signal,
    );
  }
}
