import { assertEquals } from "@std/assert";
import {
  cpuQuota,
  cpuShares,
  cpuWeight,
  defaultCpuPolicy,
  sharesOfWeight,
} from "../../../../agent/model/cpu.ts";
import type { Container, Pod, PodSpec, ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import { podCgroup, podCgroupLimits, roomForBoth } from "../../../../agent/model/pod_cgroup.ts";

const container = (resources: ResourceRequirements, more: Partial<Container> = {}): Container => ({
  name: "c",
  resources,
  ...more,
});
const podOf = (containers: Container[], more: Partial<PodSpec> = {}): Pod => ({
  metadata: { name: "p" },
  spec: { containers, ...more },
});
const policy = { cpu: defaultCpuPolicy };
const limitsOf = (pod: Pod) => podCgroupLimits(pod, policy);
const mi = 2 ** 20;

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
  const both = (cpu: string, memory: string) => container({ limits: { cpu, memory } });
  assertEquals(limitsOf(podOf([container({})])), { cpuShares: 2, hugePages: {} });
  assertEquals(limitsOf(podOf([both("500m", "64Mi"), both("1", "64Mi")])), {
    cpuShares: 1536,
    cpuQuota: 150_000,
    cpuPeriod: 100_000,
    memory: 128 * mi,
    hugePages: {},
  });
  const some = podOf([container({ limits: { memory: "64Mi" } }), container({ requests: { cpu: "250m" } })]);
  assertEquals(limitsOf(some), { cpuShares: 256, hugePages: {} });
});

Deno.test("spec.resources of the pod limit its cgroup, whatever its containers declare; overhead comes on top", () => {
  const pod = podOf([container({}), container({ limits: { cpu: "100m" } })], {
    resources: { requests: { cpu: "500m", memory: "32Mi" }, limits: { cpu: "1", memory: "64Mi" } },
    overhead: { cpu: "250m", memory: "16Mi" },
  });
  assertEquals(limitsOf(pod), {
    cpuShares: 768,
    cpuQuota: 125_000,
    cpuPeriod: 100_000,
    memory: 80 * mi,
    hugePages: {},
  });
});

Deno.test("hugepages of containers, or of the pod, are limited by their size", () => {
  const pages = { cpu: "1", "hugepages-2Mi": "4Mi" };
  const two = [container({ limits: pages }), container({ limits: { ...pages, "hugepages-1Gi": "1Gi" } })];
  assertEquals(limitsOf(podOf(two)).hugePages, { "2MB": 8 * mi, "1GB": 1024 * mi });
  const pod = podOf([container({})], { resources: { requests: { "hugepages-2Mi": "6Mi", memory: "1Mi" } } });
  assertEquals(limitsOf(pod).hugePages, { "2MB": 6 * mi });
});

Deno.test("podPidsLimit bounds the processes of a pod; cpuCFSQuota and its period the quota", () => {
  const pod = podOf([container({ limits: { cpu: "500m" } })]);
  assertEquals(podCgroupLimits(pod, { ...policy, pids: 100 }).pids, 100);
  assertEquals(podCgroupLimits(pod, { cpu: { enforced: false, period: 100_000 } }), {
    cpuShares: 512,
    hugePages: {},
  });
  const { cpuQuota, cpuPeriod } = podCgroupLimits(pod, { cpu: { enforced: true, period: 10_000 } });
  assertEquals([cpuQuota, cpuPeriod], [5000, 10_000]);
});

Deno.test("while a pod changes its cgroup has room for what is and what will be", () => {
  const small = { cpuShares: 100, cpuQuota: 10_000, cpuPeriod: 100_000, memory: 10 };
  const large = { cpuShares: 200, cpuQuota: 1500, cpuPeriod: 10_000, memory: 20, pids: 7 };
  assertEquals(roomForBoth(small, large), large);
  assertEquals(roomForBoth(large, small), {
    ...small,
    cpuShares: 200,
    cpuQuota: 1500,
    cpuPeriod: 10_000,
    memory: 20,
  });
  assertEquals(roomForBoth({ cpuShares: 2 }, large), { cpuShares: 200, pids: 7 });
  assertEquals(roomForBoth(large, { cpuShares: 2 }), { cpuShares: 200 });
});

Deno.test("arithmetic of shares, quota and weight", () => {
  assertEquals([0, 0.001, 0.1, 1, 1e6].map(cpuShares), [2, 2, 102, 1024, 262_144]);
  const quotas = [0, 0.001, 0.5, 2].map((cores) => cpuQuota(cores, defaultCpuPolicy));
  assertEquals(quotas, [undefined, 1000, 50_000, 200_000]);
  assertEquals([2, 1024, 262_144].map(cpuWeight), [1, 39, 10_000]);
  for (const weight of [1, 2, 39, 100, 9_999, 10_000]) {
    assertEquals(cpuWeight(sharesOfWeight(weight)), weight);
  }
});
