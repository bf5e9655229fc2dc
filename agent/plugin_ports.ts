/**
 * What plugins of a node offer, on one page: sockets that register themselves, CSI drivers, devices, networks; and where
 * containers run, near to their devices. As in ports.ts every effect ends with the signal that cancels it, and expected failures are AgentErrors.
 * Not for: the runtime and the host (ports.ts), implementations.
 */
import type { DeviceOffer, Held } from "./model/devices.ts";
import type { ContainerEdits } from "./model/edits.ts";
import type { PodEnd } from "./model/end.ts";
import type { Container, ResourceStatus } from "./model/gen/v1.ts";
import type { ContainerCpus } from "./model/linux_resources.ts";
import type { WantedNetwork } from "./model/networks.ts";
import type { ObservedNetwork, ObservedPod } from "./model/observed.ts";
import type { CpuFacts } from "./model/plan.ts";
import type { VolumeStats } from "./model/volume_stats.ts";
import type { DesiredPod } from "./model/wish.ts";

export type { Device, DeviceOffer } from "./model/devices.ts";

/** The kinds of plugin registration, v1 (PluginInfo.type). */
export type PluginKind = "CSIPlugin" | "DevicePlugin" | "DRAPlugin";

/** One that answered GetInfo at its socket below `plugins_registry`. */
export interface FoundPlugin {
  kind: PluginKind;
  /** Of the driver, or the resource. */
  name: string;
  /** Where it serves; the registration socket itself unless it said otherwise. */
  endpoint: string;
  versions: readonly string[];
  /** The registration socket. */
  socket: string;
}

/** Takes over the plugins of one kind. */
export interface PluginTaker {
  /** Throws AgentError that says what is wrong with name or versions; the plugin is told. Changes nothing. */
  validate(plugin: FoundPlugin): void;
  /** Whatever must succeed before the plugin is told that it is registered. Replaces one of the same name. */
  register(plugin: FoundPlugin, signal: AbortSignal): Promise<void>;
  /** Its registration socket is gone. */
  deregister(plugin: FoundPlugin): void;
}

export type PluginTakers = Partial<Record<PluginKind, PluginTaker>>;

/** Somebody who offers devices as extended resources: device plugins, CDI specs, devices of the configuration. */
export interface DeviceSource {
  /** `device plugins`, for messages. */
  readonly name: string;
  /** By name of the resource. A source that has not spoken yet offers nothing. */
  offers(): ReadonlyMap<string, DeviceOffer>;
  /** Calls back after each change of the offers until the signal aborts. */
  subscribe(listener: () => void, signal: AbortSignal): void;
  /** Which of the available devices it would give away; must hold `mustInclude`. Any trouble is no preference. */
  preferred(
    resource: string,
    of: { available: readonly string[]; mustInclude: readonly string[]; size: number },
    signal: AbortSignal,
  ): Promise<string[] | undefined>;
  /** What a container that gets these devices needs. Throws UnexpectedAdmissionError. */
  allocate(resource: string, ids: readonly string[], signal: AbortSignal): Promise<ContainerEdits>;
  /** Readies devices before each start of their container. Throws CreateContainerConfigError. */
  preStart(resource: string, ids: readonly string[], signal: AbortSignal): Promise<void>;
}

/** Parts of a container and a volume that a CSI driver is told. */
export interface VolumeCapability {
  /** "": block device. */
  fsType: string;
  block: boolean;
  /** Only for file systems. */
  mountFlags: readonly string[];
  /** Of the driver's gid option, where it applies fsGroup itself. */
  volumeMountGroup?: string;
  accessMode: CsiAccessMode;
}

/** CSI's names for what the claim's access modes mean. */
export type CsiAccessMode =
  | "SINGLE_NODE_WRITER"
  | "SINGLE_NODE_READER_ONLY"
  | "MULTI_NODE_READER_ONLY"
  | "MULTI_NODE_SINGLE_WRITER"
  | "MULTI_NODE_MULTI_WRITER"
  | "SINGLE_NODE_SINGLE_WRITER"
  | "SINGLE_NODE_MULTI_WRITER";

export type Secrets = Readonly<Record<string, string>>;
export type Texts = Readonly<Record<string, string>>;

