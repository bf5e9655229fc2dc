/**
 * Runs lifecycle hooks, and stops a container with its preStop hook first. A hook's failure ends nothing here: it is told
 * as an event, and the planner decides. Not for: which hook is due (model/need.ts, model/plan_stop.ts).
 */
import type { Host, Prober, Runtime, Storage } from "../ports.ts";
import type { Step } from "../model/plan.ts";
import type { StepResult } from "../model/memory.ts";
import { graceAfter, type Hook, hookTarget } from "../model/hook.ts";
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
}

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

/** @returns what the hook took of the grace, in ms */
export async function runPreStop(
  o: HookOptions,
  at: HookPlace,
  step: { container: string; containerId: string; graceSeconds: number },
  hook: Hook,
  signal: AbortSignal,
): Promise<number> {
  const begun = o.host.monotonic();
  const failure = await failureOf(o, step.containerId, hook, at.podIP, step.graceSeconds, signal);
  if (failure !== undefined) {
    at.record("Warning", "FailedPreStopHook", `PreStopHook failed: ${failure}`, step.container);
  }
  return o.host.monotonic() - begun;
}

/** Hook, stop signal, and a kill when the grace is over. */
export async function stopContainer(
  o: HookOptions,
  at: HookPlace,
  step: Extract<Step, { kind: "stopContainer" }>,
  signal: AbortSignal,
): Promise<void> {
  const spent = step.preStop === undefined ? 0 : await runPreStop(o, at, step, step.preStop, signal);
  await o.runtime.stopContainer(step.containerId, graceAfter(step.graceSeconds, spent), signal);
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
