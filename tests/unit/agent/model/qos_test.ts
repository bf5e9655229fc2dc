import { assertEquals } from "@std/assert";
import type { Container, Pod, ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import { oomScoreAdj, podResources, qosClass } from "../../../../agent/model/qos.ts";

const container = (resources: ResourceRequirements, extra: Partial<Container> = {}): Container => ({
  name: "c",
  resources,
  ...extra,
});
const podOf = (containers: Container[], extra: Partial<NonNullable<Pod["spec"]>> = {}): Pod => ({
  metadata: { name: "p" },
  spec: { containers, ...extra },
});
const both = (cpu: string, memory: string): ResourceRequirements => ({ limits: { cpu, memory } });

Deno.test("the class follows requests and limits", () => {
  assertEquals(qosClass(podOf([container({})])), "BestEffort");
  assertEquals(qosClass(podOf([container({ limits: { "example.com/gpu": "1" } })])), "BestEffort");
  assertEquals(qosClass(podOf([container({ requests: { cpu: "0" } })])), "BestEffort");
  assertEquals(qosClass(podOf([container(both("1", "1Gi"))])), "Guaranteed");
  assertEquals(
    qosClass(
      podOf([
        container({ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1000m", memory: "1024Mi" } }),
      ]),
    ),
    "Guaranteed",
  );
  assertEquals(
    qosClass(podOf([container({ ...both("1", "1Gi"), requests: { cpu: "500m" } })])),
    "Burstable",
  );
  assertEquals(qosClass(podOf([container(both("1", "1Gi")), container({})])), "Burstable");
  assertEquals(qosClass(podOf([container({ limits: { memory: "1Gi" } })])), "Burstable");
  assertEquals(
    qosClass(
      podOf([container(both("1", "1Gi"))], { initContainers: [container({ requests: { cpu: "1" } })] }),
    ),
    "Burstable",
  );
  assertEquals(qosClass(podOf([container({})], { resources: both("1", "1Gi") })), "Guaranteed");
});

Deno.test("a pod needs its containers and sidecars together, or its hungriest init container", () => {
  const pod = podOf([container({ requests: { cpu: "300m", memory: "10Mi" } })], {
    initContainers: [
      container({ requests: { cpu: "100m" } }, { restartPolicy: "Always" }),
      container({ requests: { cpu: "700m" } }),
      container({ requests: { cpu: "50m" } }, { restartPolicy: "Always" }),
    ],
    overhead: { cpu: "10m" },
  });
  const { requests } = podResources(pod);
  assertEquals(Math.round((requests["cpu"] ?? 0) * 1000), 810);
  assertEquals(requests["memory"], 10 * 2 ** 20);
});

Deno.test("oom_score_adj", () => {
  const gi = 2 ** 30;
  const burstable = container({ requests: { memory: "1Gi" } });
  assertEquals(oomScoreAdj(podOf([container(both("1", "1Gi"))]), container(both("1", "1Gi")), gi), -997);
  assertEquals(oomScoreAdj(podOf([container({})]), container({}), gi), 1000);
  assertEquals(oomScoreAdj(podOf([burstable]), burstable, 10 * gi), 900);
  assertEquals(oomScoreAdj(podOf([burstable]), burstable, gi), 3);
  const tiny = container({ requests: { cpu: "1m" } });
  assertEquals(oomScoreAdj(podOf([tiny]), tiny, gi), 999);
  assertEquals(oomScoreAdj(podOf([tiny], { priority: 2_000_001_000 }), tiny, gi), -997);
  const sidecar = container({}, { name: "s", restartPolicy: "Always" });
  assertEquals(oomScoreAdj(podOf([burstable], { initContainers: [sidecar] }), sidecar, 10 * gi), 900);
});
