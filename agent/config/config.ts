/**
 * The configuration: what files, drop-ins, the environment and flags say (later ones win), with defaults, checked as a
 * whole and typed. Pure. Not for: reading files, or for splitting a command line.
 */
import type { Problem } from "../model/errors.ts";
import { type HostDeviceRule, readHostDevices } from "../model/host_devices.ts";
import { parseQuantity } from "../model/quantity.ts";
import { checkValues } from "./checks.ts";
import { defaultValues, type Instance, instanceOf, kubeletDefaults, stateDirOf } from "./defaults.ts";
import { type ConfigFile, readConfigFile } from "./documents.ts";
import { parseDuration } from "../model/duration.ts";
import { settingsFromEnvironment, settingsFromFlags } from "./flags.ts";
import { keyByName } from "./keys.ts";
import { type KubeletApiConfig, toKubeletApi } from "./kubelet_api.ts";
import { type PlacementConfig, toPlacement } from "./placement.ts";
import { type NodeConfig, toNode } from "./node.ts";
import { mergeSettings, placeText, type Setting, unsupportedWarnings } from "./settings.ts";

/** Paths are absolute and plain, times are milliseconds, sizes bytes. */
export interface Config extends Instance, PlacementConfig {
  nodeName: string;
  /** Empty: those of the default route. At most one of each family. */
  nodeIPs: string[];
  /** The tie to a cluster, where there is one. */
  cluster: ClusterConfig;
  /** As an object of a cluster, and what is kept free on it. */
  node: NodeConfig;
  /** Of a node of a cluster, while its API server is away. */
  offline: OfflineConfig;
  /** What the agent must remember: `<rootDir>/agent`. */
  stateDir: string;
  /** Archives in it are imported into the runtime. */
  imagesDir: string;
  /** Drivers that the agent runs itself. */
  pluginsDir: string;
  /** Their log files. */
  pluginLogsDir: string;
  imageCredentialProviders: ImageCredentialConfig;
  /** Volumes of claims that need no driver, a directory each. */
  volumesDir: string;
  /** Of the local API. */
  socket: string;
  podLogsDir: string;
  containerLogsDir: string;
  /** "" when there are no static pods. */
  staticPodPath: string;
  fileCheckFrequency: number;
  nodeStatusUpdateFrequency: number;
  /** Less than 0: volumes are not measured. */
  volumeStatsAggPeriod: number;
  /** `unix://…`; "" looks at the usual places; `managed` is a containerd of the agent's own. */
  containerRuntimeEndpoint: string;
  /** "" is the runtime's. */
  imageServiceEndpoint: string;
  managedRuntime: ManagedRuntimeConfig;
  network: NetworkConfig;
  /** Besides those that every node has. */
  nodeLabels: Readonly<Record<string, string>>;
  maxPods: number;
  /** 0 is no limit. */
  podsPerCore: number;
  /** Names, or beginnings that end in `*`. */
  allowedUnsafeSysctls: string[];
  /** So many user and group ids has a pod with users of its own. */
  userNamespaceIds: number;
  /** Containers that name no seccomp profile get the runtime's own. */
  seccompDefault: boolean;
  cgroupRoot: string;
  /** "" asks the runtime. */
  cgroupDriver: "" | "cgroupfs" | "systemd";
  /** Most processes of a pod; -1 is no limit. */
  podPidsLimit: number;
  /** Form of CpuPolicy (model/cpu.ts): the period in microseconds. */
  cpu: { enforced: boolean; period: number };
  kubeletApi: KubeletApiConfig;
  healthzBindAddress: string;
  /** 0 is off. */
  healthzPort: number;
  clusterDNS: string[];
  /** "" is none. */
  clusterDomain: string;
  /** "" is none. */
  resolvConf: string;
  serializeImagePulls: boolean;
  /** 1 when pulls are serialized; absent is no limit. */
  maxParallelImagePulls?: number;
  /** Form of BackOffConfig (model/restart.ts). */
  backOff: { base: number; cap: number; resetAfter: number };
  /** Form of EvictionBackOff (model/storage_limits.ts). */
  evictionBackOff: { base: number; cap: number };
  /** How long a pod waits for devices that nobody offers, in ms. */
  deviceWait: number;
  /** Device nodes that are resources of pods. */
  hostDevices: HostDeviceRule[];
  /** Whether what the agent knows by itself is so, too. */
  builtinDevices: boolean;
  cdi: { specDirs: string[]; resources: boolean; appliedBy: "auto" | "runtime" | "agent" };
  containerLogMaxSize: number;
  containerLogMaxFiles: number;
  verbosity: number;
  logFormat: "text" | "json";
}

