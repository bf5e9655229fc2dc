/** Pods as kubectl's table shows them: STATUS, READY and RESTARTS are computed as its printPod does. Pure. */
import type { ContainerStatus, Pod } from "../../model/gen/v1.ts";
import { ageOf, humanDuration } from "./duration.ts";
import { cell, type Colour, type Row } from "./text.ts";

const initialized = (pod: Pod): boolean =>
  pod.status?.conditions?.some((c) => c.type === "Initialized" && c.status === "True") ?? false;

const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false;

/** Names of init containers that keep running beside the pod (restartPolicy Always): sidecars. */
const sidecars = (pod: Pod): ReadonlySet<string> =>
  new Set((pod.spec?.initContainers ?? []).filter((c) => c.restartPolicy === "Always").map((c) => c.name));

function exitText(state: { reason?: string; signal?: number; exitCode: number }): string {
  if (state.reason !== undefined && state.reason !== "") return state.reason;
  return state.signal !== undefined && state.signal !== 0
    ? `Signal:${state.signal}`
    : `ExitCode:${state.exitCode}`;
}

/** The init container that holds the pod up, as `Init:…`; `undefined` when none does. */
function initReason(pod: Pod): string | undefined {
  const beside = sidecars(pod);
  const total = pod.spec?.initContainers?.length ?? 0;
  for (const [i, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const { terminated, waiting } = status.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (beside.has(status.name) && status.started === true) continue;
    if (terminated !== undefined) return `Init:${exitText(terminated)}`;
    const reason = waiting?.reason ?? "";
    return reason !== "" && reason !== "PodInitializing" ? `Init:${reason}` : `Init:${i}/${total}`;
  }
  return undefined;
}

/** The reason of the first container that has one; a running one hides `Completed`. */
function containersReason(pod: Pod, otherwise: string): string {
  let reason = otherwise;
  let running = false;
  for (const status of [...pod.status?.containerStatuses ?? []].reverse()) {
    const { waiting, terminated, running: runs } = status.state ?? {};
    if (waiting?.reason) reason = waiting.reason;
    else if (terminated !== undefined) reason = exitText(terminated);
    else if (status.ready && runs !== undefined) running = true;
  }
  if (reason === "Completed" && running) return isReady(pod) ? "Running" : "NotReady";
  return reason;
}

/** The STATUS column. */
export function podStatusText(pod: Pod): string {
  const status = pod.status ?? {};
  const held = initReason(pod);
  const first = held ?? (status.reason || status.phase || "Unknown");
  const reason = held === undefined || initialized(pod) ? containersReason(pod, first) : first;
  if (pod.metadata?.deletionTimestamp === undefined) return reason;
  if (status.reason === "NodeLost") return "Unknown";
  return status.phase === "Succeeded" || status.phase === "Failed" ? reason : "Terminating";
}

/** Statuses that count for READY and RESTARTS: the containers and the sidecars. */
function counted(pod: Pod): ContainerStatus[] {
  const beside = sidecars(pod);
  const inits = (pod.status?.initContainerStatuses ?? []).filter((s) => beside.has(s.name));
  return [...inits, ...pod.status?.containerStatuses ?? []];
}

export function readyText(pod: Pod): string {
  const total = (pod.spec?.containers.length ?? 0) + sidecars(pod).size;
  const ready = counted(pod).filter((s) => s.ready && s.state?.running !== undefined).length;
  return `${ready}/${total}`;
}

/** `3 (2m ago)`; while init containers run, theirs. */
export function restartsText(pod: Pod, now: number): string {
  const statuses = initReason(pod) !== undefined && !initialized(pod)
    ? pod.status?.initContainerStatuses ?? []
    : counted(pod);
  const count = statuses.reduce((sum, s) => sum + s.restartCount, 0);
  const ends = statuses.map((s) => Date.parse(s.lastState?.terminated?.finishedAt ?? "")).filter((t) =>
    !Number.isNaN(t)
  );
  if (count === 0 || ends.length === 0) return String(count);
  return `${count} (${humanDuration(now - Math.max(...ends))} ago)`;
}

const calm = new Set(["Running", "Completed", "Succeeded"]);
const passing = new Set(["Pending", "ContainerCreating", "PodInitializing", "Terminating", "NotReady"]);

export function statusColour(text: string): Colour {
  if (calm.has(text)) return "green";
  return passing.has(text) || /^Init:\d+\/\d+$/.test(text) ? "yellow" : "red";
}

export interface TableOptions {
  wide: boolean;
  /** With a NAMESPACE column. */
  namespaces: boolean;
  now: number;
}

export function podHead({ wide, namespaces }: TableOptions): string[] {
  return [
    ...namespaces ? ["NAMESPACE"] : [],
    ...["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
    ...wide ? ["IP", "NODE"] : [],
  ];
}

export function podRow(pod: Pod, { wide, namespaces, now }: TableOptions): Row {
  const status = podStatusText(pod);
  const { namespace, name, creationTimestamp } = pod.metadata ?? {};
  return [
    ...namespaces ? [namespace ?? ""] : [],
    name ?? "",
    readyText(pod),
    cell(status, statusColour(status)),
    restartsText(pod, now),
    ageOf(creationTimestamp ?? pod.status?.startTime, now),
    ...wide ? [pod.status?.podIP || "<none>", pod.spec?.nodeName || "<none>"] : [],
  ];
}
