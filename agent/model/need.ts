/**
 * What each container of a pod that should run needs now: a judgement on its newest record. Not for: which steps follow
 * from it (plan_start.ts).
 */
import { attemptsOnRecord, isOfApi, restsOnRecord } from "./api_pod.ts";
import type { Container, Pod } from "./gen/v1.ts";
import type { Facts } from "./plan.ts";
import type { ObservedContainer, ObservedPod, ObservedSandbox } from "./observed.ts";
import { containerHash, sandboxHash } from "./hash.ts";
import type { Hook } from "./hook.ts";
import type { FailedProbe } from "./probe.ts";
import { resizeOf } from "./resize.ts";
import { runtimeHandlerOf } from "./runtime_class.ts";
import { isGivenUp, isSidecar, nextStart, restartPolicyOf, restartsAfter, ruleFor } from "./restart.ts";
import { endedOf } from "./spans.ts";

/** What one container of the manifest needs now. */
export type Need =
  | { kind: "nothing" }
  /** Ended, and its policy lets it rest. */
  | { kind: "done"; exitCode: number }
  | { kind: "start"; attempt: number; backOff: number; at: number; run: number }
  /** To be stopped; with `successor`, an attempt, only when all that can fail before it starts has succeeded. */
  | { kind: "replace"; observed: ObservedContainer; why: string; successor?: number }
  /** Runs, but a startup or liveness probe, or its postStart hook, has failed. */
  | { kind: "fail"; observed: ObservedContainer; why: string; probe?: FailedProbe; restarts: boolean }
  /** Runs, but its postStart hook is still to be run: it counts as not there yet. */
  | { kind: "postStart"; observed: ObservedContainer; hook: Hook }
  /** Runs, but its startup probe has not succeeded yet. */
  | { kind: "starting" }
  | { kind: "discard"; observed: ObservedContainer }
  | { kind: "update"; containerId: string };

/** Everything whose change makes a new pod of it: the sandbox, and the init containers, which run before all else. */
export function wantedSandboxHash(pod: Pod): string {
  const inits = (pod.spec?.initContainers ?? []).filter((c) => !isSidecar(c));
  return [sandboxHash(pod), ...inits.map((c) => containerHash(pod, c))].join(".");
}

export const newestOf = (o: ObservedPod, name: string): ObservedContainer | undefined =>
  o.containers.filter((c) => c.name === name).sort((a, b) => b.attempt - a.attempt)[0];

/** How often the pod as a whole has been restarted in place. */
export const runOf = (o: ObservedPod): number => Math.max(0, ...o.containers.map((c) => c.run ?? 0));

const ended = (c: ObservedContainer, action: "RestartAllContainers", container: Container): boolean =>
  c.state === "exited" && ruleFor(container, c.exitCode ?? 137) === action;

/** The container whose exit makes all others start again by one of its rules. */
export function triggerOf(pod: Pod, o: ObservedPod, facts: Facts): ObservedContainer | undefined {
  const { initContainers = [], containers } = pod.spec!;
  const run = runOf(o);
  for (const container of [...initContainers, ...containers]) {
    if (container.restartPolicyRules === undefined) continue;
    const c = newestOf(o, container.name);
    if (c === undefined || (c.run ?? 0) < run || !ended(c, "RestartAllContainers", container)) continue;
    if (!wasCutOff(c, facts) && c.hash === containerHash(pod, container)) return c;
  }
  return undefined;
}

/** The run that the pod should be in: its containers of earlier ones are to go, and everything starts again in order. */
export function wantedRun(pod: Pod, o: ObservedPod, facts: Facts): number {
  const now = runOf(o);
  return Math.max(now, facts.memory.asked.run, triggerOf(pod, o, facts) === undefined ? 0 : now + 1);
}

/** Whether a container is to be replaced by request, whatever its state and its policy say. */
const isOutdated = (c: ObservedContainer, pod: Pod, o: ObservedPod, facts: Facts): boolean =>
  (c.run ?? 0) < wantedRun(pod, o, facts) || facts.memory.asked.restart.has(c.id);

/**
 * Whether a start was cut off because the agent that asked for it died. That is nobody's exit, and no restart policy
 * judges it; a start that failed for this agent, however it failed, is another matter.
 */
