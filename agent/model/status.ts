/**
 * What users see of a pod, derived from wish, observation and what the worker remembers. Source: core/v1 PodStatus and
 * the kubelet's rules for phase, conditions and reasons. Pure. Not for: where the status goes.
 */
import type { Container, ContainerState, ContainerStatus, Pod, PodStatus } from "./gen/v1.ts";
import type { ObservedContainer, ObservedPod } from "./observed.ts";
import type { Facts } from "./plan.ts";
import { assess, isUngreeted, type Need, newestOf, sameSandbox, usableSandbox, wasCutOff } from "./need.ts";
import { asContainer } from "./ephemeral.ts";
import { endOnRecord, isOfApi, isOver, isOverAtApi, recordOf } from "./api_pod.ts";
import { disruptionCondition, podConditions, resizeConditions, restartCondition } from "./conditions.ts";
import { endOf, type PodEnd, startOf } from "./end.ts";
import { lastContainerStatus, lastPhase } from "./last_status.ts";
import { isSidecar, restartsAfter } from "./restart.ts";
import { isAlive } from "./plan_stop.ts";
import { hasOwnResources, qosClass } from "./qos.ts";
import { actualPodResources, actualResources } from "./resize.ts";
import { isoTime } from "./iso_time.ts";
import type { StatusFacts } from "./status_facts.ts";
import { shownMessage } from "./termination.ts";

type Needs = ReadonlyMap<string, Need>;

