import { assertEquals } from "@std/assert";
import { defaultCpuPolicy } from "../../../../agent/model/cpu.ts";
import type { PodSpec, ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import { type ContainerLimitFacts, linuxResources } from "../../../../agent/model/linux_resources.ts";

const facts: ContainerLimitFacts = { cpu: defaultCpuPolicy, memoryCapacity: 2 ** 30, hugePageSizes: [] };
const of = (
  resources: ResourceRequirements,
  more: Partial<ContainerLimitFacts> = {},
  spec: Partial<PodSpec> = {},
) => {
  const container = { name: "c", resources };
  return linuxResources({ spec: { containers: [container], ...spec } }, container, { ...facts, ...more });
};

Deno.test("nothing asked for is the least share and no limit", () => {
  assertEquals(of({}), { cpuShares: 2, cpuPeriod: 100_000, oomScoreAdj: 1000 });
});

Deno.test("shares from the request, quota from the limit, within the kernel's bounds", () => {
  const cpu = (request?: string, limit?: string) => {
    const { cpuShares, cpuQuota } = of({
      ...(request === undefined ? {} : { requests: { cpu: request } }),
      ...(limit === undefined ? {} : { limits: { cpu: limit } }),
    });
    return [cpuShares, cpuQuota];
  };
  assertEquals(cpu("250m"), [256, undefined]);
  assertEquals(cpu("1m"), [2, undefined]);
  assertEquals(cpu("0", "2"), [2, 200_000]);
  assertEquals(cpu(undefined, "500m"), [512, 50_000]);
  assertEquals(cpu("100m", "1m"), [102, 1000]);
  assertEquals(cpu("1000"), [262_144, undefined]);
  assertEquals(cpu("0.3"), [307, undefined]);
});

Deno.test("memory, hugepages by the kernel's names: none of the sizes that are not asked for", () => {
  const limits = { memory: "64Mi", "hugepages-2Mi": "4Mi" };
  assertEquals(of({ requests: { memory: "64Mi" }, limits }, { hugePageSizes: [2 ** 21, 2 ** 30] }), {
    cpuShares: 2,
    cpuPeriod: 100_000,
    memoryLimit: 64 << 20,
    hugepages: [{ pageSize: "2MB", limit: 4 << 20 }, { pageSize: "1GB", limit: 0 }],
    oomScoreAdj: 938,
  });
});

Deno.test("a container without a limit of its own has that of spec.resources of its pod", () => {
  const spec = {
    resources: { requests: { cpu: "1", memory: "128Mi" }, limits: { cpu: "1", memory: "256Mi" } },
  };
  const { cpuShares, cpuQuota, memoryLimit } = of({ limits: { cpu: "500m" } }, {}, spec);
  assertEquals([cpuShares, cpuQuota, memoryLimit], [512, 50_000, 256 << 20]);
});

Deno.test("cpuCFSQuota: false leaves CPU unlimited, cpuCFSQuotaPeriod scales the quota", () => {
  const resources = { limits: { cpu: "500m" } };
  const off = of(resources, { cpu: { enforced: false, period: 100_000 } });
  assertEquals([off.cpuQuota, off.cpuPeriod, off.cpuShares], [undefined, undefined, 512]);
  const short = of(resources, { cpu: { enforced: true, period: 10_000 } });
  assertEquals([short.cpuQuota, short.cpuPeriod], [5000, 10_000]);
});
