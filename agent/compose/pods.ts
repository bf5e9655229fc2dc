/**
 * The part of the agent that keeps pods: drivers and the reconciler, wired. `agent run` and `agent teardown` share it.
 * Not for: services, sources, the API.
 */
import { join } from "@std/path";
import type { Config } from "../config/config.ts";
import type { Log } from "../lib/log.ts";
import { instrument, type Metrics } from "../lib/metrics.ts";
import { once } from "../lib/once.ts";
import type { Cgroups, Host, Images, NodeCredentials, Runtime, Storage } from "../ports.ts";
import type { Placement } from "../plugin_ports.ts";
import type { StatusStore } from "../status_store.ts";
import type { DnsConfig } from "../model/container.ts";
import type { Pod } from "../model/gen/v1.ts";
import { cpuShares } from "../model/cpu.ts";
import { type NodeAmounts, nodeAmounts } from "../model/node_amounts.ts";
import { idPool } from "../model/user_namespace.ts";
import { parseResolvConf, podDns } from "../model/dns.ts";
import { createCgroups, type PodCgroups } from "../node/cgroups.ts";
import type { DeviceLedger } from "../node/device_ledger.ts";
import { createImageArchives, type ImageArchives } from "../node/image_archives.ts";
import { createUsageMeter, type UsageMeter } from "../node/usage.ts";
import { createVolumeMeter, type VolumeMeter } from "../node/volume_meter.ts";
import type { NodeFacts } from "../reconcile/apply.ts";
import { boundSandboxes } from "../reconcile/bounded.ts";
import { createGate } from "../lib/gate.ts";
import { createUserNamespaces } from "../reconcile/user_namespaces.ts";
import { createReconciler, type Reconciler } from "../reconcile/reconciler.ts";
import type { ClaimBook } from "../volumes/claims/claims.ts";
import { createPodVolumes } from "../volumes/pod_volumes.ts";
import type { Cni } from "../../plugins/cni/mod.ts";
import type { Cri } from "../../plugins/cri/mod.ts";
import { createProber } from "../../plugins/probe/mod.ts";
import { detectHost } from "../../plugins/containerd/mod.ts";
import { createNodeAdmission, mostPods } from "./admission.ts";
import { createClaimParts } from "./claims.ts";
import type { ClusterLink } from "./cluster/link.ts";
import type { Csi } from "./csi.ts";
import { createNetworks, createNodeCni } from "./networks.ts";
import { nodeCredentials } from "./credentials.ts";
import { newestAddresses, readMachine } from "./machine.ts";
import { imageCalls, runtimeCalls } from "./metrics.ts";
import { createPressures, type Pressures } from "./pressures.ts";

export interface PodParts {
  cni: Cni;
  node: NodeFacts;
  /** Looks what addresses the machine has now; pods hear of others. */
  addresses(): string[];
  amounts: NodeAmounts;
  pressures: Pressures;
  /** The node's: of the API server where it has one, else of the configuration. */
  labels(): Readonly<Record<string, string>>;
  runtime: Runtime;
  images: Images;
  archives: ImageArchives;
  reconciler: Reconciler;
  storage: Storage;
  claims: ClaimBook;
  usage: UsageMeter;
  volumeMeter: VolumeMeter;
  devices: DeviceLedger;
  /** Which driver makes them is asked of the runtime, when the first pod needs to know. */
  cgroups(): Promise<PodCgroups>;
  credentials: NodeCredentials;
}

export interface PodPartsOptions {
  config: Config;
  host: Host;
  log: Log;
  store: StatusStore;
  metrics: Metrics;
  cri: Cri;
  devices: DeviceLedger;
  placement?: Placement | undefined;
  csi: Csi;
  /** Bytes of the file system that pods write to, where they count. */
  disk?: number | undefined;
  /** Uids of the pods that an earlier run of the agent took. */
  taken: readonly string[];
  /** Absent: the agent is no node of a cluster. */
  link?: ClusterLink | undefined;
}

/** Cgroups that systemd gives to container runtimes. */
const runtimeUnits = ["/system.slice/containerd.service", "/system.slice/crio.service"];

/** Making one is mostly the work of processes; more at once than this only wait for each other. */
const sandboxesPerCpu = 4;
/** Probes that run a command, at once: each is a process that the runtime makes. */
const execProbesPerCpu = 8;
const networkProbes = 256;
const stubResolver = "127.0.0.53";
const resolvedConf = "/run/systemd/resolve/resolv.conf";

/** The node's resolv.conf; where that only names systemd's stub, which pods cannot reach, the one behind it. */
async function readResolvConf(host: Host, path: string): Promise<DnsConfig | undefined> {
  if (path === "") return undefined;
  const read = async (file: string) => parseResolvConf(await host.readText(file) ?? "");
  const conf = await read(path);
  const onlyStub = conf.servers.length > 0 && conf.servers.every((s) => s === stubResolver);
  return onlyStub && await host.stat(resolvedConf) !== undefined ? await read(resolvedConf) : conf;
}