export interface ClusterConfig {
  /** "": no node of a cluster. */
  kubeconfig: string;
  /** "" is none. */
  bootstrapKubeconfig: string;
  /** Of certificates and their keys. */
  certDir: string;
  /** Events for the API server per second (0 is no limit), and at once. */
  eventRate: { qps: number; burst: number };
  /** Whether the client certificate is renewed. */
  rotateCertificates: boolean;
  /** As above, for what becomes of pods. */
  requestRate: { qps: number; burst: number };
}

/** Form of SilenceRules (cluster/offline/silence.ts), and what is kept. */
export interface OfflineConfig {
  /** "": one in the state directory. */
  keyFile: string;
  /** In bytes of JSON. */
  maxSize: number;
  /** In ms; 0: for ever. */
  maxSilence: number;
  obeyTolerations: boolean;
}

export interface ImageCredentialConfig {
  /** "" is none. */
  path: string;
  binDir: string;
}

export interface NetworkConfig {
  /** A network for pods is written for a runtime that is not the agent's own, too. */
  write: boolean;
  /** The network that is written obeys the annotations of pods that limit their bandwidth. */
  bandwidth: boolean;
  /** What pods that are gone had attached is detached. */
  collectLeaks: boolean;
}

export interface ManagedRuntimeConfig {
  root: string;
  state: string;
  socket: string;
  configPath: string;
  logPath: string;
  /** Looked at besides the usual places. */
  binDirs: string[];
  cniConfDir: string;
  cniBinDirs: string[];
  registryConfigDir: string;
  /** OCI runtimes besides the default one, by the handler's name. */
  runtimes: Readonly<Record<string, string>>;
  /** Absent: a range that is free on this machine. */
  podCIDR?: string;
  podCIDRv6?: string;
}

/** Where each value came from, by key: `default`, `default of a private instance`, `flag --node-ip`, `FILE:LINE`. */
export type Origin = Record<string, string>;

export interface ConfigInput {
  /** In the order of `--config`. */
  files: readonly ConfigFile[];
  /** The *.conf files of `--config-dir`, in any order. */
  dropIns: readonly ConfigFile[];
  /** Parsed flags, as `settingsFromFlags` takes them. */
  flags: Readonly<Record<string, unknown>>;
  env: Readonly<Record<string, string>>;
  hostname: string;
  /** Where nothing is said, what the kubelet does counts, and not what we do. */
  asKubelet?: boolean;
}

export interface ParsedConfig {
  config: Config;
  /** Effective values by key, in the form that documents write. */
  values: ReadonlyMap<string, unknown>;
  origin: Origin;
  /** With an error among them the configuration must not be used. */
  problems: Problem[];
}

