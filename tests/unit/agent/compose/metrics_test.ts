/** /metrics: what dashboards and alerts look for by the kubelet's names. */
import { assertMatch } from "@std/assert";
import { createMetricsPage } from "../../../../agent/compose/metrics.ts";
import { createMetrics } from "../../../../agent/lib/metrics.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";

Deno.test("pods by where they come from and whether they have ended, the version, the process itself", async () => {
  const store = createStatusStore();
  const put = (uid: string, source: string, phase: string) =>
    store.putPod({
      metadata: {
        name: uid,
        namespace: "default",
        uid,
        annotations: { "kubernetes.io/config.source": source },
      },
      spec: { containers: [] },
      status: { phase },
    });
  put("a", "file", "Running");
  put("b", "api", "Running");
  put("c", "api", "Succeeded");
  const volumes = { look: () => Promise.resolve(new Map()) };
  const page = createMetricsPage({
    metrics: createMetrics(),
    store,
    volumes,
    nodeName: "box",
    startedAt: 1000,
  });
  const text = await page(new AbortController().signal);
  for (
    const line of [
      'kubelet_node_name{node="box"} 1',
      "kubelet_running_pods 2",
      'kubelet_desired_pods{static="true"} 1',
      'kubelet_desired_pods{static="false"} 2',
      'kubelet_active_pods{static="false"} 1',
      "process_start_time_seconds 1",
    ]
  ) assertMatch(text, new RegExp(`^${line}$`, "m"));
  assertMatch(text, /^kubernetes_build_info\{.*git_version="v1\.\d+\..*platform="linux\/[a-z0-9]+"\} 1$/m);
  for (const name of ["open_fds", "max_fds", "virtual_memory_bytes", "resident_memory_bytes"]) {
    assertMatch(text, new RegExp(`^process_${name} [1-9]`, "m"));
  }
});