export const wasCutOff = (c: ObservedContainer, facts: Facts): boolean =>
  isGivenUp(c) && !facts.memory.failures.has(`container:${c.name}`);

/** The newest sandbox, where it is as the manifest asks. */
export const sameSandbox = (pod: Pod, o: ObservedPod): ObservedSandbox | undefined =>
  fits(o.sandboxes[0], pod) ? o.sandboxes[0] : undefined;

/**
 * Whether a sandbox is what the pod asks for. A class that is not described any more changes nothing; a pod of the API
 * server never asks for another one.
 */
export function fits(sandbox: ObservedSandbox | undefined, pod: Pod): boolean {
  if (isOfApi(pod)) return sandbox !== undefined;
  const handler = runtimeHandlerOf(pod);
  return sandbox?.hash === wantedSandboxHash(pod) &&
    (!pod.spec?.runtimeClassName || handler === undefined || sandbox.runtimeHandler === handler);
}

export function usableSandbox(pod: Pod, o: ObservedPod): ObservedSandbox | undefined {
  const newest = sameSandbox(pod, o);
  return newest?.ready === true ? newest : undefined;
}

/** A failed probe makes any exit a failure: what is told to end may well end with success. */
const exitOf = (c: ObservedContainer, facts: Facts): { code: number; failed: boolean } => ({
  code: c.exitCode ?? 137,
  failed: facts.probes.get(c.id)?.failed !== undefined,
});

const startAfter = (exited: ObservedContainer, { spans, steady, backOff, now }: Facts) =>
  nextStart(exited, backOff, now, spans && endedOf(spans.get(exited.id), steady));

/** The first start in a new run: after what made all start again has waited for its back-off, unless somebody asked. */
function startAnew(pod: Pod, container: Container, o: ObservedPod, facts: Facts): Need {
  const c = newestOf(o, container.name);
  const run = wantedRun(pod, o, facts);
  const attempt = c === undefined ? attemptsOnRecord(pod, container.name) : c.attempt + 1;
  const start = { kind: "start", attempt, backOff: 0, at: 0, run } as const;
  const trigger = facts.memory.asked.run === run ? undefined : triggerOf(pod, o, facts);
  const at = trigger === undefined ? 0 : startAfter(trigger, facts).at;
  if (c === undefined || !ended(c, "RestartAllContainers", container)) return { ...start, at };
  return { ...start, at, backOff: startAfter(c, facts).backOff };
}

function needOfRunning(
  pod: Pod,
  container: Container,
  isInit: boolean,
  c: ObservedContainer,
  o: ObservedPod,
  facts: Facts,
): Need {
  const verdict = facts.probes.get(c.id);
  const restarts = restartPolicyOf(pod.spec!, container, isInit) !== "Never";
  const hook = facts.memory.postStart.get(c.id);
  if (hook?.kind === "failed") return { kind: "fail", observed: c, why: hook.message, restarts };
  if (verdict?.failed !== undefined) {
    const { kind, message } = verdict.failed;
    const why = `failed ${kind} probe: ${message}`;
    return { kind: "fail", observed: c, why, probe: verdict.failed, restarts };
  }
  if (c.hash !== containerHash(pod, container)) {
    return { kind: "replace", observed: c, why: "its definition changed", successor: c.attempt + 1 };
  }
  if (isOutdated(c, pod, o, facts)) {
    return { kind: "replace", observed: c, why: "a restart was asked for", successor: c.attempt + 1 };
  }
  // It counts as any restart: after the exit the back-off decides when the next one starts.
  if (restarts && facts.ailing?.has(c.name) === true) {
    const why = "a device of it is unhealthy";
    return { kind: "replace", observed: c, why, successor: c.attempt + 1 };
  }
  const handler = container.lifecycle?.postStart;
  if (hook !== undefined && handler !== undefined) {
    return { kind: "postStart", observed: c, hook: { handler, ports: container.ports ?? [] } };
  }
  const resize = resizeOf(container, isInit, c, facts.memory);
  if (resize === "restart") {
    return { kind: "replace", observed: c, why: "its resize requires a restart", successor: c.attempt + 1 };
  }
  if (resize === "inPlace") return { kind: "update", containerId: c.id };
  return verdict?.started === false ? { kind: "starting" } : { kind: "nothing" };
}