/** A volume as a driver tells of it. */
export interface CsiVolume {
  /** The handle, in Kubernetes' words. */
  id: string;
  /** Bytes; 0 is unknown. */
  capacity: number;
  context: Texts;
  /** Where it can be reached; empty: everywhere. */
  topology: readonly Texts[];
}

/** What a driver said of itself when it was registered. */
export interface CsiDriverFacts {
  name: string;
  version: string;
  nodeId: string;
  /** 0 is no limit. */
  maxVolumesPerNode: number;
  topology: Texts;
  /** Of CSI's NodeServiceCapability.RPC. */
  stages: boolean;
  hasStats: boolean;
  expandsOnNode: boolean;
  singleNodeMultiWriter: boolean;
  volumeMountGroup: boolean;
  /** Of CSI's ControllerServiceCapability.RPC; all false where the socket has no controller service. */
  creates: boolean;
  publishes: boolean;
  expands: boolean;
}

/**
 * One CSI driver at its socket. Calls about one volume never overlap; each has a deadline; a driver that hangs holds up
 * nobody else. All are safe to repeat. Errors carry the gRPC code in their message; `retry` is false for those that
 * cannot get better by themselves (INVALID_ARGUMENT, OUT_OF_RANGE, …).
 */
export interface CsiDriver {
  readonly facts: CsiDriverFacts;
  createVolume(
    of: {
      name: string;
      /** Bytes. */
      requiredBytes: number;
      limitBytes: number;
      capabilities: readonly VolumeCapability[];
      parameters: Texts;
      secrets: Secrets;
      /** Of this node, where the class waits for the first consumer or the driver asks for it. */
      topology: Texts | undefined;
    },
    signal: AbortSignal,
  ): Promise<CsiVolume>;
  deleteVolume(id: string, secrets: Secrets, signal: AbortSignal): Promise<void>;
  /** Returns the publish context. */
  controllerPublish(
    of: { id: string; capability: VolumeCapability; readonly: boolean; secrets: Secrets; context: Texts },
    signal: AbortSignal,
  ): Promise<Texts>;
  controllerUnpublish(id: string, secrets: Secrets, signal: AbortSignal): Promise<void>;
  controllerExpand(
    of: {
      id: string;
      requiredBytes: number;
      limitBytes: number;
      capability: VolumeCapability;
      secrets: Secrets;
    },
    signal: AbortSignal,
  ): Promise<{ capacity: number; nodeExpansionRequired: boolean }>;
  stage(of: CsiStage, signal: AbortSignal): Promise<void>;
  unstage(id: string, stagingPath: string, signal: AbortSignal): Promise<void>;
  publish(of: CsiPublish, signal: AbortSignal): Promise<void>;
  unpublish(id: string, targetPath: string, signal: AbortSignal): Promise<void>;
  stats(
    of: { id: string; path: string; stagingPath: string },
    signal: AbortSignal,
  ): Promise<CsiVolumeStats>;
  /** Returns the new size in bytes. */
  expandOnNode(
    of: {
      id: string;
      path: string;
      stagingPath: string;
      requiredBytes: number;
      capability: VolumeCapability;
      secrets: Secrets;
    },
    signal: AbortSignal,
  ): Promise<number>;
}

export interface CsiStage {
  id: string;
  publishContext: Texts;
  stagingPath: string;
  capability: VolumeCapability;
  secrets: Secrets;
  context: Texts;
}

export interface CsiPublish extends CsiStage {
  targetPath: string;
  readonly: boolean;
}

export type CsiVolumeStats = VolumeStats;

/** A volume as its driver knows it. */
export interface VolumeName {
  driver: string;
  handle: string;
}

/** Volumes that somebody else than this node attaches to it: a control plane. */
export interface Attachments {
  /**
   * Tells that the volume is wanted here, and waits a little until it is attached. Returns what attaching has brought;
   * `known` is that of an earlier time, which counts while nobody can be asked. Throws FailedMount with what it waits for.
   */
  attached(volume: VolumeName, known: Texts | undefined, signal: AbortSignal): Promise<Texts>;
  /** Nothing of it is on the node any more. */
  released(volume: VolumeName): void;
}

