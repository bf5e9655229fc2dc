/**
 * `agent run`: from a configuration to the list of services. With the rest of compose/ and main.ts the only code that
 * knows all the parts. Not for: what any of them does.
 */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Problem } from "../model/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Host } from "../ports.ts";
import type { Service } from "../agent.ts";
import { buildInfo } from "../build_info.ts";
import { createMetrics, type Metrics } from "../lib/metrics.ts";
import { aborted } from "../lib/pause.ts";
import { runForever } from "../lib/tasks.ts";
import { nodeResources } from "../model/devices.ts";
import { runLogRotation } from "../node/log_rotation.ts";
import { runStorageLimits } from "../node/storage_limits.ts";
import { type NodeResources, runNodeStatus, type RuntimeView } from "../node/status.ts";
import { runRuntimeWatch } from "../reconcile/watch_runtime.ts";
import type { Snapshot } from "../model/wish.ts";
import { watchManifests } from "../sources/static_dir.ts";
import type { Cri } from "../../plugins/cri/mod.ts";
import type { Notifier } from "../../plugins/systemd/mod.ts";
import { createStatusStore, type StatusStore } from "../status_store.ts";
import type { DeviceLedgerOptions } from "../node/device_ledger.ts";
import { isEnded } from "../reconcile/admission.ts";
import { observePodStarts } from "./metrics.ts";
import { apiService, createPages } from "./api.ts";
import { type ClusterLink, createClusterLink } from "./cluster/link.ts";
import { clusterStatus } from "./cluster/status.ts";
import { clusterServices } from "./cluster/mod.ts";
import type { Loop } from "./loop.ts";
import { createCsi } from "./csi.ts";
import { createDevices, followDevices } from "./devices.ts";
import { kubeletAddress, kubeletApi } from "./kubelet/mod.ts";
import { createLocalDevices } from "./local_devices.ts";
import { runOwnDrivers, runPlugins } from "./plugins.ts";
import { networkServices, withNetworkStatus } from "./networks.ts";
import { createPlacementParts, followPlacement, servePodResources } from "./placement.ts";
import { createPodParts, type PodParts } from "./pods.ts";
import { createHeartbeat, systemdService } from "./liveness.ts";
import { runSlimming } from "./slim.ts";
import { createWanted } from "./wanted.ts";
import { chooseRuntime, type ChosenRuntime, startManaged } from "./runtime.ts";

export interface RunOptions {
  config: Config;
  host: Host;
  log: Log;
  /** The effective configuration, for the API. */
  shownConfig: { values: Readonly<Record<string, unknown>>; origin: unknown };
  /** Warnings of the configuration. */
  problems: Problem[];
  /** Of the service manager, if there is one. */
  notifier: Notifier;
}

/** Names of sources of pods. */
const source = "manifests";
const clusterSource = "cluster";

/** What offers pods more than the runtime does, and the services that it needs. */
async function createPlugins(
  o: RunOptions,
  store: StatusStore,
  metrics: Metrics,
  cri: Cri,
  link: ClusterLink | undefined,
  signal: AbortSignal,
) {
  const { config, host, log } = o;
  const local = createLocalDevices({ config, host, runtime: cri.runtime, store });
  const near: DeviceLedgerOptions["near"] = (pod, container) => placement?.near(pod, container);
  const devices = await createDevices({ config, host, log, store, near }, local.sources);
  const placed = { config, host, log, store, metrics, devices: devices.ledger };
  const placement = await createPlacementParts(placed);
  const csi = createCsi({ config, host, log, store, link }, signal);
  const takers = { ...devices.takers, CSIPlugin: csi.taker };
  const services: Loop[] = [
    { name: "drivers", run: (signal) => runOwnDrivers({ config, host, log, store }, signal) },
    { name: "plugins", run: (signal) => runPlugins({ config, host, log, store, takers }, signal) },
    { name: "device plugins", run: devices.run },
    { name: "pod resources", run: (signal) => servePodResources(placed, placement, signal) },
    ...local.services,
  ];
  return { runtime: local.runtime, devices: devices.ledger, placement, csi, services };
}

