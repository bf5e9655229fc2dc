/** A Prober that answers what a test says, and counts the questions; default every question is answered well. */
import type { Host, Prober, Runtime } from "../../agent/ports.ts";
import type { ProbeResult } from "../../agent/model/probe.ts";
import type { NetworkTarget } from "../../agent/model/probe_target.ts";
import { createGate } from "../../agent/lib/gate.ts";
import type { ProbeOptions } from "../../agent/reconcile/probes.ts";

export type Answer = (target: NetworkTarget) => ProbeResult | Promise<ProbeResult>;

const well: Answer = () => ({ outcome: "success", message: "" });

export function createFakeProber(answer: Answer = well): Prober & { asked: NetworkTarget[] } {
  const asked: NetworkTarget[] = [];
  return {
    asked,
    async ask(target, _timeoutMs, signal) {
      asked.push(target);
      const ended = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true })
      );
      return await Promise.race([answer(target), ended]);
    },
  };
}

/** What a worker needs for its probes, without jitter. */
export const probeOptions = (host: Host, runtime: Runtime, answer?: Answer): ProbeOptions => ({
  host,
  runtime,
  prober: createFakeProber(answer),
  places: { exec: createGate(4), network: createGate(4) },
  hostIPs: ["192.0.2.1"],
  jitter: () => 0,
});
