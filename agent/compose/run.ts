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
import { createLocalApi } from "../api/local.ts";
import { createHealthApi } from "../api/health.ts";
import { serveApi } from "../api/serve.ts";
import { buildInfo } from "../build_info.ts";
import { createMetrics, type Metrics } from "../lib/metrics.ts";
import { aborted } from "../lib/pause.ts";
import { runForever } from "../lib/tasks.ts";
import { nodeResources } from "../model/devices.ts";
import { runLogRotation } from "../node/log_rotation.ts";
import { runStorageLimits } from "../node/storage_limits.ts";
import { type NodeResources, runNodeStatus } from "../node/status.ts";
import { pullWithAny } from "../reconcile/images.ts";
import { runRuntimeWatch } from "../reconcile/watch_runtime.ts";
import { mergeSnapshots, type Snapshot } from "../sources/merge.ts";
import { watchManifests } from "../sources/static_dir.ts";
import type { Notifier } from "../../plugins/systemd/mod.ts";
import { createStatusStore, type StatusStore } from "../status_store.ts";
import type { DeviceLedgerOptions } from "../node/device_ledger.ts";
import { isEnded } from "../reconcile/admission.ts";
import { createMetricsPage, observePodStarts } from "./metrics.ts";
import { createApiUsage } from "./usage.ts";
import { createCsi } from "./csi.ts";
import { createDevices, followDevices } from "./devices.ts";
import { createLocalDevices } from "./local_devices.ts";
import { runOwnDrivers, runPlugins } from "./plugins.ts";
import { networkServices, withNetworkStatus } from "./networks.ts";
import { createPlacementParts, followPlacement, servePodResources } from "./placement.ts";
import { createPodParts, type PodParts } from "./pods.ts";
import { createHeartbeat, type Heartbeat, systemdService } from "./liveness.ts";
import { runSlimming } from "./slim.ts";
import { chooseRuntime, type ChosenRuntime, startManaged } from "./runtime.ts";

export interface RunOptions {
  config: Config;
  host: Host;
  log: Log;
  /** The effective configuration, for the API. */
  shownConfig: unknown;
  /** Warnings of the configuration. */
  problems: Problem[];
  /** Of the service manager, if there is one. */
  notifier: Notifier;
}

const source = "manifests";

/** Makes every part of the agent; the services start in the order of the list. */
export async function createServices(o: RunOptions, signal: AbortSignal): Promise<Service[]> {
  const { config, host, log } = o;
  await host.mkdir(config.rootDir, 0o750);
  await host.mkdir(config.stateDir, 0o700);
  const metrics = createMetrics();
  const store = createStatusStore();
  store.setProblems("config", o.problems);
  observePodStarts(store, metrics, () => host.now(), signal);
  const chosen = await chooseRuntime(o, signal);
  const taken = await host.list(join(config.rootDir, "pods")) ?? [];
  const local = createLocalDevices({ config, host, runtime: chosen.cri.runtime, store });
  const near: DeviceLedgerOptions["near"] = (pod, container) => placement?.near(pod, container);
  const devices = await createDevices({ config, host, log, store, near }, local.sources);
  const placed = { config, host, log, store, metrics, devices: devices.ledger };
  const placement = await createPlacementParts(placed);
  const csi = createCsi({ config, host, log, store }, signal);
  const parts = createPodParts(
    {
      config,
      host,
      log,
      store,
      metrics,
      cri: { ...chosen.cri, runtime: local.runtime },
      taken,
      devices: devices.ledger,
      placement,
      csi,
    },
    signal,
  );
  const resources = () => nodeResources(parts.node.allocatable, devices.ledger.offers());
  followDevices({ ledger: devices.ledger, reconciler: parts.reconciler, store, resources }, signal);
  followPlacement(placement, devices.ledger, parts.reconciler, signal);
  // What has ended makes room.
  store.subscribe((change) => {
    if (change.kind === "pod" && isEnded(change.pod)) parts.reconciler.readmit();
  }, signal);
  const snapshots = new Map<string, Snapshot>();
  const heartbeat = createHeartbeat(host);
  let listedAt = host.monotonic();
  const listedAgo = () => host.monotonic() - listedAt;
  const forever = (name: string, run: (signal: AbortSignal) => Promise<void>): Service => ({
    name,
    start: (signal) => ({ finished: runForever(name, run, { signal, log }) }),
  });
  const settled = createSettled(host, store, snapshots);
  // Not only when somebody asks: the first question may come when a pod has just been added.
  store.subscribe(() => void settled(), signal);
  return [
    apiService(o, store, metrics, parts, chosen, heartbeat, settled),
    ...managedServices(o, chosen),
    forever("image archives", (signal) => parts.archives.run(signal)),
    forever("manifests", (signal) => watchSource(o, store, snapshots, parts, signal)),
    forever("drivers", (signal) => runOwnDrivers({ config, host, log, store }, signal)),
    forever("plugins", (signal) => {
      const takers = { ...devices.takers, CSIPlugin: csi.taker };
      return runPlugins({ config, host, log, store, takers }, signal);
    }),
    forever("device plugins", (signal) => devices.run(signal)),
    forever("pod resources", (signal) => servePodResources(placed, placement, signal)),
    forever("CSI volumes", (signal) => csi.run(parts.reconciler, signal)),
    forever("recovery", async (signal) => {
      await parts.reconciler.recover();
      await aborted(signal);
    }),
    forever("runtime events", (signal) =>
      runRuntimeWatch({
        host,
        runtime: parts.runtime,
        log,
        nudge: (uid) => parts.reconciler.nudge(uid),
        listed(pods) {
          listedAt = host.monotonic();
          parts.reconciler.takeOver(pods);
        },
        relist: { withEvents: 60_000, withoutEvents: 1000 },
      }, signal)),
    forever(
      "node status",
      (signal) => nodeStatus(o, { store, snapshots, parts, chosen, heartbeat, listedAgo, resources }, signal),
    ),
    ...local.services.map(({ name, run }) => forever(name, run)),
    forever("log rotation", (signal) =>
      runLogRotation({
        host,
        runtime: parts.runtime,
        log,
        maxSize: config.containerLogMaxSize,
        maxFiles: config.containerLogMaxFiles,
        everyMs: 30_000,
      }, signal)),
    forever("storage limits", (signal) =>
      runStorageLimits({
        host,
        runtime: parts.runtime,
        storage: parts.storage,
        store,
        log,
        podLogsDir: config.podLogsDir,
        everyMs: 10_000,
        backOff: config.evictionBackOff,
        end: (uid, end) => parts.reconciler.end(uid, end),
        restart: (uid) => parts.reconciler.restart(uid),
      }, signal)),
    ...networkServices({ ...o, ...parts, store, isManaged: chosen.containerd !== undefined })
      .map(([name, run]) => forever(name, run)),
    forever("slimming", (signal) => runSlimming({ host, store, quietMs: 5000 }, signal)),
    ...(o.notifier.listening ? [systemdService(o.notifier, heartbeat, store)] : []),
    { name: "pods", start: () => ({ finished: parts.reconciler.finished().then(() => chosen.cri.close()) }) },
  ];
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
  o: RunOptions,
  store: StatusStore,
  snapshots: Map<string, Snapshot>,
  parts: PodParts,
  signal: AbortSignal,
): Promise<void> {
  const { config, host } = o;
  return watchManifests({
    host,
    directory: config.staticPodPath,
    nodeName: config.nodeName,
    lastGoodPath: join(config.stateDir, "last-good.json"),
    rescanMs: config.fileCheckFrequency,
    signal,
    onSnapshot(snapshot) {
      snapshots.set(source, snapshot);
      const desired = mergeSnapshots(snapshots, [source]);
      store.setProblems(source, desired.problems);
      // First: pods ask for their claims.
      parts.claims.update({ ...desired, complete: desired.complete && snapshot.readable !== false });
      parts.reconciler.update(desired);
    },
  });
}

