/** What a pod's status depends on besides the pod and what the runtime reports. Not for: deriving it (status.ts). */
import type { PodStatus, ResourceStatus } from "./gen/v1.ts";
import type { Facts } from "./plan.ts";
import type { PendingResize } from "./resize.ts";

export interface StatusFacts extends Facts {
  hostIPs: readonly string[];
  /** `containerd`, `cri-o`: prefix of container ids. */
  runtimeName: string;
  /** Termination messages by container id. */
  messages: ReadonlyMap<string, string>;
  /** By container, its devices and how they are. */
  devices?: ReadonlyMap<string, ResourceStatus[]> | undefined;
  /** The pod asks for resources that it may not have now. */
  pending?: PendingResize | undefined;
  /** The status before, for transition times. */
  before: PodStatus | undefined;
  stopping: boolean;
}