export function derivePodStatus(pod: Pod, o: ObservedPod, facts: StatusFacts): PodStatus {
  const spec = pod.spec!;
  const needs = assess(pod, sameSandbox(pod, o), o, facts).all;
  const ended = endOf(pod, facts);
  // Nothing is waited for in a pod that has no further life.
  const stopping = facts.stopping || isOverAtApi(pod) || (ended !== undefined && isOfApi(pod));
  const of = (c: Container, isInit: boolean) =>
    containerStatus(pod, c, isInit, o, needs, { ...facts, stopping });
  const inits = (spec.initContainers ?? []).map((c) => of(c, true));
  const seen = spec.containers.map((c) => of(c, false));
  const alive = o.containers.some(isAlive);
  const stopped = facts.stopping && !alive;
  const apps = stopped ? seen.map((s) => lastContainerStatus(s, facts.before?.containerStatuses)) : seen;
  const phase = isOverAtApi(pod)
    ? pod.status!.phase!
    : ended !== undefined && !alive
    ? "Failed"
    : stopped
    ? lastPhase(apps)
    : livePhase(pod, podPhase(pod, inits, apps, needs), alive);
  const sandbox = usableSandbox(pod, o) ?? o.sandboxes.find((s) => s.ready);
  const ips = spec.hostNetwork === true ? [...facts.hostIPs] : sandbox?.ips ?? [];
  const status: PodStatus = {
    phase,
    conditions: podConditions(pod, phase, sandbox !== undefined, inits, apps, facts)
      .concat(restartCondition(pod, o, facts), resizeConditions(pod, needs, o, facts))
      .concat(phase === "Failed" ? disruptionCondition(pod, ended, facts) : []),
    ...(pod.metadata?.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    startTime: isoTime(startOf(pod, o, facts)),
    qosClass: qosClass(pod),
  };
  // One that was refused has none: who looks at it shall see why, and not what it would wait for.
  const refused = ended !== undefined && isOfApi(pod) && [...inits, ...apps].every((s) => !hasRun(s));
  if (!refused) status.containerStatuses = apps;
  if (!refused && inits.length > 0) status.initContainerStatuses = inits;
  if (hasOwnResources(pod)) {
    if (spec.resources?.requests) status.allocatedResources = spec.resources.requests;
    if (sandbox !== undefined) status.resources = actualPodResources(pod, sandbox, facts.memory);
  }
  const ephemeral = spec.ephemeralContainers ?? [];
  if (ephemeral.length > 0) {
    status.ephemeralContainerStatuses = ephemeral.map((e) => ({
      ...of(asContainer(e), false),
      ready: false,
    }));
  }
  if (facts.hostIPs[0] !== undefined) {
    status.hostIP = facts.hostIPs[0];
    status.hostIPs = facts.hostIPs.map((ip) => ({ ip }));
  }
  if (ips[0] !== undefined) {
    status.podIP = ips[0];
    status.podIPs = ips.map((ip) => ({ ip }));
  }
  const why = isOverAtApi(pod)
    ? reasonAtApi(pod)
    : ended ?? (phase === "Pending" ? podFailure(facts) : undefined);
  if (why !== undefined) Object.assign(status, { reason: why.reason, message: why.message });
  return status;
}

const hasRun = ({ state, lastState, containerID }: ContainerStatus): boolean =>
  containerID !== undefined || state?.waiting === undefined || lastState?.terminated !== undefined;

const reasonAtApi = ({ status: { reason, message } = {} }: Pod): Partial<PodEnd> => ({
  ...(reason && { reason }),
  ...(message && { message }),
});

/** Sidecars are part of a pod of the API server as long as they run. */
const livePhase = (pod: Pod, phase: string, alive: boolean): string =>
  alive && isOver({ phase }) && isOfApi(pod) ? "Running" : phase;

/** What holds up the pod as a whole: its devices, its volumes, its sandbox or its networks. */
function podFailure({ held, memory: { failures } }: Facts): { reason: string; message: string } | undefined {
  const f = held ?? failures.get("volumes") ?? failures.get("sandbox") ?? failures.get("networks");
  return f && { reason: f.reason, message: f.message };
}

function terminated(pod: Pod, c: ObservedContainer, facts: StatusFacts): ContainerState {
  const exitCode = c.exitCode ?? 137;
  const message = shownMessage(pod, c.message, facts.messages.get(c.id));
  return {
    terminated: {
      exitCode,
      reason: c.state === "unknown"
        ? "ContainerStatusUnknown"
        : c.reason || (exitCode === 0 ? "Completed" : "Error"),
      ...(c.signal === undefined ? {} : { signal: c.signal }),
      ...(message ? { message } : {}),
      ...(c.startedAt === undefined ? {} : { startedAt: isoTime(c.startedAt) }),
      ...(c.finishedAt === undefined ? {} : { finishedAt: isoTime(c.finishedAt) }),
      containerID: `${facts.runtimeName}://${c.id}`,
    },
  };
}

/** Why a container does not run, from the failures that the worker remembers. */
function waitingFailure(name: string, image: string, facts: Facts): ContainerState | undefined {
  const pull = facts.memory.failures.get(`image:${name}`);
  if (pull !== undefined) {
    const final = pull.reason !== "ErrImagePull";
    const reason = final ? pull.reason : "ImagePullBackOff";
    const message = final ? pull.message : `Back-off pulling image "${image}": ErrImagePull: ${pull.message}`;
    return { waiting: { reason, message } };
  }
  const start = facts.memory.failures.get(`container:${name}`);
  return start && { waiting: { reason: start.reason, message: start.message } };
}

function waitingForDevices(name: string, needs: Needs, { held }: Facts): ContainerState | undefined {
  if (held?.containers.has(name) !== true || needs.get(name)?.kind !== "start") return undefined;
  return { waiting: { reason: held.reason, message: held.message } };
}

function crashLoop(
  pod: Pod,
  c: ObservedContainer,
  need: Need | undefined,
  facts: Facts,
): ContainerState | undefined {
  if (need?.kind !== "start" || need.at <= facts.now || c.backOff === 0) return undefined;
  const { name, namespace } = pod.metadata!;
  const wait = Math.round(c.backOff / 1000);
  const message = `back-off ${wait}s restarting failed container=${c.name} pod=${name}_${namespace}(${
    pod.metadata!.uid
  })`;
  return { waiting: { reason: "CrashLoopBackOff", message } };
}

function stateOf(
  pod: Pod,
  container: Container,
  o: ObservedPod,
  needs: Needs,
  facts: StatusFacts,
): ContainerState {
  const c = newestOf(o, container.name);
  const idle = (pod.spec!.initContainers ?? []).length > 0 ? "PodInitializing" : "ContainerCreating";
  const failure = facts.stopping ? undefined : waitingForDevices(container.name, needs, facts) ??
    waitingFailure(container.name, container.image ?? "", facts);
  if (c === undefined || c.state === "created" || (c.ephemeral === undefined && wasCutOff(c, facts))) {
    return failure ?? { waiting: { reason: idle } };
  }
  // It is not started again: nothing that failed is waited for.
  if (c.ephemeral !== undefined && c.state !== "running") return terminated(pod, c, facts);
  if (c.state === "running" && !facts.stopping) {
    const hook = facts.memory.postStart.get(c.id);
    if (isUngreeted(pod, c, facts.memory)) return { waiting: { reason: idle } };
    if (hook?.kind === "failed") return { waiting: { reason: "PostStartHookError", message: hook.message } };
  }
  if (c.state === "running") {
    return { running: c.startedAt === undefined ? {} : { startedAt: isoTime(c.startedAt) } };
  }
  if (facts.stopping) return terminated(pod, c, facts);
  if (failure !== undefined) return failure;
  const need = needs.get(container.name);
  if (need?.kind === "start" && isOfApi(pod) && !mayStartAgain(pod, container, c)) {
    return { waiting: { reason: idle } };
  }
  return crashLoop(pod, c, need, facts) ?? terminated(pod, c, facts);
}

/** The API server lets nothing leave its end against its policy; what an edit replaces is never shown to have one. */
function mayStartAgain({ spec }: Pod, container: Container, { exitCode = 137 }: ObservedContainer): boolean {
  const isInit = spec!.initContainers?.includes(container) === true;
  return restartsAfter(spec!, container, isInit, { code: exitCode, failed: false });
}

function containerStatus(
  pod: Pod,
  container: Container,
  isInit: boolean,
  o: ObservedPod,
  needs: Needs,
  facts: StatusFacts,
): ContainerStatus {
  const attempts = o.containers.filter((c) => c.name === container.name).sort((a, b) =>
    b.attempt - a.attempt
  );
  const c = attempts[0];
  const record = c === undefined ? recorded(pod, container.name, facts) : undefined;
  if (record !== undefined) return forgotten(record, container, o, pod, needs, facts);
  const state = stateOf(pod, container, o, needs, facts);
  const sidecar = isInit && isSidecar(container);
  const succeeded = isInit && !sidecar && state.terminated?.exitCode === 0;
  const before = state.waiting !== undefined && c?.state === "exited" && !wasCutOff(c, facts)
    ? c
    : attempts[1];
  const running = state.running !== undefined;
  const devices = facts.devices?.get(container.name);
  const stopSignal = container.lifecycle?.stopSignal;
  const { started, ready } = (running && c && facts.probes.get(c.id)) || { started: running, ready: running };
  return {
    name: container.name,
    image: c?.image || (container.image ?? ""),
    imageID: c?.imageRef ?? "",
    ...(c === undefined ? {} : { containerID: `${facts.runtimeName}://${c.id}` }),
    ready: ready && (!isInit || sidecar) || succeeded,
    started,
    restartCount: c?.attempt ?? 0,
    state,
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(before === undefined ? {} : { lastState: terminated(pod, before, facts) }),
    ...(devices !== undefined && { allocatedResourcesStatus: devices }),
    ...(container.resources?.requests ? { allocatedResources: container.resources.requests } : {}),
    ...(container.resources && running && c
      ? { resources: actualResources(container, c, facts.memory) }
      : {}),
    ...(c?.volumeMounts && { volumeMounts: c.volumeMounts }),
    ...(running && c?.user && { user: { linux: c.user } }),
  };
}

/** What was shown last of a container that the runtime knows no more. */
function recorded(pod: Pod, name: string, { before }: StatusFacts): ContainerStatus | undefined {
  if (!isOfApi(pod)) return undefined;
  const record = before === undefined ? recordOf(pod, name) : recordOf({ ...pod, status: before }, name);
  return endOnRecord(record) === undefined ? undefined : record;
}

/** One that rests stays as it was shown; one that will start again waits for that, and is known to have run. */
function forgotten(
  record: ContainerStatus,
  container: Container,
  o: ObservedPod,
  pod: Pod,
  needs: Needs,
  facts: StatusFacts,
): ContainerStatus {
  const end = { terminated: endOnRecord(record)! };
  const rests = needs.get(container.name)?.kind !== "start" || facts.stopping;
  const { started: _, resources: _resources, ...kept } = record;
  if (rests) {
    return {
      ...kept,
      started: false,
      state: end,
      ready: record.state?.terminated !== undefined && record.ready,
    };
  }
  const state = stateOf(pod, container, o, needs, facts);
  return { ...kept, started: false, ready: false, state, lastState: end };
}

/** The kubelet's getPhase. A container that waits but ran before counts as one that has ended. */
function podPhase(pod: Pod, inits: ContainerStatus[], apps: ContainerStatus[], needs: Needs): string {
  const spec = pod.spec!;
  const rests = (s: ContainerStatus) => needs.get(s.name)?.kind === "done";
  const regular = inits.filter((_, i) => !isSidecar(spec.initContainers![i]!));
  if (regular.some((s) => rests(s) && exitOf(s)?.exitCode !== 0)) return "Failed";
  if (apps.some((s) => s.state?.waiting !== undefined && s.lastState === undefined)) return "Pending";
  if (apps.some((s) => s.state?.running !== undefined || !rests(s))) return "Running";
  return apps.every((s) => exitOf(s)?.exitCode === 0) ? "Succeeded" : "Failed";
}

const exitOf = (s: ContainerStatus) => s.state?.terminated ?? s.lastState?.terminated;
