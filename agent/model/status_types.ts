/**
 * What users are shown, besides the v1 types: the node's own status and events. Pure values.
 */
import type { Problem } from "./errors.ts";

/** A v1 Event, in the few fields that we fill. `count` grows when the same thing happens again. */
export interface AgentEvent {
  type: "Normal" | "Warning";
  /** `Started`, `Pulled`, `BackOff`, `Failed`, `Killing`, `FailedMount`, … as the kubelet says them. */
  reason: string;
  message: string;
  /** `Pod default/web`, or `Node NAME`. */
  object: { kind: string; namespace?: string; name: string; uid?: string };
  /** `spec.containers{web}`. */
  fieldPath?: string;
  /** Of the event's object at the API server. */
  annotations?: Readonly<Record<string, string>>;
  count: number;
  firstTimestamp: number;
  lastTimestamp: number;
}

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  lastTransitionTime?: number;
}

/** How the node stands with its cluster. */
export interface ClusterStatus {
  /** "" while it is not known. */
  server: string;
  /** Whether the API server answered last. */
  answers: boolean;
  /** Why it does not. */
  message?: string;
  /** Whether there is a Node, and what it tells. */
  registered: boolean;
  ready: boolean;
  unschedulable: boolean;
}

/** `agent status`: one look. */
export interface AgentStatus {
  nodeName: string;
  version: string;
  startedAt: number;
  runtime: { name: string; version: string; endpoint: string; managed: boolean };
  /** Where the kubelet's API is; absent: nowhere. */
  kubeletApi?: string;
  /** Absent: the node is of no cluster. */
  cluster?: ClusterStatus;
  conditions: Condition[];
  addresses: string[];
  labels: Readonly<Record<string, string>>;
  /** As a Node's status has them: quantities by resource, devices among them. */
  capacity: Readonly<Record<string, string>>;
  /** What of it pods may have. */
  allocatable: Readonly<Record<string, string>>;
  paths: { manifests: string; root: string; logs: string; images: string };
}

export interface ProblemList {
  problems: readonly Problem[];
}
