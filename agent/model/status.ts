/**
 * What users see of a pod, derived from wish, observation and what the worker remembers. Source: core/v1 PodStatus and
 * the kubelet's rules for phase, conditions and reasons. Pure. Not for: where the status goes.
 */
import type {
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
  ResourceStatus,
} from "./gen/v1.ts";
import type { ObservedContainer, ObservedPod } from "./observed.ts";
import type { Facts } from "./plan.ts";
import {
  assess,
  isUngreeted,
  type Need,
  newestOf,
  sameSandbox,
  triggerOf,
  usableSandbox,
  wasCutOff,
} from "./need.ts";
import { asContainer } from "./ephemeral.ts";
import { endOf, startOf } from "./end.ts";
import { lastContainerStatus, lastPhase } from "./last_status.ts";
import { isSidecar } from "./restart.ts";
import { isAlive } from "./plan_stop.ts";
import { hasOwnResources, qosClass } from "./qos.ts";
import { actualPodResources, actualResources, isPodOutdated, type PendingResize } from "./resize.ts";
import { shownMessage } from "./termination.ts";

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

type Needs = ReadonlyMap<string, Need>;

export const isoTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");

export function derivePodStatus(pod: Pod, o: ObservedPod, facts: StatusFacts): PodStatus {
  const spec = pod.spec!;
  const needs = assess(pod, sameSandbox(pod, o), o, facts).all;
  const inits = (spec.initContainers ?? []).map((c) => containerStatus(pod, c, true, o, needs, facts));
  const alive = o.containers.some(isAlive);
  const stopped = facts.stopping && !alive;
  const apps = spec.containers.map((c) => containerStatus(pod, c, false, o, needs, facts))
    .map((s) => stopped ? lastContainerStatus(s, facts.before?.containerStatuses) : s);
  const ended = endOf(pod, facts);
  const phase = ended !== undefined && !alive
    ? "Failed"
    : stopped
    ? lastPhase(apps)
    : podPhase(pod, inits, apps, needs);
  const sandbox = usableSandbox(pod, o) ?? o.sandboxes.find((s) => s.ready);
  const ips = spec.hostNetwork === true ? [...facts.hostIPs] : sandbox?.ips ?? [];
  const status: PodStatus = {
    phase,
    conditions: podConditions(pod, phase, sandbox !== undefined, inits, apps, facts)
      .concat(restartCondition(pod, o, facts), resizeConditions(pod, needs, o, facts)),
    ...(pod.metadata?.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    startTime: isoTime(startOf(o, facts)),
    qosClass: qosClass(pod),
    containerStatuses: apps,
  };
  if (inits.length > 0) status.initContainerStatuses = inits;
  if (hasOwnResources(pod)) {
    if (spec.resources?.requests) status.allocatedResources = spec.resources.requests;
    if (sandbox !== undefined) status.resources = actualPodResources(pod, sandbox, facts.memory);
  }
  const ephemeral = spec.ephemeralContainers ?? [];
  if (ephemeral.length > 0) {
    status.ephemeralContainerStatuses = ephemeral.map((e) => ({
      ...containerStatus(pod, asContainer(e), false, o, needs, facts),
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
  const why = ended ?? (phase === "Pending" ? podFailure(facts) : undefined);
  if (why !== undefined) Object.assign(status, { reason: why.reason, message: why.message });
  return status;
}

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
  return crashLoop(pod, c, needs.get(container.name), facts) ?? terminated(pod, c, facts);
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

const initPassed = (s: ContainerStatus, c: Container) =>
  c.restartPolicy === "Always" ? s.started === true : s.state?.terminated?.exitCode === 0;

function podConditions(
  pod: Pod,
  phase: string,
  hasSandbox: boolean,
  inits: ContainerStatus[],
  apps: ContainerStatus[],
  facts: StatusFacts,
): PodCondition[] {
  const { initContainers: initSpecs = [], readinessGates: gates = [] } = pod.spec!;
  const ended = phase === "Succeeded" || phase === "Failed";
  const sidecars = inits.filter((_, i) => initSpecs[i]!.restartPolicy === "Always");
  const unready = [...sidecars, ...apps].filter((s) => !s.ready).map((s) => s.name);
  const uninitialized = inits.filter((s, i) => !initPassed(s, initSpecs[i]!)).map((s) => s.name);
  const appsStarted = apps.some((s) => s.containerID !== undefined);
  const initialized = phase === "Succeeded" || uninitialized.length === 0 || appsStarted;
  const ready = unready.length === 0 && !ended;
  const completed = { reason: "PodCompleted" };
  const notReady = phase === "Succeeded"
    ? completed
    : phase === "Failed"
    ? { reason: "PodFailed" }
    : { reason: "ContainersNotReady", message: `containers with unready status: [${unready.join(" ")}]` };
  const notInitialized = {
    reason: "ContainersNotInitialized",
    message: `containers with incomplete status: [${uninitialized.join(" ")}]`,
  };
  // Nobody sets the conditions that gates name: that takes a control plane.
  const missing = gates.map((g) =>
    `corresponding condition of pod readiness gate "${g.conditionType}" does not exist.`
  );
  const gated = { reason: "ReadinessGatesNotReady", message: missing.join(", ") };
  const list: [string, boolean, object][] = [
    ["PodReadyToStartContainers", hasSandbox, {}],
    ["Initialized", initialized, notInitialized],
    ["Ready", ready && gates.length === 0, ready ? gated : notReady],
    ["ContainersReady", ready, notReady],
    ["PodScheduled", true, {}],
  ];
  return list.map(([type, on, why]) => {
    const reason = on ? type === "Initialized" && phase === "Succeeded" ? completed : {} : why;
    return condition(type, on, reason, facts);
  });
}

function condition(type: string, on: boolean, why: object, facts: StatusFacts): PodCondition {
  const before = facts.before?.conditions?.find((c) => c.type === type);
  const status = on ? "True" : "False";
  const same = before?.status === status;
  const since = same && before?.lastTransitionTime ? before.lastTransitionTime : isoTime(facts.now);
  return { type, status, lastTransitionTime: since, ...why };
}

/** Whether a rule has made all containers end that are to start again; only where there is such a rule. */
function restartCondition(pod: Pod, o: ObservedPod, facts: StatusFacts): PodCondition[] {
  const all = [...pod.spec!.initContainers ?? [], ...pod.spec!.containers];
  const action = "RestartAllContainers";
  if (!all.some((c) => c.restartPolicyRules?.some((r) => r.action === action))) return [];
  const trigger = triggerOf(pod, o, facts);
  const on = trigger !== undefined && o.containers.some(isAlive);
  const message = `Container ${trigger?.name} exited with code ${trigger?.exitCode}`;
  return [condition("AllContainersRestarting", on, on ? { reason: "ContainerExited", message } : {}, facts)];
}

/** Only while resources change, or wait for it. */
function resizeConditions(pod: Pod, needs: Needs, o: ObservedPod, facts: StatusFacts): PodCondition[] {
  const { pending, memory } = facts;
  const sandbox = usableSandbox(pod, o);
  const due = [...needs.values()].some((need) => need.kind === "update") ||
    (sandbox !== undefined && isPodOutdated(pod, sandbox, memory));
  const failure = memory.failures.get("resources");
  const why = failure === undefined ? {} : { reason: "Error", message: failure.message };
  return [
    ...(pending === undefined ? [] : [condition("PodResizePending", true, pending, facts)]),
    ...(due && !facts.stopping ? [condition("PodResizeInProgress", true, why, facts)] : []),
  ];
}