/** Makes every part of the agent; the services start in the order of the list. */
export async function createServices(o: RunOptions, signal: AbortSignal): Promise<Service[]> {
  const { config, host, log } = o;
  await host.mkdir(config.rootDir, 0o750);
  await host.mkdir(config.stateDir, 0o700);
  const metrics = createMetrics();
  const store = createStatusStore();
  store.setProblems("config", o.problems);
  observePodStarts(store, metrics, () => host.now(), signal);
  const link = await createClusterLink({ config, host, log, store });
  const chosen = await chooseRuntime(o, signal);
  const taken = await host.list(join(config.rootDir, "pods")) ?? [];
  const plugins = await createPlugins(o, store, metrics, chosen.cri, link, signal);
  const cri = { ...chosen.cri, runtime: plugins.runtime };
  const disk = (await host.statfs(config.rootDir))?.capacity;
  const parts = createPodParts(
    { ...plugins, config, host, log, store, metrics, cri, taken, link, disk },
    signal,
  );
  const resources = () => nodeResources(parts.amounts, plugins.devices.offers());
  followDevices({ ledger: plugins.devices, reconciler: parts.reconciler, store, resources }, signal);
  followPlacement(plugins.placement, plugins.devices, parts.reconciler, signal);
  // What has ended makes room.
  store.subscribe((change) => {
    if (change.kind === "pod" && isEnded(change.pod)) parts.reconciler.readmit();
  }, signal);
  const expected = [source, ...(link === undefined ? [] : [clusterSource])];
  const { snapshots, updates, publish } = createWanted({ store, link, parts, own: source, expected });
  const heartbeat = createHeartbeat(host);
  let listedAt = host.monotonic();
  let view: RuntimeView | undefined;
  const seen = {
    store,
    snapshots,
    parts,
    chosen,
    onLook(seen: RuntimeView) {
      view = seen;
      heartbeat.beat();
    },
    resources,
    cluster: () => clusterStatus(link),
    listedAgo: () => host.monotonic() - listedAt,
  };
  const settled = createSettled(host, store, snapshots);
  // Not only when somebody asks: the first question may come when a pod has just been added.
  store.subscribe(() => void settled(), signal);
  const isManaged = chosen.containerd !== undefined;
  const api = { ...o, store, metrics, parts, chosen, heartbeat, settled };
  const pages = createPages(api);
  const loops: Loop[] = [
    { name: "image archives", run: (signal) => parts.archives.run(signal) },
    { name: "manifests", run: (signal) => watchSource(o, publish(source), signal) },
    ...(link === undefined ? [] : clusterServices({
      ...{ config, host, log, store, metrics, link, parts, signal, desired: updates },
      csi: plugins.csi,
      runtimeView: () => view,
      publish: publish(clusterSource),
    })),
    ...kubeletApi({ ...api, pages, link }),
    ...plugins.services,
    { name: "CSI volumes", run: (signal) => plugins.csi.run(parts.reconciler, signal) },
    {
      name: "recovery",
      async run(signal) {
        await parts.reconciler.recover();
        await aborted(signal);
      },
    },
    {
      name: "runtime events",
      run: (signal) => watchRuntime(o, parts, () => listedAt = host.monotonic(), signal),
    },
    { name: "node status", run: (signal) => nodeStatus(o, seen, signal) },
    { name: "log rotation", run: (signal) => rotateLogs(o, parts, signal) },
    { name: "storage limits", run: (signal) => limitStorage(o, store, metrics, parts, signal) },
    ...networkServices({ ...o, ...parts, store, isManaged }).map(([name, run]) => ({ name, run })),
    { name: "slimming", run: (signal) => runSlimming({ host, store, quietMs: 5000 }, signal) },
  ];
  return [
    apiService(api, pages),
    ...managedServices(o, chosen),
    ...loops.map(({ name, run }): Service => ({
      name,
      start: (signal) => ({ finished: runForever(name, run, { signal, log }) }),
    })),
    ...(o.notifier.listening ? [systemdService(o.notifier, heartbeat, store)] : []),
    { name: "pods", start: () => ({ finished: parts.reconciler.finished().then(() => chosen.cri.close()) }) },
  ];
}

function watchRuntime(
  { host, log }: RunOptions,
  { runtime, reconciler }: PodParts,
  onList: () => void,
  signal: AbortSignal,
): Promise<void> {
  return runRuntimeWatch({
    host,
    runtime,
    log,
    nudge: (uid) => reconciler.nudge(uid),
    listed(pods) {
      onList();
      reconciler.takeOver(pods);
    },
    relist: { withEvents: 60_000, withoutEvents: 1000 },
  }, signal);
}

