/**
 * What the runtime reports about one pod, in our words. Times are milliseconds since the epoch; 0 never appears:
 * an unknown time is absent. Not for: what should be (wish.ts) or what users see (status.ts).
 */
import type {
  ContainerPort,
  EphemeralContainer,
  LifecycleHandler,
  LinuxContainerUser,
  ResourceRequirements,
  VolumeMountStatus,
} from "./gen/v1.ts";
import type { IdRange } from "./user_namespace.ts";
import type { PodSource } from "./wish.ts";

export interface ObservedSandbox {
  id: string;
  attempt: number;
  ready: boolean;
  createdAt: number;
  /** The pod's start time, from its annotation: a sandbox that follows another one inherits it. */
  podStart?: number;
  /** Pod IPs, first the primary one; empty with host network or when not ready. */
  ips: string[];
  /** Content hash of what the sandbox depends on, from its annotation; "" when it bears none. */
  hash: string;
  runtimeHandler: string;
  /** What its pod was given when it was made (model/resize.ts), from its annotation. */
  resources?: string;
  /** Ids of the host that are the pod's own, from its annotation. */
  userNamespace?: IdRange;
  /** Of a pod with further networks: these, by the record of attachments, and first the runtime's own. */
  networks?: ObservedNetwork[];
}

/** One interface of a sandbox. */
export interface ObservedNetwork {
  /** `namespace/name` of its definition; of the runtime's own, the CNI network's name. */
  name: string;
  ifname: string;
  /** The pod's first interface, which the runtime attached. */
  isDefault: boolean;
  /** False: attaching it was cut off. */
  complete: boolean;
  /** Without the lengths of prefixes. */
  ips: string[];
  gateways: string[];
  mac?: string;
  mtu?: number;
  dns?: { nameservers?: string[]; domain?: string; search?: string[]; options?: string[] };
}

export interface ObservedContainer {
  id: string;
  name: string;
  sandboxId: string;
  attempt: number;
  /** CRI ContainerState. */
  state: "created" | "running" | "exited" | "unknown";
  createdAt: number;
  startedAt?: number;
  finishedAt?: number;
  exitCode?: number;
  signal?: number;
  /** The runtime's reason: `Completed`, `Error`, `OOMKilled`, … */
  reason?: string;
  message?: string;
  /** Image as written in the manifest, and the reference the runtime resolved it to. */
  image: string;
  imageRef: string;
  /** Content hash of the container (without resources), from its annotation. */
  hash: string;
  /** How long to wait after its exit before the next start, in ms, from its annotation: the restart history lives with the container. */
  backOff: number;
  /** The pod's termination grace period in seconds when it was created, from its annotation. */
  graceSeconds: number;
  /** Its preStop hook, and the ports that it may name, when it was created; from annotations. */
  preStop?: LifecycleHandler;
  ports?: ContainerPort[];
  /** Its place among the init containers, where it is a sidecar; from an annotation. */
  sidecar?: number;
  /** How often the pod as a whole had been restarted in place when this was created, from its annotation; absent is 0. */
  run?: number;
  /** What an ephemeral container is, from its annotation; absent for all others. */
  ephemeral?: EphemeralContainer;
  /** Resources applied when created, from its annotation; in-place changes after that are known to the worker only. */
  resources?: ResourceRequirements;
  /** CPUs that it was created on, from its annotation; absent: all. */
  cpus?: string;
  /** Ids of the devices that it was given, by resource, from its annotation. */
  devices?: Readonly<Record<string, readonly string[]>>;
  /** The user of its first process, where the runtime tells. */
  user?: LinuxContainerUser;
  /** What became of its volumeMounts, from its annotation. */
  volumeMounts?: VolumeMountStatus[];
  logPath: string;
}

export interface ObservedPod {
  uid: string;
  namespace: string;
  name: string;
  /** Who wanted it, from its sandbox's annotation. */
  source?: PodSource;
  /** Newest first. */
  sandboxes: ObservedSandbox[];
  /** All containers of all sandboxes, newest attempt first within a name. */
  containers: ObservedContainer[];
  /** True where anything of the pod besides the runtime's objects is on the node (pod directory, mounts). */
  hasDirectory: boolean;
}

export const emptyObservation = (uid: string, namespace: string, name: string): ObservedPod => ({
  uid,
  namespace,
  name,
  sandboxes: [],
  containers: [],
  hasDirectory: false,
});
