/** The kubelet's /metrics/probes. Pure. Source: kubernetes pkg/kubelet/prober/prober_manager.go. Not for: probing. */
import type { Pod } from "./gen/v1.ts";
import type { ProbeReport } from "./probe_report.ts";
import { family, type Sample } from "./resource_metrics.ts";

const title = { startup: "Startup", liveness: "Liveness", readiness: "Readiness" } as const;
const results = {
  success: "successful",
  warning: "successful",
  failure: "failed",
  unknown: "unknown",
} as const;

/** Prometheus text. @param startedAt of the agent, in ms. */
export function probeMetrics(
  pods: readonly Pod[],
  reports: (uid: string) => readonly ProbeReport[],
  startedAt: number,
): string {
  const samples = pods.flatMap((pod): Sample[] => {
    const { name = "", namespace = "", uid = "" } = pod.metadata ?? {};
    return reports(uid).flatMap(({ container, kind, counts = {} }) => {
      const sums = new Map<string, number>();
      for (const outcome of ["success", "warning", "failure", "unknown"] as const) {
        const result = results[outcome];
        if (counts[outcome] !== undefined) sums.set(result, (sums.get(result) ?? 0) + counts[outcome]);
      }
      const labels = { container, namespace, pod: name, pod_uid: uid, probe_type: title[kind] };
      return [...sums].map(([result, count]): Sample => [{ ...labels, result }, count]);
    });
  });
  const help =
    "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.";
  return family(
    "process_start_time_seconds",
    "gauge",
    "[ALPHA] Start time of the process since unix epoch in seconds.",
    [
      [{}, startedAt / 1000],
    ],
  ) + family("prober_probe_total", "counter", help, samples);
}