interface Seen {
  store: StatusStore;
  snapshots: ReadonlyMap<string, Snapshot>;
  parts: PodParts;
  chosen: ChosenRuntime;
  heartbeat: Heartbeat;
  listedAgo(): number;
  resources(): NodeResources;
}

function nodeStatus(o: RunOptions, seen: Seen, signal: AbortSignal): Promise<void> {
  const { store, snapshots, parts, chosen, heartbeat, listedAgo, resources } = seen;
  const { config, host } = o;
  return runNodeStatus({
    host,
    runtime: withNetworkStatus(parts.runtime, parts.cni),
    store,
    resources,
    base: {
      nodeName: config.nodeName,
      version: buildInfo().version,
      startedAt: host.now(),
      addresses: [...parts.node.hostIPs],
      labels: parts.labels,
      runtime: { endpoint: chosen.endpoint, managed: chosen.containerd !== undefined },
      paths: {
        manifests: config.staticPodPath,
        root: config.rootDir,
        logs: config.podLogsDir,
        images: config.imagesDir,
      },
    },
    complete: () => snapshots.has(source),
    listedAgo,
    onLook: heartbeat.beat,
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

function apiService(
  o: RunOptions,
  store: StatusStore,
  metrics: Metrics,
  parts: PodParts,
  chosen: ChosenRuntime,
  heartbeat: Heartbeat,
  settled: () => boolean,
): Service {
  const { config, host } = o;
  const ready = () => {
    const condition = store.status()?.conditions.find((c) => c.type === "Ready");
    if (condition?.status !== "True") {
      return { ok: false, reasons: [condition?.message ?? "the agent is starting"] };
    }
    return settled() ? { ok: true, reasons: [] } : { ok: false, reasons: ["not every pod has a status yet"] };
  };
  const { images, credentials, reconciler } = parts;
  const brought = <T>(result: T): T => {
    reconciler.retryImages(() => true);
    return result;
  };
  return {
    name: "api",
    async start(signal) {
      const app = createLocalApi({
        store,
        ready,
        settled,
        live: heartbeat.live,
        metrics: createMetricsPage({
          metrics,
          store,
          volumes: parts.volumeMeter,
          nodeName: config.nodeName,
          startedAt: host.now(),
        }),
        config: () => o.shownConfig,
        logs: { directory: config.podLogsDir, files: host },
        images: {
          list: (signal) => images.list(signal),
          async pull(image, signal) {
            const warn = (failure: string) => o.log.warn("no password from a program", { failure });
            return brought(await pullWithAny({ images, credentials }, image, [], warn, signal));
          },
          importArchive: async (path, signal) => brought(await images.importArchive(path, signal)),
        },
        devices: () => parts.devices.reports(),
        usage: createApiUsage({ ...parts, meter: parts.usage, store, host }),
        requests: reconciler,
        sessions: { runtime: parts.runtime, streams: chosen.cri.streams },
        now: () => host.now(),
        signal,
      });
      return await serveApi({
        socket: config.socket,
        app,
        ...(config.healthzPort === 0
          ? {}
          : { healthz: { address: config.healthzBindAddress, port: config.healthzPort } }),
        health: createHealthApi({ ready, live: heartbeat.live }),
        report: (problems) => store.setProblems("api", problems),
        signal,
      });
    },
  };
}
