/**
 * What users see of a pod, derived from wish, observation and what the worker remembers. Source: core/v1 PodStatus and
 * the kubelet's rules for phase, conditions and reasons. Pure. Not for: where the status goes.
 */
import type { Container, ContainerState, ContainerStatus, Pod, PodCondition, PodStatus } from "./gen/v1.ts";
import type { ObservedContainer, ObservedPod } from "./observed.ts";
import type { Facts } from "./plan.ts";
import { assess, type Need, newestOf, usableSandbox, wantedSandboxHash, wasCutOff } from "./plan_start.ts";
import { restartPolicyOf, shouldRestart } from "./restart.ts";
import { qosClass } from "./qos.ts";

export interface StatusFacts extends Facts {
  hostIPs: readonly string[];
  /** `containerd`, `cri-o`: prefix of container ids. */
  runtimeName: string;
  /** Termination messages by container id. */
  messages: ReadonlyMap<string, string>;
  /** When this agent first saw the pod, in ms: start time of a pod that has no sandbox yet. */
  firstSeen: number;
  /** The status before, for transition times. */
  before: PodStatus | undefined;
  stopping: boolean;
}

export const isoTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");

export function derivePodStatus(pod: Pod, o: ObservedPod, facts: StatusFacts): PodStatus {
  const spec = pod.spec!;
  const inits = (spec.initContainers ?? []).map((c) => containerStatus(pod, c, true, o, facts));
  const apps = spec.containers.map((c) => containerStatus(pod, c, false, o, facts));
  const phase = podPhase(pod, inits, apps, (name) => failedProbe(name, o, facts));
  const sandbox = usableSandbox(pod, o) ?? o.sandboxes.find((s) => s.ready);
  const ips = spec.hostNetwork === true ? [...facts.hostIPs] : sandbox?.ips ?? [];
  const started = Math.min(facts.firstSeen, ...o.sandboxes.map((s) => s.createdAt));
  const status: PodStatus = {
    phase,
    conditions: podConditions(phase, sandbox !== undefined, inits, apps, spec.initContainers ?? [], facts),
    startTime: isoTime(started),
    qosClass: qosClass(pod),
    containerStatuses: apps,
  };
  if (inits.length > 0) status.initContainerStatuses = inits;
  if (facts.hostIPs[0] !== undefined) {
    status.hostIP = facts.hostIPs[0];
    status.hostIPs = facts.hostIPs.map((ip) => ({ ip }));
  }
  if (ips[0] !== undefined) {
    status.podIP = ips[0];
    status.podIPs = ips.map((ip) => ({ ip }));
  }
  const why = podFailure(facts);
  if (why !== undefined && phase === "Pending") Object.assign(status, why);
  return status;
}

/** What holds up the pod as a whole: its volumes or its sandbox. */
function podFailure(facts: Facts): { reason: string; message: string } | undefined {
  const f = facts.memory.failures.get("volumes") ?? facts.memory.failures.get("sandbox");
  return f && { reason: f.reason, message: f.message };
}