/** Whether a running container's postStart hook is still to run: to others it is not there yet. */
export function isUngreeted(
  pod: Pod | undefined,
  c: ObservedContainer,
  { postStart }: Facts["memory"],
): boolean {
  if (postStart.get(c.id)?.kind !== "pending") return false;
  const all = [...pod?.spec?.initContainers ?? [], ...pod?.spec?.containers ?? []];
  return all.some((spec) => spec.name === c.name && spec.lifecycle?.postStart !== undefined);
}

/** Decides for one container, given the sandbox it should live in (undefined: a new one is about to come). */
export function needOf(
  pod: Pod,
  container: Container,
  isInit: boolean,
  sandbox: ObservedSandbox | undefined,
  o: ObservedPod,
  facts: Facts,
): Need {
  const c = newestOf(o, container.name);
  const run = wantedRun(pod, o, facts);
  if (c === undefined) {
    const exitCode = restsOnRecord(pod, container, isInit);
    return exitCode === undefined ? startAnew(pod, container, o, facts) : { kind: "done", exitCode };
  }
  const fresh = { kind: "start", attempt: c.attempt + 1, backOff: 0, at: 0, run } as const;
  const here = sandbox !== undefined && c.sandboxId === sandbox.id;
  const exit = exitOf(c, facts);
  const rests = !restartsAfter(pod.spec!, container, isInit, exit);
  // The API server lets nothing run again that rests: another image is for what runs.
  const changed = c.hash !== containerHash(pod, container) && !(rests && isOfApi(pod));
  if (c.state === "running") {
    return here
      ? needOfRunning(pod, container, isInit, c, o, facts)
      : { kind: "replace", observed: c, why: "its sandbox changed" };
  }
  if (c.state === "unknown") return { kind: "replace", observed: c, why: "the runtime lost sight of it" };
  // What a crash left between creation and start may lack its pipes after a restart of the runtime: it is made anew.
  if (c.state === "created") return { kind: "discard", observed: c };
  if (changed || facts.memory.asked.restart.has(c.id)) return fresh;
  if (isOutdated(c, pod, o, facts)) return startAnew(pod, container, o, facts);
  if (wasCutOff(c, facts)) return { kind: "discard", observed: c };
  if (isInit && !isSidecar(container) && exit.code === 0 && !here) return fresh;
  if (rests) return { kind: "done", exitCode: exit.failed ? 137 : exit.code };
  return here ? { ...fresh, ...startAfter(c, facts) } : fresh;
}

export interface Assessment {
  /** The containers that may act now, with what they need. */
  needs: { container: Container; need: Need }[];
  /** Of every container, by name. */
  all: ReadonlyMap<string, Need>;
  /** Nothing will ever run again unless the manifest changes. */
  finished: boolean;
}

/** Init containers one by one, sidecars among them; then all others. */
export function assess(
  pod: Pod,
  sandbox: ObservedSandbox | undefined,
  o: ObservedPod,
  facts: Facts,
): Assessment {
  const spec = pod.spec!;
  const need = (container: Container, isInit: boolean) => ({
    container,
    need: needOf(pod, container, isInit, sandbox, o, facts),
  });
  const inits = (spec.initContainers ?? []).map((c) => need(c, true));
  const apps = spec.containers.map((c) => need(c, false));
  const initialized = sandbox !== undefined && spec.containers.some(({ name }) => {
    const c = newestOf(o, name);
    return c?.sandboxId === sandbox.id && (c.run ?? 0) >= wantedRun(pod, o, facts);
  });
  const failedInit = !initialized && inits.some(({ need }) => need.kind === "done" && need.exitCode !== 0);
  const finished = failedInit || apps.every(({ need }) => need.kind === "done");
  const all = new Map([...inits, ...apps].map(({ container, need }) => [container.name, need]));
  if (initialized) return { needs: [...inits.filter((e) => isSidecar(e.container)), ...apps], all, finished };
  const open = inits.findIndex((e) => e.need.kind !== (isSidecar(e.container) ? "nothing" : "done"));
  return { needs: open < 0 ? [...inits, ...apps] : inits.slice(0, open + 1), all, finished };
}
