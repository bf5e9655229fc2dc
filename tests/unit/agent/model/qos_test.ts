import { assertEquals } from "@std/assert";
import type { Container, Pod, ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import {
  cpuQuota,
  cpuShares,
  cpuWeight,
  oomScoreAdj,
  podCgroup,
  podCgroupLimits,
  podResources,
  qosClass,
  sharesOfWeight,
} from "../../../../agent/model/qos.ts";

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

Deno.test("cgroup names of both drivers", () => {
  const uid = "a1-b2";
  assertEquals(podCgroup("/", "Guaranteed", uid, "cgroupfs"), "/kubepods/poda1-b2");
  assertEquals(podCgroup("/", "Burstable", uid, "cgroupfs"), "/kubepods/burstable/poda1-b2");
  assertEquals(podCgroup("/mine", "BestEffort", uid, "cgroupfs"), "/mine/kubepods/besteffort/poda1-b2");
  assertEquals(
    podCgroup("/", "Burstable", uid, "systemd"),
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda1_b2.slice",
  );
  assertEquals(
    podCgroup("/mi-ne", "Guaranteed", uid, "systemd"),
    "/mi_ne.slice/mi_ne-kubepods.slice/mi_ne-kubepods-poda1_b2.slice",
  );
});

Deno.test("limits of the pod's cgroup hold only when all containers declare them", () => {
  assertEquals(podCgroupLimits(podOf([container({})])), { cpuShares: 2 });
  assertEquals(podCgroupLimits(podOf([container(both("500m", "64Mi")), container(both("1", "64Mi"))])), {
    cpuShares: 1536,
    cpuQuota: 150_000,
    cpuPeriod: 100_000,
    memory: 128 * 2 ** 20,
  });
  assertEquals(
    podCgroupLimits(
      podOf([container({ limits: { memory: "64Mi" } }), container({ requests: { cpu: "250m" } })]),
    ),
    { cpuShares: 256 },
  );
});

Deno.test("arithmetic of shares, quota and weight", () => {
  assertEquals([0, 0.001, 0.1, 1, 1e6].map(cpuShares), [2, 2, 102, 1024, 262_144]);
  assertEquals([0, 0.001, 0.5, 2].map(cpuQuota), [undefined, 1000, 50_000, 200_000]);
  assertEquals([2, 1024, 262_144].map(cpuWeight), [1, 39, 10_000]);
  for (const weight of [1, 2, 39, 100, 9_999, 10_000]) {
    assertEquals(cpuWeight(sharesOfWeight(weight)), weight);
  }
});