function terminated(c: ObservedContainer, facts: StatusFacts): ContainerState {
  const exitCode = c.exitCode ?? 137;
  const message = facts.messages.get(c.id) || c.message;
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

function crashLoop(pod: Pod, c: ObservedContainer, need: Need, facts: Facts): ContainerState | undefined {
  if (need.kind !== "start" || need.at <= facts.now) return undefined;
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
  facts: StatusFacts,
): ContainerState {
  const c = newestOf(o, container.name);
  const idle = (pod.spec!.initContainers ?? []).length > 0 ? "PodInitializing" : "ContainerCreating";
  const failure = facts.stopping ? undefined : waitingFailure(container.name, container.image ?? "", facts);
  if (c === undefined || c.state === "created" || wasCutOff(c, facts)) {
    return failure ?? { waiting: { reason: idle } };
  }
  if (c.state === "running") {
    return { running: c.startedAt === undefined ? {} : { startedAt: isoTime(c.startedAt) } };
  }
  if (facts.stopping) return terminated(c, facts);
  if (failure !== undefined) return failure;
  const same = o.sandboxes[0]?.hash === wantedSandboxHash(pod) ? o.sandboxes[0] : undefined;
  const need = assess(pod, same, o, facts).needs.find((n) =>
    n.container.name === container.name && !isDone(n.need)
  );
  return (need && crashLoop(pod, c, need.need, facts)) ?? terminated(c, facts);
}

const isDone = (need: Need) => need.kind === "done" || need.kind === "nothing";

function containerStatus(
  pod: Pod,
  container: Container,
  isInit: boolean,
  o: ObservedPod,
  facts: StatusFacts,
): ContainerStatus {
  const attempts = o.containers.filter((c) => c.name === container.name).sort((a, b) =>
    b.attempt - a.attempt
  );
  const c = attempts[0];
  const state = stateOf(pod, container, o, facts);
  const sidecar = isInit && container.restartPolicy === "Always";
  const succeeded = isInit && !sidecar && state.terminated?.exitCode === 0;
  const before = state.waiting !== undefined && c?.state === "exited" && !wasCutOff(c, facts)
    ? c
    : attempts[1];
  const running = state.running !== undefined;
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
    ...(before === undefined ? {} : { lastState: terminated(before, facts) }),
    ...(container.resources && running ? { resources: container.resources } : {}),
  };
}

const failedProbe = (name: string, o: ObservedPod, facts: Facts): boolean =>
  facts.probes.get(newestOf(o, name)?.id ?? "")?.failed !== undefined;

/** The kubelet's getPhase. A waiting container that ran before counts as stopped, one that a probe ended as failed. */
export function podPhase(
  pod: Pod,
  inits: ContainerStatus[],
  apps: ContainerStatus[],
  failed: (name: string) => boolean,
): string {
  const spec = pod.spec!;
  const regular = inits.filter((_, i) => spec.initContainers![i]!.restartPolicy !== "Always");
  const exit = (s: ContainerStatus) => s.state?.terminated ?? s.lastState?.terminated;
  const untouched = apps.every((s) => s.state?.waiting !== undefined && s.lastState === undefined);
  if (
    regular.some((s) => s.state?.terminated && s.state.terminated.exitCode !== 0) &&
    spec.restartPolicy === "Never"
  ) {
    return "Failed";
  }
  if (untouched || regular.some((s, i) => untouched && !initPassed(s, spec.initContainers![i]!))) {
    return "Pending";
  }
  if (apps.some((s) => s.state?.waiting !== undefined && s.lastState === undefined)) return "Pending";
  if (apps.some((s) => s.state?.running !== undefined)) return "Running";
  const willRun = apps.some((s, i) => {
    const end = exit(s);
    const exitCode = failed(s.name) ? 137 : end?.exitCode;
    return exitCode !== undefined &&
      shouldRestart(restartPolicyOf(spec, spec.containers[i]!, false), exitCode);
  });
  if (willRun) return "Running";
  return apps.every((s) => exit(s)?.exitCode === 0) ? "Succeeded" : "Failed";
}

const initPassed = (s: ContainerStatus, c: Container) =>
  c.restartPolicy === "Always" ? s.started === true : s.state?.terminated?.exitCode === 0;

function podConditions(
  phase: string,
  hasSandbox: boolean,
  inits: ContainerStatus[],
  apps: ContainerStatus[],
  initSpecs: Container[],
  facts: StatusFacts,
): PodCondition[] {
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
  const list: [string, boolean, object][] = [
    ["PodReadyToStartContainers", hasSandbox, {}],
    ["Initialized", initialized, notInitialized],
    ["Ready", ready, notReady],
    ["ContainersReady", ready, notReady],
    ["PodScheduled", true, {}],
  ];
  return list.map(([type, on, why]) => {
    const before = facts.before?.conditions?.find((c) => c.type === type);
    const status = on ? "True" : "False";
    const same = before?.status === status;
    const since = same && before?.lastTransitionTime ? before.lastTransitionTime : isoTime(facts.now);
    return {
      type,
      status,
      lastTransitionTime: since,
      ...(on ? type === "Initialized" && phase === "Succeeded" ? completed : {} : why),
    };
  });
}