function rotateLogs({ config, host, log }: RunOptions, { runtime }: PodParts, signal: AbortSignal) {
  const { containerLogMaxSize: maxSize, containerLogMaxFiles: maxFiles } = config;
  return runLogRotation({ host, runtime, log, maxSize, maxFiles, everyMs: 30_000 }, signal);
}

function limitStorage(
  { config, host, log }: RunOptions,
  store: StatusStore,
  metrics: Metrics,
  { runtime, storage, reconciler }: PodParts,
  signal: AbortSignal,
) {
  return runStorageLimits({
    host,
    runtime,
    storage,
    store,
    log,
    metrics,
    podLogsDir: config.podLogsDir,
    everyMs: 10_000,
    backOff: config.evictionBackOff,
    end: (uid, end) => reconciler.end(uid, end),
    restart: (uid) => reconciler.restart(uid),
  }, signal);
}

function managedServices(o: RunOptions, { containerd, cri }: ChosenRuntime): Service[] {
  if (containerd === undefined) return [];
  return [{
    name: "containerd",
    async start(signal) {
      await startManaged({ ...o, cri, containerd }, signal);
      return { finished: containerd.run(signal) };
    },
  }];
}

function watchSource(
  { config, host }: RunOptions,
  onSnapshot: (snapshot: Snapshot) => void,
  signal: AbortSignal,
): Promise<void> {
  return watchManifests({
    host,
    directory: config.staticPodPath,
    nodeName: config.nodeName,
    lastGoodPath: join(config.stateDir, "last-good.json"),
    rescanMs: config.fileCheckFrequency,
    signal,
    onSnapshot,
  });
}

interface Seen {
  store: StatusStore;
  snapshots: ReadonlyMap<string, Snapshot>;
  parts: PodParts;
  chosen: ChosenRuntime;
  onLook(view: RuntimeView): void;
  cluster(): ReturnType<typeof clusterStatus>;
  listedAgo(): number;
  resources(): NodeResources;
}

function nodeStatus(o: RunOptions, seen: Seen, signal: AbortSignal): Promise<void> {
  const { store, snapshots, parts, chosen, onLook, listedAgo, resources } = seen;
  const { config, host } = o;
  return runNodeStatus({
    host,
    runtime: withNetworkStatus(parts.runtime, parts.cni),
    store,
    resources,
    addresses: parts.addresses,
    labels: parts.labels,
    cluster: seen.cluster,
    base: {
      nodeName: config.nodeName,
      version: buildInfo().version,
      startedAt: host.now(),
      runtime: { endpoint: chosen.endpoint, managed: chosen.containerd !== undefined },
      ...kubeletAddress(config.kubeletApi),
      paths: {
        manifests: config.staticPodPath,
        root: config.rootDir,
        logs: config.podLogsDir,
        images: config.imagesDir,
      },
    },
    complete: () => snapshots.has(source),
    listedAgo,
    pressures: parts.pressures.get,
    onLook,
    onRuntime({ name, supplementalGroupsPolicy = false }) {
      parts.node.runtimeName = name;
      parts.node.supplementalGroupsPolicy = supplementalGroupsPolicy;
      parts.reconciler.readmit();
      parts.reconciler.nudge();
    },
    everyMs: config.nodeStatusUpdateFrequency,
  }, signal);
}

const settledAfterMs = 10_000;

/** True from the moment when every pod of the first snapshot has a status; a pod that cannot have one holds up nobody. */
function createSettled(
  host: Host,
  store: StatusStore,
  snapshots: ReadonlyMap<string, Snapshot>,
): () => boolean {
  let settled = false;
  let readAt: number | undefined;
  return () => {
    const snapshot = snapshots.get(source);
    if (settled || snapshot === undefined) return settled;
    readAt ??= host.monotonic();
    const shown = new Set(store.pods().map((p) => p.metadata?.uid));
    const all = [...snapshot.pods.values()].every((p) => shown.has(p.uid));
    return settled = all || host.monotonic() - readAt > settledAfterMs;
  };
}