export function parseConfig(input: ConfigInput): ParsedConfig {
  const dropIns = input.dropIns.filter((f) => f.path.endsWith(".conf")).sort((a, b) =>
    a.path < b.path ? -1 : 1
  );
  const sources = [
    ...(input.asKubelet === true ? [kubeletDefaults()] : []),
    ...[...input.files, ...dropIns].map(readConfigFile),
    settingsFromEnvironment(input.env),
    settingsFromFlags(input.flags),
  ];
  const settings = sources.flatMap((s) => s.settings);
  const chosen = mergeSettings(settings);
  const instance = instanceOf(String(chosen.get("rootDir")?.value ?? keyByName.get("rootDir")!.default));
  const { values, origin } = effectiveValues(instance, chosen);
  const nodeName = nodeNameOf(String(values.get("hostnameOverride")), input.hostname);
  return {
    config: toConfig(instance, values, nodeName),
    values,
    origin,
    problems: [
      ...sources.flatMap((s) => s.problems),
      ...unsupportedWarnings(settings),
      ...checkValues(values, nodeName, (key) => chosen.get(key)?.place ?? { file: origin[key] ?? "default" }),
    ],
  };
}

function effectiveValues(instance: Instance, chosen: ReadonlyMap<string, Setting>) {
  const { values, ownToInstance } = defaultValues(instance, (key) => chosen.get(key)?.value);
  const origin: Origin = {};
  for (const key of values.keys()) {
    origin[key] = ownToInstance.has(key) ? "default of a private instance" : "default";
  }
  for (const [key, setting] of chosen) {
    if (!setting.spec.supported) continue;
    values.set(key, setting.value);
    origin[key] = placeText(setting.place);
  }
  return { values, origin };
}

/** As the kubelet derives it. */
const nodeNameOf = (override: string, hostname: string): string =>
  (override || hostname).trim().toLowerCase();