export function createPodParts(o: PodPartsOptions, leave: AbortSignal): PodParts {
  const { config, host, log, store } = o;
  const machine = readMachine(config.nodeIPs);
  const runtime = boundSandboxes(
    instrument(o.cri.runtime, "runtime", o.metrics, runtimeCalls),
    Math.max(8, sandboxesPerCpu * machine.cpus),
  );
  const images = instrument(o.cri.images, "images", o.metrics, imageCalls);
  const whole = {
    ...machine,
    pods: mostPods(config, machine),
    ...(o.disk !== undefined && { disk: o.disk }),
  };
  const amounts = nodeAmounts(whole, config.reserved, config.node.evictionHard);
  const node: NodeFacts = {
    nodeName: config.nodeName,
    clusterDomain: config.clusterDomain,
    hostIPs: machine.addresses,
    runtimeName: "containerd",
    podLogsDir: config.podLogsDir,
    containerLogsDir: config.containerLogsDir,
    backOff: config.backOff,
    allocatable: amounts.allocatable,
    memoryCapacity: machine.memory,
    cpu: config.cpu,
    hugePageSizes: [...machine.hugePages.keys()],
  };
  const pressures = createPressures();
  const { labels, admission } = createNodeAdmission({
    config,
    machine,
    facts: node,
    store,
    now: () => host.now(),
    taken: o.taken,
    devices: o.devices,
    pressures: pressures.get,
    own: o.link?.own,
  });
  const claims = createClaimParts({
    config,
    host,
    log,
    store,
    labels,
    csi: o.csi,
    retry: (uid) => reconciler.retryVolumes(uid),
  }, leave);
  const storage = instrument(
    createPodVolumes({
      host,
      rootDir: config.rootDir,
      clusterDomain: config.clusterDomain,
      images: o.cri.imageVolumes,
      claims,
      csi: o.csi.volumes,
      node,
      ...(o.link && { tokens: o.link.tokens }),
    }),
    "storage",
    o.metrics,
  );
  const archives = createImageArchives({
    host,
    images,
    log,
    directory: config.imagesDir,
    checkpointPath: join(config.stateDir, "imported.json"),
    report: (problems) => store.setProblems("images", problems),
    onImported: (brings) => reconciler.retryImages(brings),
  });
  const userPool = async () =>
    idPool(
      { subuid: await host.readText("/etc/subuid"), subgid: await host.readText("/etc/subgid") },
      config.userNamespaceIds,
      config.maxPods,
    );
  const credentials = nodeCredentials(o, leave);
  const dns = async (pod: Pod) => {
    const conf = await readResolvConf(host, config.resolvConf);
    return podDns(pod, {
      host: conf,
      clusterDNS: config.clusterDNS,
      clusterDomain: config.clusterDomain,
      hostIPs: node.hostIPs,
    });
  };
  const cgroups = once(async () => {
    const asked = config.cgroupDriver !== "" ? undefined : await runtime.status(AbortSignal.timeout(10_000));
    const driver = config.cgroupDriver || asked?.cgroupDriver || (await detectHost()).cgroupDriver;
    return createCgroups({
      host,
      root: config.cgroupRoot,
      driver,
      policy: { cpu: config.cpu, ...(config.podPidsLimit > 0 && { pids: config.podPidsLimit }) },
      limits: {
        cpuShares: cpuShares(node.allocatable["cpu"]!),
        // More than pods may ask for: what must stay free makes them be evicted before the kernel ends them.
        ...(config.reserved.memory > 0 && { memory: machine.memory - config.reserved.memory }),
      },
      hasOwnCpus: (uid) => (o.placement?.facts(uid).own.size ?? 0) > 0,
    });
  });
  const podCgroups: Cgroups = {
    ensure: async (pod) => await (await cgroups()).ensure(pod),
    makeRoom: async (pod) => await (await cgroups()).makeRoom(pod),
    usage: async (pod) => await (await cgroups()).usage(pod),
    remove: async (uid) => await (await cgroups()).remove(uid),
  };
  const cni = createNodeCni({ config, host });
  const networks = createNetworks({ config, host, cni });
  const { podLogsDir, rootDir } = config;
  const usage = createUsageMeter({
    host,
    runtime,
    storage,
    cgroups: { ...podCgroups, system: async () => await (await cgroups()).system(runtimeUnits) },
    pods: () => store.pods(),
    podLogsDir,
    rootDir,
  });
  const volumeMeter = createVolumeMeter({
    host,
    store,
    ask: o.csi.volumes.stats,
    maxAge: config.volumeStatsAggPeriod,
  }, leave);
  const prober = createProber();
  const reconciler = createReconciler({
    admission,
    gone: (uid) => o.link?.departures.tell(uid),
    runtime,
    storage,
    store,
    log,
    observe: { host, runtime, storage, networks, logs: node, rootDir: config.rootDir },
    probes: {
      host,
      runtime,
      prober,
      places: { exec: createGate(execProbesPerCpu * machine.cpus), network: createGate(networkProbes) },
      hostIPs: node.hostIPs,
      jitter: Math.random,
    },
    apply: {
      host,
      prober,
      runtime,
      storage,
      cgroups: podCgroups,
      devices: o.devices,
      networks,
      ...(o.placement && { placement: o.placement }),
      node,
      dns,
      userNamespaces: createUserNamespaces({ runtime, pool: userPool }),
      ...(o.link && { reports: o.link.statuses }),
      images: { images, archives, pulls: createGate(config.maxParallelImagePulls ?? Infinity), credentials },
    },
  }, leave);
  /** In place: everyone has the same list. */
  const addresses = () => {
    const now = newestAddresses(machine.addresses, config.nodeIPs);
    if (now.join() !== machine.addresses.join()) {
      log.info("the node has other addresses", { before: machine.addresses.join(), now: now.join() });
      machine.addresses.splice(0, Infinity, ...now);
      reconciler.nudge();
    }
    return now;
  };
  const parts = {
    cni,
    node,
    addresses,
    amounts,
    pressures,
    labels,
    runtime,
    images,
    archives,
    reconciler,
    storage,
    claims,
    usage,
  };
  return { ...parts, volumeMeter, devices: o.devices, cgroups, credentials };
}
