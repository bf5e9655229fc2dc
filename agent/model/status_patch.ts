/**
 * What is to be told to the API server about a pod, given what it shows: the status here under the rules of its API (what
 * ended stays ended, others' conditions are theirs), and as a patch that changes nothing else. Pure. Source: the kubelet's
 * status manager, core/v1's patch strategies, ValidatePodStatusUpdate. Not for: deriving the status (status.ts), sending.
 */
import type { ContainerStatus, Pod, PodCondition, PodStatus } from "./gen/v1.ts";
import { isOver } from "./api_pod.ts";
import { canonical } from "./hash.ts";
import { restartsAfter } from "./restart.ts";

/** Conditions that a node owns. Those of readiness gates, schedulers and controllers are not among them. */
const ownConditions = new Set([
  "PodReadyToStartContainers",
  "Initialized",
  "Ready",
  "ContainersReady",
  "PodScheduled",
  "PodResizePending",
  "PodResizeInProgress",
  "AllContainersRestarting",
  "DisruptionTarget",
]);
/** Of these, those that go when there is no reason for them. */
const passingConditions = new Set(["PodResizePending", "PodResizeInProgress", "AllContainersRestarting"]);
/** Whoever set these first is right. */
const firstComeConditions = new Set(["PodScheduled"]);

/** Fields of a status that a node owns, and how a strategic merge replaces them. */
const plainFields = [
  "observedGeneration",
  "phase",
  "reason",
  "message",
  "hostIP",
  "podIP",
  "startTime",
  "initContainerStatuses",
  "containerStatuses",
  "ephemeralContainerStatuses",
] as const;
const mergedLists = ["hostIPs", "podIPs"] as const;
const mergedMaps = ["allocatedResources", "resources"] as const;

/**
 * A strategic merge patch of the pod's status, bound to its uid, that makes the API server show `wanted`; undefined when
 * there is nothing to tell. `shown` is what it shows now.
 */
export function statusPatch(shown: Pod, wanted: PodStatus): Record<string, unknown> | undefined {
  if (wanted.phase === "Unknown") return undefined;
  const before = shown.status ?? {};
  const after = ruled(shown, wanted);
  const status: Record<string, unknown> = {};
  for (const field of plainFields) {
    if (differ(before[field], after[field])) status[field] = after[field] ?? null;
  }
  for (const field of mergedLists) {
    if (differ(before[field], after[field])) status[field] = [{ $patch: "replace" }, ...after[field] ?? []];
  }
  for (const field of mergedMaps) {
    if (differ(before[field], after[field])) {
      status[field] = after[field] === undefined ? null : { ...after[field], $patch: "replace" };
    }
  }
  const conditions = conditionPatch(before.conditions ?? [], after.conditions ?? []);
  if (conditions.length > 0) status.conditions = conditions;
  return Object.keys(status).length === 0 ? undefined : { metadata: { uid: shown.metadata?.uid }, status };
}

const differ = (a: unknown, b: unknown) => canonical(a) !== canonical(b);

/** `wanted` as far as the API's rules let the status become so. */
function ruled(shown: Pod, wanted: PodStatus): PodStatus {
  const { status: before = {} } = shown;
  const after: PodStatus = { ...wanted };
  for (const field of ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] as const) {
    const list = wanted[field]?.map((s) => ruledContainer(shown, field, s, before[field]));
    if (list !== undefined) after[field] = list;
    else if (before[field] !== undefined) after[field] = before[field];
  }
  if (before.startTime !== undefined) after.startTime = before.startTime;
  // A pod that has ended goes on showing where it was.
  for (const field of ["podIP", "podIPs", "hostIP", "hostIPs"] as const) {
    if (after[field] === undefined && before[field] !== undefined) {
      Object.assign(after, { [field]: before[field] });
    }
  }
  const stays = isOver(before) || (isOver(wanted) && runs(after));
  if (stays) {
    after.phase = before.phase ?? "Running";
    for (const field of ["reason", "message"] as const) {
      if (before[field] === undefined) delete after[field];
      else after[field] = before[field];
    }
  }
  after.conditions = ruledConditions(before.conditions ?? [], wanted.conditions ?? []);
  return after;
}

const runs = (s: PodStatus) =>
  [...s.initContainerStatuses ?? [], ...s.containerStatuses ?? [], ...s.ephemeralContainerStatuses ?? []]
    .some(({ state }) => state?.running !== undefined);

/** One that has ended for good is never shown to wait or run again. */
function ruledContainer(
  { metadata, spec }: Pod,
  field: string,
  status: ContainerStatus,
  before: readonly ContainerStatus[] = [],
): ContainerStatus {
  const old = before.find(({ name }) => name === status.name);
  const exit = old?.state?.terminated;
  if (old === undefined || exit === undefined) return status;
  const isKnown = status.state?.terminated !== undefined && status.containerID !== undefined;
  if (isKnown) return isEarlier(status, old) ? old : status;
  // It runs again for a rule that restarts all containers, whatever its own policy says.
  if (status.restartCount > old.restartCount) return status;
  const isFinal = metadata?.deletionTimestamp !== undefined && status.state?.running === undefined;
  if (isFinal || field === "ephemeralContainerStatuses") return old;
  const isInit = field === "initContainerStatuses";
  const container = (isInit ? spec?.initContainers : spec?.containers)?.find(({ name }) => name === old.name);
  if (spec === undefined || container === undefined || (spec.restartPolicy ?? "Always") === "Always") {
    return status;
  }
  return restartsAfter(spec, container, isInit, { code: exit.exitCode, failed: false }) ? status : old;
}

/** Whether it is of a container that ran before: the runtime can lose the newest and still know those before it. */
function isEarlier(status: ContainerStatus, than: ContainerStatus): boolean {
  const [end, other] = [status, than].map(({ state }) => state?.terminated?.finishedAt ?? "");
  return status.restartCount < than.restartCount && end! <= other!;
}

function ruledConditions(before: readonly PodCondition[], wanted: readonly PodCondition[]): PodCondition[] {
  const own = wanted.filter(({ type }) =>
    ownConditions.has(type) && !(firstComeConditions.has(type) && before.some((b) => b.type === type))
  );
  const kept = before.filter(({ type }) =>
    !passingConditions.has(type) && !own.some((condition) => condition.type === type)
  );
  return [
    ...kept,
    ...own.map((condition) => since(condition, before.find((b) => b.type === condition.type))),
  ];
}

/** A condition that is as it was has been so since then. */
const since = (condition: PodCondition, before: PodCondition | undefined): PodCondition =>
  before?.status === condition.status && before.lastTransitionTime
    ? { ...condition, lastTransitionTime: before.lastTransitionTime }
    : condition;

function conditionPatch(before: readonly PodCondition[], after: readonly PodCondition[]): unknown[] {
  const changed = after.filter((c) => differ(before.find((b) => b.type === c.type), c));
  const cleared = changed.map((c) => ({ ...nulls(before.find((b) => b.type === c.type), c), ...c }));
  const gone = before.filter((b) => !after.some((c) => c.type === b.type));
  return [...cleared, ...gone.map(({ type }) => ({ type, $patch: "delete" }))];
}

/** What a merge would keep. */
const nulls = (before: PodCondition | undefined, after: PodCondition) =>
  Object.fromEntries(
    Object.keys(before ?? {}).filter((field) => !Object.hasOwn(after, field)).map((field) => [field, null]),
  );
