/**
 * A runtime that makes few sandboxes at a time: when many pods come at once, each is up as soon as it can be, instead of
 * all of them at the end. Not for: pulls, which have a bound of their own.
 */
import type { Runtime } from "../ports.ts";
import { createGate } from "../lib/gate.ts";

/** Pods on the host's network wait for nobody: what brings the network to the others may be among them. */
export function boundSandboxes(runtime: Runtime, atOnce: number): Runtime {
  const gate = createGate(atOnce);
  return {
    ...runtime,
    runPodSandbox: (spec, signal) =>
      spec.pod.spec?.hostNetwork === true
        ? runtime.runPodSandbox(spec, signal)
        : gate.run(() => runtime.runPodSandbox(spec, signal), signal),
  };
}
