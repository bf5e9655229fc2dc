/**
 * What a port needs to run one sandbox or one container: the Pod's own words plus everything that was decided or
 * resolved before. Pure values; the CRI words are in plugins/cri/translate.ts.
 */
import type { Container, EphemeralContainer, Pod, ResourceRequirements } from "./gen/v1.ts";
import type { ContainerEdits } from "./edits.ts";
import type { IdRange } from "./user_namespace.ts";

/** DNS configuration of a pod, resolved from dnsPolicy, dnsConfig and the node's resolv.conf. */
export interface DnsConfig {
  servers: string[];
  searches: string[];
  options: string[];
}

export interface SandboxSpec {
  pod: Pod;
  uid: string;
  attempt: number;
  /** The pod's start time, in ms (annotation `agent/pod-start`). */
  podStart: number;
  /** `file` or `api`: annotation kubernetes.io/config.source. */
  source: "file" | "api";
  /** Content hash of what the sandbox depends on (annotation `agent/sandbox-hash`). */
  hash: string;
  /** Empty with hostNetwork. */
  hostname: string;
  dns: DnsConfig;
  /** `/var/log/pods/NAMESPACE_NAME_UID`. */
  logDirectory: string;
  /** In the runtime's cgroup driver's form; "" leaves it to the runtime. */
  cgroupParent: string;
  /** Of the runtime's configuration; "" is its default. */
  runtimeHandler: string;
  /** Ids of the host that are the pod's own; absent: it shares the host's. */
  userNamespace?: IdRange;
  /** Sysctls, by name. */
  sysctls: Record<string, string>;
}

export interface ContainerSpec {
  sandbox: SandboxSpec;
  sandboxId: string;
  container: Container;
  attempt: number;
  /** Content hash of the container (annotation io.kubernetes.container.hash). */
  hash: string;
  /** Delay after its exit in ms (annotation `agent/back-off`). */
  backOff: number;
  /** How often the pod as a whole has been restarted in place (annotation `agent/run`). */
  run: number;
  /** What it is, where it is an ephemeral one (annotation `agent/ephemeral`). */
  ephemeral?: EphemeralContainer;
  /** The container whose processes it is to see (CRI namespace mode TARGET). */
  targetId?: string;
  /** The image reference that the image service resolved, ready for CreateContainer. */
  imageRef: string;
  /** Entry point and arguments with `$(VAR)` expanded; empty means the image's own. */
  command: string[];
  args: string[];
  /** In order; later wins was already decided. */
  env: { name: string; value: string }[];
  /** Kept as an annotation so that a restart of the agent knows them. */
  resources: ResourceRequirements;
  /** What they are for the kernel. */
  linux: LinuxResources;
  /** User of the image (`uid`, `name` or ""), for runAsNonRoot. */
  imageUser: string;
  /** Volumes, devices, generated files. */
  edits: ContainerEdits;
  /** Below the sandbox's log directory: `NAME/ATTEMPT.log`. */
  logPath: string;
}

/** OCI runtime limits of one container (CRI LinuxContainerResources). */
export interface LinuxResources {
  cpuPeriod?: number;
  /** Microseconds per period; 0 or absent is unlimited. */
  cpuQuota?: number;
  cpuShares?: number;
  /** Bytes. */
  memoryLimit?: number;
  oomScoreAdj?: number;
  /** CPUs that it runs on, as the kernel lists them (`0-3,8`); absent: any. */
  cpus?: string;
  hugepages?: { pageSize: string; limit: number }[];
}
