/** /metrics/probes. */
import { assertStringIncludes } from "@std/assert";
import { probeMetrics } from "../../../../agent/model/probe_metrics.ts";

Deno.test("answers of probes are counted by result; a warning is a success", () => {
  const pods = [{ metadata: { name: "web", namespace: "default", uid: "u" } }];
  const text = probeMetrics(
    pods,
    () => [{ container: "main", kind: "liveness", counts: { success: 2, warning: 1, failure: 4 } }],
    2_000,
  );
  const labels = `container="main",namespace="default",pod="web",pod_uid="u",probe_type="Liveness"`;
  assertStringIncludes(text, `prober_probe_total{${labels},result="successful"} 3\n`);
  assertStringIncludes(text, `prober_probe_total{${labels},result="failed"} 4\n`);
  assertStringIncludes(text, "process_start_time_seconds 2\n");
});
