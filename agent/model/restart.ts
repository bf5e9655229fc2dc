/**
 * Restart policy and back-off, as arithmetic on values. Source: the kubelet's crash-loop back-off (10 s doubling to
 * 300 s, forgotten after 10 minutes of running). Not for: timers.
 */
import type { Container, PodSpec } from "./gen/v1.ts";
import type { ObservedContainer } from "./observed.ts";
import type { Reason } from "./errors.ts";
import type { Ended } from "./spans.ts";

/** All in milliseconds. */
export interface BackOffConfig {
  base: number;
  cap: number;
  /** A container that ran this long starts a new history. */
  resetAfter: number;
}

export const defaultBackOff: BackOffConfig = { base: 10_000, cap: 300_000, resetAfter: 600_000 };

export type RestartPolicy = "Always" | "OnFailure" | "Never";

export const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/**
 * The policy that rules one container, its own before the pod's: sidecars always restart, other init containers never
 * after success.
 */
export function restartPolicyOf(spec: PodSpec, container: Container, isInit: boolean): RestartPolicy {
  if (isInit && isSidecar(container)) return "Always";
  const policy = (container.restartPolicy ?? spec.restartPolicy ?? "Always") as RestartPolicy;
  return isInit && policy === "Always" ? "OnFailure" : policy;
}

const shouldRestart = (policy: RestartPolicy, exitCode: number): boolean =>
  policy === "Always" || (policy === "OnFailure" && exitCode !== 0);

export type RuleAction = "Restart" | "RestartAllContainers";

/** What the first of a container's rules that knows this exit code says; undefined: its policy decides. */
export function ruleFor({ restartPolicyRules = [] }: Container, exitCode: number): RuleAction | undefined {
  const rule = restartPolicyRules.find(({ exitCodes }) =>
    exitCodes !== undefined && (exitCodes.values ?? []).includes(exitCode) === (exitCodes.operator === "In")
  );
  return rule?.action as RuleAction | undefined;
}

/** @param failed it did not end by itself: a failure whatever the exit code */
export function restartsAfter(
  spec: PodSpec,
  container: Container,
  isInit: boolean,
  exit: { code: number; failed: boolean },
): boolean {
  const succeeded = exit.code === 0 && !exit.failed;
  if (isInit && !isSidecar(container) && succeeded) return false;
  if (ruleFor(container, exit.code) !== undefined) return true;
  return shouldRestart(restartPolicyOf(spec, container, isInit), succeeded ? 0 : exit.code || 137);
}

/** Whether the runtime gave the container's start up before its program began: nobody waited for it any more. */
export const isGivenUp = (c: ObservedContainer): boolean =>
  c.state === "exited" && c.startedAt === undefined && c.reason === "StartError" &&
  /context canceled|signal: killed/.test(c.message ?? "");

const step = (backOff: number, c: BackOffConfig) => Math.min(c.cap, backOff === 0 ? c.base : backOff * 2);

/** As the wall clock tells it: an exit that lies in the future was before the clock was set back, long ago or not. */
function endedByWallClock(exited: ObservedContainer, now: number): Ended {
  const finished = exited.finishedAt ?? exited.createdAt;
  const ran = finished - (exited.startedAt ?? finished);
  return { ran, ago: finished > now + clockSlack ? Infinity : now - finished };
}

/** An exit that lies further in the future than this was before the clock was set back. */
const clockSlack = 1_000;

/**
 * When may a container that exited start again, and how long will its successor wait after its own exit?
 * @param ended by a clock that does not jump, where that is known
 */
export function nextStart(
  exited: ObservedContainer,
  c: BackOffConfig,
  now: number,
  ended: Ended = endedByWallClock(exited, now),
): { at: number; backOff: number } {
  if (ended.ran >= c.resetAfter) return { at: now - Math.max(0, ended.ago), backOff: step(0, c) };
  const wait = Math.min(exited.backOff, c.cap);
  return { at: now + wait - ended.ago, backOff: step(wait, c) };
}

/** A step that failed, and when it may be tried again. */
export interface Failure {
  reason: Reason;
  message: string;
  count: number;
  /** Monotonic ms. */
  retryAt: number;
}

export const isDue = (failure: Failure, steady: number): boolean => failure.retryAt <= steady;

/** Registries are asked more rarely than the runtime on this machine. */
const failureBackOff = (reason: Reason): { base: number; cap: number } =>
  reason === "ErrImagePull" || reason === "ErrImageNeverPull" || reason === "InvalidImageName"
    ? { base: 10_000, cap: 300_000 }
    : { base: 1_000, cap: 60_000 };

export function nextFailure(
  before: Failure | undefined,
  steady: number,
  reason: Reason,
  message: string,
): Failure {
  const count = (before?.count ?? 0) + 1;
  const { base, cap } = failureBackOff(reason);
  return {
    reason,
    message,
    count,
    retryAt: steady + Math.min(cap, base * 2 ** Math.min(count - 1, 20)),
  };
}