function toConfig(instance: Instance, values: ReadonlyMap<string, unknown>, nodeName: string): Config {
  const text = (key: string) => String(values.get(key) ?? "");
  const number = (key: string) => Number(values.get(key) ?? 0);
  const texts = (key: string) => (values.get(key) ?? []) as string[];
  const time = (key: string) => parseDuration(text(key)) ?? 0;
  const serialize = values.get("serializeImagePulls") === true;
  const parallel = serialize ? 1 : values.get("maxParallelImagePulls") as number | undefined;
  const cap = time("crashLoopBackOff.maxContainerRestartPeriod");
  return {
    ...instance,
    ...toPlacement(values),
    nodeName,
    nodeIPs: texts("nodeIPs"),
    cluster: {
      kubeconfig: text("kubeconfig"),
      bootstrapKubeconfig: text("bootstrapKubeconfig"),
      certDir: text("certDir"),
      eventRate: { qps: number("eventRecordQPS"), burst: number("eventBurst") },
      rotateCertificates: values.get("rotateCertificates") === true,
      requestRate: { qps: number("kubeAPIQPS"), burst: number("kubeAPIBurst") },
    },
    node: toNode(values, keyByName.get("evictionHard")!.default as Record<string, string>),
    offline: {
      keyFile: text("offline.keyFile"),
      maxSize: parseQuantity(text("offline.maxSize")) ?? 0,
      maxSilence: time("offline.maxSilence"),
      obeyTolerations: values.get("offline.obeyTolerations") === true,
    },
    stateDir: stateDirOf(instance.rootDir),
    imagesDir: text("imagesDir"),
    pluginsDir: text("pluginsDir"),
    pluginLogsDir: text("podLogsDir").replace(/[^/]*$/, "plugins"),
    imageCredentialProviders: {
      path: text("imageCredentialProviderConfig"),
      binDir: text("imageCredentialProviderBinDir"),
    },
    volumesDir: text("volumesDir"),
    socket: text("socket"),
    podLogsDir: text("podLogsDir"),
    containerLogsDir: text("containerLogsDir"),
    staticPodPath: text("staticPodPath"),
    fileCheckFrequency: time("fileCheckFrequency"),
    nodeStatusUpdateFrequency: time("nodeStatusUpdateFrequency"),
    volumeStatsAggPeriod: time("volumeStatsAggPeriod"),
    containerRuntimeEndpoint: text("containerRuntimeEndpoint"),
    imageServiceEndpoint: text("imageServiceEndpoint"),
    managedRuntime: toManagedRuntime(
      text,
      texts,
      (values.get("managedRuntime.runtimes") ?? {}) as Record<string, string>,
    ),
    network: {
      write: values.get("network.write") === true,
      bandwidth: values.get("network.bandwidth") === true,
      collectLeaks: values.get("network.collectLeaks") === true,
    },
    nodeLabels: (values.get("nodeLabels") ?? {}) as Record<string, string>,
    maxPods: number("maxPods"),
    podsPerCore: number("podsPerCore"),
    allowedUnsafeSysctls: texts("allowedUnsafeSysctls"),
    userNamespaceIds: number("userNamespaces.idsPerPod"),
    seccompDefault: values.get("seccompDefault") === true,
    cgroupRoot: text("cgroupRoot"),
    cgroupDriver: text("cgroupDriver") as Config["cgroupDriver"],
    podPidsLimit: number("podPidsLimit"),
    cpu: { enforced: values.get("cpuCFSQuota") === true, period: time("cpuCFSQuotaPeriod") * 1000 },
    kubeletApi: toKubeletApi(values),
    healthzBindAddress: text("healthzBindAddress"),
    healthzPort: number("healthzPort"),
    clusterDNS: texts("clusterDNS"),
    clusterDomain: text("clusterDomain"),
    resolvConf: text("resolvConf"),
    serializeImagePulls: serialize,
    ...(parallel !== undefined && { maxParallelImagePulls: parallel }),
    backOff: {
      base: Math.min(time("crashLoopBackOff.initialPeriod"), cap),
      cap,
      resetAfter: time("crashLoopBackOff.resetPeriod"),
    },
    deviceWait: time("deviceWait"),
    evictionBackOff: {
      base: time("evictionBackOff.initialPeriod"),
      cap: Math.max(time("evictionBackOff.initialPeriod"), time("evictionBackOff.maxPeriod")),
    },
    hostDevices: toHostDevices(values.get("devices")),
    builtinDevices: values.get("builtinDevices") === true,
    cdi: {
      specDirs: texts("cdi.specDirs"),
      resources: values.get("cdi.resources") === true,
      appliedBy: text("cdi.appliedBy") as Config["cdi"]["appliedBy"],
    },
    containerLogMaxSize: parseQuantity(text("containerLogMaxSize")) ?? 0,
    containerLogMaxFiles: number("containerLogMaxFiles"),
    verbosity: number("logging.verbosity"),
    logFormat: text("logging.format") as Config["logFormat"],
  };
}

/** Of wrong ones nothing is taken: they are a problem, and the configuration is not used. */
function toHostDevices(value: unknown): HostDeviceRule[] {
  const read = readHostDevices((value ?? []) as unknown[]);
  return "rules" in read ? read.rules : [];
}

function toManagedRuntime(
  text: (key: string) => string,
  texts: (key: string) => string[],
  runtimes: Readonly<Record<string, string>>,
): ManagedRuntimeConfig {
  const root = text("managedRuntime.root");
  const podCIDR = texts("podCIDR").find((range) => !range.includes(":"));
  const podCIDRv6 = texts("podCIDR").find((range) => range.includes(":"));
  return {
    root,
    state: text("managedRuntime.state"),
    socket: text("managedRuntime.socket"),
    configPath: `${root}/config.toml`,
    logPath: `${root}/containerd.log`,
    binDirs: texts("managedRuntime.binDirs"),
    cniConfDir: text("managedRuntime.cniConfDir"),
    cniBinDirs: texts("managedRuntime.cniBinDirs"),
    registryConfigDir: text("managedRuntime.registryConfigDir"),
    runtimes,
    ...(podCIDR !== undefined && { podCIDR }),
    ...(podCIDRv6 !== undefined && { podCIDRv6 }),
  };
}
