/**
 * Lifecycle hooks: what is asked when a container has started (postStart) or before it is told to end (preStop), and what
 * a hook leaves of the termination grace. Pure. Source: core/v1 LifecycleHandler, the kubelet's pkg/kubelet/lifecycle.
 * Not for: doing it (reconcile/hooks.ts), when it is due (need.ts, plan_stop.ts).
 */
import type { ContainerPort, LifecycleHandler, Pod } from "./gen/v1.ts";
import type { ObservedContainer } from "./observed.ts";
import { type ProbeTarget, probeTarget } from "./probe_target.ts";

/** A hook as the manifest says it, with what its words may refer to. */
export interface Hook {
  handler: LifecycleHandler;
  ports?: ContainerPort[];
}

export type HookTarget = ProbeTarget | { kind: "sleep"; seconds: number };

const userAgent = { name: "User-Agent", value: "kube-lifecycle/1.36" };

/** Commands run as they are: no `$(VAR)` is expanded in them. Any answer of a web server is a success. */
export function hookTarget({ handler, ports = [] }: Hook, podIP: string | undefined): HookTarget {
  const { exec, sleep, ...network } = handler;
  if (exec !== undefined) return { kind: "exec", command: exec.command ?? [] };
  if (sleep !== undefined) return { kind: "sleep", seconds: sleep.seconds };
  const target = probeTarget(network, { name: "", ports }, podIP);
  if (target.kind !== "http") return target;
  const named = target.headers.some((h) => h.name.toLowerCase() === "user-agent");
  return { ...target, headers: named ? target.headers : [userAgent, ...target.headers], anyStatus: true };
}

/** Every container has at least this long to end after its stop signal, in seconds. */
export const leastGrace = 2;

/** @param spentMs by the hook @returns seconds between stop signal and kill */
export const graceAfter = (graceSeconds: number, spentMs: number): number =>
  Math.max(leastGrace, graceSeconds - Math.floor(spentMs / 1000));

/** What the newest manifest says, and where it knows no such container, what the container itself bears. */
export function preStopOf(pod: Pod | undefined, c: ObservedContainer): Hook | undefined {
  const { initContainers = [], containers = [] } = pod?.spec ?? { containers: [] };
  const known = [...initContainers, ...containers].find((spec) => spec.name === c.name);
  const handler = known === undefined ? c.preStop : known.lifecycle?.preStop;
  return handler && { handler, ports: (known === undefined ? c.ports : known.ports) ?? [] };
}
