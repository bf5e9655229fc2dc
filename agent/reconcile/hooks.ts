/**
 * Runs lifecycle hooks, and stops a container once its preStop hook is over. A hook's failure ends nothing here: it is told
 * as an event, and the planner decides. Not for: which hook is due (model/need.ts, model/plan_stop.ts).
 */
import type { Host, Prober, Runtime, Storage } from "../ports.ts";
import type { Step } from "../model/plan.ts";
import { nothing, type StepResult } from "../model/memory.ts";
import { graceAfter, type Hook, hookTarget, leastGrace } from "../model/hook.ts";
import { errorText } from "../model/errors.ts";
import type { RecordEvent } from "./images.ts";

export interface HookOptions {
  host: Pick<Host, "monotonic" | "sleep">;
  runtime: Pick<Runtime, "execSync" | "stopContainer">;
  storage: Pick<Storage, "keepNote">;
  prober: Prober;
}

/** The pod whose container has the hook. */
export interface HookPlace {
  uid: string;
  /** Its address, the node's where it uses the host's network. */
  podIP: string | undefined;
  record: RecordEvent;
  preStops: PreStops;
}

/** PreStop hooks that run, by id of the container: whether it has used up the grace once it is over. */
export type PreStops = Map<string, Promise<boolean>>;

/** A hook that nothing limits may take this long, in seconds. */
const unlimited = 24 * 60 * 60;

/** Which containers have a postStart hook that has not succeeded, as notes on the pod: the next agent runs it again. */
export const postStartNote = (container: string): string => `post-start.${container}`;

/** Why it failed, without what a command or server said: that may be secret. undefined: it succeeded. */
async function runHook(
  o: HookOptions,
  id: string,
  hook: Hook,
  podIP: string | undefined,
  seconds: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const target = hookTarget(hook, podIP);
  switch (target.kind) {
    case "error":
      return target.message;
    case "sleep":
      await o.host.sleep(Math.min(target.seconds, seconds) * 1000, signal);
      signal.throwIfAborted();
      return target.seconds > seconds ? `it did not end within ${seconds}s` : undefined;
    case "exec": {
      const { exitCode } = await o.runtime.execSync(id, target.command, seconds, signal);
      if (exitCode === 0) return undefined;
      return exitCode === undefined
        ? `the command did not end within ${seconds}s`
        : `the command ended with exit code ${exitCode}`;
    }
    default: {
      const { outcome, message } = await o.prober.ask(target, seconds * 1000, signal);
      return outcome === "failure" || outcome === "unknown" ? message : undefined;
    }
  }
}

/** As `runHook`; what goes wrong on the way is a failure, too. Throws only when the signal aborts. */
async function failureOf(...[o, id, hook, podIP, seconds, signal]: Parameters<typeof runHook>) {
  try {
    return await runHook(o, id, hook, podIP, seconds, signal);
  } catch (error) {
    signal.throwIfAborted();
    return errorText(error);
  }
}

/**
 * Begins a hook, which is over, at the latest, with the grace; a command that goes on then is left to end with its
 * container, as with the kubelet.
 * @returns whether it has used up the grace
 */
export function beginPreStop(
  o: HookOptions,
  at: HookPlace,
  step: { container: string; containerId: string; graceSeconds: number },
  hook: Hook,
  signal: AbortSignal,
): Promise<boolean> {
  const { container, containerId: id, graceSeconds } = step;
  const ended = new AbortController();
  const overdue = o.host.sleep(graceSeconds * 1000, AbortSignal.any([signal, ended.signal]))
    .then(() => ({ isOver: true, failure: `it did not end within ${graceSeconds}s` }));
  const ends = failureOf(o, id, hook, at.podIP, graceSeconds + leastGrace, signal)
    .then((failure) => ({ isOver: false, failure }));
  const run = Promise.race([ends, overdue]).then(({ isOver, failure }) => {
    if (failure !== undefined) {
      at.record("Warning", "FailedPreStopHook", `PreStopHook failed: ${failure}`, container);
    }
    return isOver;
  }).finally(() => {
    ended.abort();
    at.preStops.delete(id);
  });
  run.catch(() => {}); // a stop that waits for it is told, too
  at.preStops.set(id, run);
  return run;
}

/**
 * Hook, stop signal, and a kill when the grace is over. Of a pod that ends, whoever is left is to be stopped together once
 * a hook has used up their grace: that is told instead of doing it.
 */
export async function stopContainer(
  o: HookOptions,
  at: HookPlace,
  step: Extract<Step, { kind: "stopContainer" }>,
  signal: AbortSignal,
): Promise<StepResult> {
  const { containerId: id, graceSeconds, preStop, ofPod } = step;
  const begun = o.host.monotonic();
  const hook = preStop === undefined ? at.preStops.get(id) : beginPreStop(o, at, step, preStop, signal);
  const isOver = await hook?.catch(() => false); // one that an earlier wish has cut off
  signal.throwIfAborted();
  if (isOver === true && ofPod === true && graceSeconds > 0) return { kind: "graceOver" };
  await o.runtime.stopContainer(id, graceAfter(graceSeconds, o.host.monotonic() - begun), signal);
  return nothing;
}

export async function runPostStart(
  o: HookOptions,
  at: HookPlace,
  step: Extract<Step, { kind: "postStart" }>,
  signal: AbortSignal,
): Promise<StepResult> {
  const { container, containerId } = step;
  const failure = await failureOf(o, containerId, step.hook, at.podIP, unlimited, signal);
  if (failure !== undefined) {
    const message = `PostStartHook failed: ${failure}`;
    at.record("Warning", "FailedPostStartHook", message, container);
    return { kind: "postStart", containerId, hook: { kind: "failed", message } };
  }
  await o.storage.keepNote(at.uid, postStartNote(container), undefined);
  return { kind: "postStart", containerId, hook: undefined };
}
