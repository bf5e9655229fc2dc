/**
 * What pods of the API server differ in from those of the manifest directory: the API server remembers their status, so
 * what it has on record stands for what the runtime has forgotten, and what has ended stays ended. Pure. Sources: the
 * kubelet's convertToAPIContainerStatuses. Not for: telling it (status_patch.ts).
 */
import type { Container, ContainerStateTerminated, ContainerStatus, Pod, PodStatus } from "./gen/v1.ts";
import { restartsAfter } from "./restart.ts";
import { sourceOf } from "./wish.ts";

export const isOfApi = (pod: Pod): boolean => sourceOf(pod) === "api";

export const isOver = (status: { phase?: string } | undefined): boolean =>
  status?.phase === "Succeeded" || status?.phase === "Failed";

/** The API server shows the pod as one that has ended: nothing of it runs again, whatever is left of it. */
export const isOverAtApi = (pod: Pod): boolean => isOfApi(pod) && isOver(pod.status);

const ahead = new WeakMap<Pod, { said: PodStatus; text: string; pod: Pod }>();

/**
 * The pod with the newest that was said of its containers here on record: the API server may not have heard it yet, and
 * what rests stays at rest all the same. The same object as long as nothing else is said: what is known of it is not
 * worked out anew.
 */
export function withRecord(pod: Pod, said: PodStatus | undefined): Pod {
  if (!isOfApi(pod) || said === undefined || said.phase === "Unknown" || isOver(pod.status)) return pod;
  const known = ahead.get(pod);
  if (known?.said === said) return known.pod;
  const { initContainerStatuses, containerStatuses, ephemeralContainerStatuses } = said;
  // Of these what is absent stays out of the text, and so does not replace what is on record.
  const text = JSON.stringify({ initContainerStatuses, containerStatuses, ephemeralContainerStatuses });
  const result = known?.text === text
    ? known.pod
    : { ...pod, status: { ...pod.status, ...JSON.parse(text) } };
  ahead.set(pod, { said, text, pod: result });
  return result;
}

/** A container of the pod as the API server shows it. */
export function recordOf(pod: Pod, name: string): ContainerStatus | undefined {
  if (!isOfApi(pod)) return undefined;
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } =
    pod.status ??
      {};
  return [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses]
    .find((status) => status?.name === name);
}

const lost = (message: string): ContainerStateTerminated => ({
  exitCode: 137,
  reason: "ContainerStatusUnknown",
  message,
});

/** How a container has ended of which the runtime knows nothing, as it is on record; undefined: it never ran. */
export function endOnRecord(record: ContainerStatus | undefined): ContainerStateTerminated | undefined {
  const { state, lastState } = record ?? {};
  if (state?.terminated !== undefined) return state.terminated;
  return state?.running === undefined
    ? lastState?.terminated
    : lost("The container could not be located.  The container used to be Running");
}

/**
 * The exit code of a container that the runtime has forgotten and that is not to run again; undefined: it is to be started.
 * One that is known to have run once, and may not twice, does not.
 */
export function restsOnRecord(pod: Pod, container: Container, isInit: boolean): number | undefined {
  const record = recordOf(pod, container.name);
  const exit = endOnRecord(record);
  // What succeeded before all else is run again for those that come after it, in their new sandbox.
  if (exit === undefined || record?.state?.waiting !== undefined || (isInit && exit.exitCode === 0)) {
    return undefined;
  }
  const restarts = restartsAfter(pod.spec!, container, isInit, { code: exit.exitCode, failed: false });
  return restarts ? undefined : exit.exitCode;
}

/** Attempts that are on record: the next one is counted on from there. */
export function attemptsOnRecord(pod: Pod, name: string): number {
  const record = recordOf(pod, name);
  return endOnRecord(record) === undefined ? 0 : (record?.restartCount ?? 0) + 1;
}

const texts = new WeakMap<Pod, string>();

/**
 * All that is wished of a pod, as a text: of one of the API server without what only keeps track of it, and of its status
 * only what others decide by it.
 */
export function wishedText(pod: Pod): string {
  const known = texts.get(pod);
  if (known !== undefined) return known;
  const { status, metadata, ...rest } = pod;
  const { resourceVersion: _, managedFields: _fields, ...own } = metadata ?? {};
  const text = isOfApi(pod)
    ? JSON.stringify([own, rest, isOver(status) && status?.phase, gatesOf(pod)])
    : JSON.stringify(pod);
  texts.set(pod, text);
  return text;
}

const gatesOf = (pod: Pod): (string | undefined)[] =>
  (pod.spec?.readinessGates ?? []).map(({ conditionType }) => conditionAtApi(pod, conditionType));

/** What the API server shows of conditions that others set. */
export const conditionAtApi = (pod: Pod, type: string): string | undefined =>
  isOfApi(pod) ? pod.status?.conditions?.find((c) => c.type === type)?.status : undefined;