/** The CSI drivers that are registered on this node. */
export interface CsiDrivers {
  /** `undefined` while it is not registered. */
  driver(name: string): CsiDriver | undefined;
  all(): readonly CsiDriver[];
  /** Calls back when a driver comes, comes back or goes, until the signal aborts. */
  subscribe(listener: (name: string) => void, signal: AbortSignal): void;
}

/** A sandbox that is to join networks. */
export interface NetworkPlace {
  sandboxId: string;
  /** Path of its network namespace. */
  netns: string;
  pod: { namespace: string; name: string; uid: string };
}

/** Further networks of pods. What is attached stands in a record, which outlives agent and runtime. */
export interface Networks {
  /**
   * What a sandbox has besides its first interface, which then comes first; empty where it has nothing else. Includes
   * what was cut off.
   */
  attached(sandboxId: string): Promise<ObservedNetwork[]>;
  /**
   * Attaches what is not attached yet, in order; returns that. Throws CreatePodSandboxError naming network and cause; what
   * a failed attachment did is undone.
   */
  attach(
    place: NetworkPlace,
    wanted: readonly WantedNetwork[],
    signal: AbortSignal,
  ): Promise<ObservedNetwork[]>;
  /** Leaves all of them, the last one first, also when namespace or configuration are gone. Throws FailedKillPod. */
  detach(sandboxId: string, signal: AbortSignal): Promise<void>;
}

/** What CNI's ADD brought, in the words of the specification 1.1. */
export interface CniResult {
  interfaces: CniInterface[];
  ips: CniIp[];
  routes: CniRoute[];
  dns: CniDns;
}

export interface CniInterface {
  name: string;
  mac?: string;
  mtu?: number;
  /** Path of the network namespace; absent: it is on the host. */
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}

export interface CniIp {
  /** CIDR. */
  address: string;
  gateway?: string;
  /** Index of `interfaces`. */
  interface?: number;
}

export interface CniRoute {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

export interface CniDns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

/** Where on the machine containers run: on CPUs of their own or on those that all others share, near to their devices. */
export interface Placement {
  /**
   * Gives the pod's containers what they get of their own: all of them or none. Returns why it cannot; then the pod is
   * told of when it may try again. What they have they keep, until `release`. Idempotent.
   */
  place(pod: DesiredPod): PodEnd | undefined;
  /** For the plan of this pod. */
  facts(uid: string): CpuFacts;
  /** Absent: any. */
  cpusOf(uid: string, container: string): ContainerCpus | undefined;
  /** Ends when on disk is what was given. */
  saved(): Promise<void>;
  /** Takes back what the pod has. Idempotent. */
  release(uid: string): void;
  /** Takes back what pods have that are not among these. */
  sweep(known: ReadonlySet<string>): void;
}

/** What stands between a pod and its devices. */
export interface DeviceOutlook {
  held: Omit<Held, "until">;
  /** Ms until the wait is over. */
  left?: number;
  /** It is over, and nothing of the pod runs on devices. */
  rejected?: PodEnd;
}

/** Devices of pods, whoever offers them. */
export interface Devices {
  /** What runs has its devices, whatever was kept of that. Until it is told, nobody is given any. */
  restore(pods: readonly ObservedPod[]): void;
  /** As it is now; undefined: nothing. */
  outlook(pod: DesiredPod): DeviceOutlook | undefined;
  /**
   * Gives the pod's containers their devices and readies those of one that is about to start; what was given is on disk
   * before this returns, and a container keeps it over restarts. Returns what it needs for them, undefined is nothing.
   * Throws UnexpectedAdmissionError, or CreateContainerConfigError when devices cannot be readied.
   */
  prepare(pod: DesiredPod, container: Container, signal: AbortSignal): Promise<ContainerEdits | undefined>;
  /** Names of containers of which a device is unhealthy that the pod wants to be replaced. */
  ailing(pod: DesiredPod): ReadonlySet<string>;
  /** By container: its devices as its status tells them. */
  health(uid: string): ReadonlyMap<string, ResourceStatus[]>;
  /** Takes back what the pod's containers have, except those named. Idempotent. */
  release(uid: string, except?: ReadonlySet<string>): void;
  /** Takes back what pods have that are not among these. */
  sweep(known: ReadonlySet<string>): void;
}
