/**
 * The shapes that Kubernetes' tools expect around our values: lists, events, errors as v1 Status. Pure. Not for: routes.
 */
import { isoTime } from "../model/iso_time.ts";
import type { Event, Pod, Secret } from "../model/gen/v1.ts";
import type { Problem } from "../model/errors.ts";
import { formatProblem } from "../model/errors.ts";
import type { DeviceReport } from "../model/device_report.ts";
import type { PluginReport } from "../model/plugin_report.ts";
import type { AgentEvent } from "../model/status_types.ts";

/** An error as the API server says it (meta/v1 Status). */
export interface ApiStatus {
  kind: "Status";
  apiVersion: "v1";
  metadata: Record<string, never>;
  status: "Failure";
  message: string;
  reason: StatusReason;
  code: number;
}

export type StatusReason =
  | "BadRequest"
  | "NotFound"
  | "MethodNotAllowed"
  | "Conflict"
  | "RequestEntityTooLarge"
  | "InternalError"
  | "ServiceUnavailable"
  | "Expired";

const codes = {
  BadRequest: 400,
  NotFound: 404,
  MethodNotAllowed: 405,
  Conflict: 409,
  Expired: 410,
  RequestEntityTooLarge: 413,
  InternalError: 500,
  ServiceUnavailable: 503,
} as const satisfies Record<StatusReason, number>;

export function statusOf(
  reason: StatusReason,
  message: string,
): ApiStatus & { code: typeof codes[StatusReason] } {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    code: codes[reason],
  };
}

export interface List<T> {
  kind: string;
  apiVersion: "v1";
  metadata: Record<string, never>;
  items: T[];
}

export const listOf = <T>(kind: string, items: T[]): List<T> => ({
  kind,
  apiVersion: "v1",
  metadata: {},
  items,
});

export const withKind = <T>(kind: string, object: T): T => ({ apiVersion: "v1", kind, ...object });

export const podObject = (pod: Pod): Pod => withKind("Pod", pod);

/** What may be known of a Secret: its type and the sizes of its values, never a value, nor annotations, which may repeat them. */
export interface SecretSummary {
  apiVersion: "v1";
  kind: "Secret";
  metadata: { name: string; namespace: string };
  type: string;
  /** Key -> size of its value in bytes. */
  keys: Record<string, number>;
}

export function secretSummary(secret: Secret): SecretSummary {
  const keys: Record<string, number> = {};
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    keys[key] = Math.floor(value.replace(/[^A-Za-z0-9+/_-]/g, "").length * 3 / 4);
  }
  for (const [key, value] of Object.entries(secret.stringData ?? {})) {
    keys[key] = new TextEncoder().encode(value).length;
  }
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: secret.metadata?.name ?? "", namespace: secret.metadata?.namespace ?? "default" },
    type: secret.type ?? "Opaque",
    keys,
  };
}

/** What makes two reports the same event. */
export const eventKey = (event: AgentEvent): string =>
  JSON.stringify([event.object, event.fieldPath, event.type, event.reason, event.message]);

/** FNV-1a, 32 bits: a short name for an event that stays the same while its count grows. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return (value >>> 0).toString(16).padStart(8, "0");
}

export function eventObject(event: AgentEvent, nodeName: string): Event {
  const { kind, name, uid } = event.object;
  const namespace = event.object.namespace ?? "default";
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: `${name}.${hash(eventKey(event))}`, namespace },
    involvedObject: {
      apiVersion: "v1",
      kind,
      name,
      ...(event.object.namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(event.fieldPath === undefined ? {} : { fieldPath: event.fieldPath }),
    },
    type: event.type,
    reason: event.reason,
    message: event.message,
    source: { component: "agent", ...(nodeName === "" ? {} : { host: nodeName }) },
    count: event.count,
    firstTimestamp: isoTime(event.firstTimestamp),
    lastTimestamp: isoTime(event.lastTimestamp),
    reportingComponent: "agent",
    reportingInstance: nodeName,
  };
}

/** Who has a device: a container that is known, or what is left of one. */
export interface DeviceUser {
  namespace?: string;
  pod?: string;
  uid: string;
  container: string;
}

const nameOfUser = ({ namespace, pod, uid, container }: DeviceUser): string =>
  [namespace ?? "", pod ?? "", uid, container].join("/");

export interface DeviceObject {
  kind: "Device";
  metadata: { name: string };
  resource: string;
  source?: string;
  health: DeviceReport["health"];
  numaNodes?: readonly number[];
  shares: number;
  usedBy: DeviceUser[];
}

export function deviceObject(
  { resource, id, source, health, numaNodes, shares, users }: DeviceReport,
  pods: readonly Pod[],
): DeviceObject {
  const user = ({ uid, container }: DeviceReport["users"][number]): DeviceUser => {
    const { namespace, name } = pods.find((p) => p.metadata?.uid === uid)?.metadata ?? {};
    return {
      ...(namespace !== undefined && { namespace }),
      ...(name !== undefined && { pod: name }),
      uid,
      container,
    };
  };
  return {
    kind: "Device",
    metadata: { name: id },
    resource,
    ...(source !== "" && { source }),
    health,
    ...(numaNodes.length > 0 && { numaNodes }),
    shares,
    usedBy: users.map(user).sort((a, b) => nameOfUser(a) < nameOfUser(b) ? -1 : 1),
  };
}

/** The time is a timestamp, and what the plugin has not said, or is not wrong, is left out. */
export interface PluginObject {
  kind: "Plugin";
  metadata: { name: string };
  type?: string;
  state: PluginReport["state"];
  socket?: string;
  endpoint?: string;
  versions?: readonly string[];
  error?: string;
  since: string;
}

export function pluginObject(
  { name, type, state, socket, endpoint, versions, error, since }: PluginReport,
): PluginObject {
  return {
    kind: "Plugin",
    metadata: { name },
    ...(type !== "" && { type }),
    state,
    ...(socket !== "" && { socket }),
    ...(endpoint !== "" && { endpoint }),
    ...(versions.length > 0 && { versions }),
    ...(error !== "" && { error }),
    since: isoTime(since),
  };
}

export type ProblemObject = Problem & { kind: "Problem" };

export const problemObject = (problem: Problem): ProblemObject => ({ kind: "Problem", ...problem });

export const problemKey = (problem: Problem): string => formatProblem(problem);
