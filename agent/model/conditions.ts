/**
 * The conditions of a pod: what it has come to, and since when. Source: the kubelet's status/generate.go. Pure. Not for:
 * phase and containers (status.ts).
 */
import { conditionAtApi } from "./api_pod.ts";
import type { PodEnd } from "./end.ts";
import type { Container, ContainerStatus, Pod, PodCondition } from "./gen/v1.ts";
import { type Need, triggerOf, usableSandbox } from "./need.ts";
import type { ObservedPod } from "./observed.ts";
import { isAlive } from "./plan_stop.ts";
import { isPodOutdated } from "./resize.ts";
import { isoTime } from "./iso_time.ts";
import type { StatusFacts } from "./status_facts.ts";

const initPassed = (s: ContainerStatus, c: Container) =>
  c.restartPolicy === "Always" ? s.started === true : s.state?.terminated?.exitCode === 0;

export function podConditions(
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
  const closed = gates.flatMap((gate) => gateMessage(pod, gate.conditionType));
  const gated = { reason: "ReadinessGatesNotReady", message: closed.join(", ") };
  const list: [string, boolean, object][] = [
    ["PodReadyToStartContainers", hasSandbox, {}],
    ["Initialized", initialized, notInitialized],
    ["Ready", ready && closed.length === 0, ready ? gated : notReady],
    ["ContainersReady", ready, notReady],
    ["PodScheduled", true, {}],
  ];
  return list.map(([type, on, why]) => {
    const reason = on ? type === "Initialized" && phase === "Succeeded" ? completed : {} : why;
    return condition(pod, type, on, reason, facts);
  });
}

/** Gates are opened by others, by conditions of the pod at the API server. In the kubelet's words. */
function gateMessage(pod: Pod, type: string): string[] {
  const status = conditionAtApi(pod, type);
  if (status === "True") return [];
  return status === undefined
    ? [`corresponding condition of pod readiness gate "${type}" does not exist.`]
    : [`the status of pod readiness gate "${type}" is not "True", but ${status}`];
}

function condition(pod: Pod, type: string, on: boolean, why: object, facts: StatusFacts): PodCondition {
  const before = facts.before?.conditions?.find((c) => c.type === type);
  const status = on ? "True" : "False";
  const same = before?.status === status;
  const since = same && before?.lastTransitionTime ? before.lastTransitionTime : isoTime(facts.now);
  const { generation } = pod.metadata ?? {};
  return {
    type,
    status,
    lastTransitionTime: since,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...why,
  };
}

/** Whether a rule has made all containers end that are to start again; only where there is such a rule. */
export function restartCondition(pod: Pod, o: ObservedPod, facts: StatusFacts): PodCondition[] {
  const all = [...pod.spec!.initContainers ?? [], ...pod.spec!.containers];
  const action = "RestartAllContainers";
  if (!all.some((c) => c.restartPolicyRules?.some((r) => r.action === action))) return [];
  const trigger = triggerOf(pod, o, facts);
  const on = trigger !== undefined && o.containers.some(isAlive);
  const message = `Container ${trigger?.name} exited with code ${trigger?.exitCode}`;
  return [
    condition(pod, "AllContainersRestarting", on, on ? { reason: "ContainerExited", message } : {}, facts),
  ];
}

/** Of a pod that the node has ended for others' sake. */
export const disruptionCondition = (pod: Pod, end: PodEnd | undefined, facts: StatusFacts): PodCondition[] =>
  end?.disruption === undefined ? [] : [
    condition(
      pod,
      "DisruptionTarget",
      true,
      { reason: "TerminationByKubelet", message: end.disruption },
      facts,
    ),
  ];

/** Only while resources change, or wait for it. */
export function resizeConditions(
  pod: Pod,
  needs: ReadonlyMap<string, Need>,
  o: ObservedPod,
  facts: StatusFacts,
): PodCondition[] {
  const { pending, memory } = facts;
  const sandbox = usableSandbox(pod, o);
  const due = [...needs.values()].some((need) => need.kind === "update") ||
    (sandbox !== undefined && isPodOutdated(pod, sandbox, memory));
  const failure = memory.failures.get("resources");
  const why = failure === undefined ? {} : { reason: "Error", message: failure.message };
  return [
    ...(pending === undefined ? [] : [condition(pod, "PodResizePending", true, pending, facts)]),
    ...(due && !facts.stopping ? [condition(pod, "PodResizeInProgress", true, why, facts)] : []),
  ];
}
