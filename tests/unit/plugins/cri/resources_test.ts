import { assertEquals } from "@std/assert";
import { toCriResources, toCriResourceUpdate, toLinuxResources } from "../../../../plugins/cri/resources.ts";

Deno.test("toLinuxResources: nothing asked for is the least share and no limit", () => {
  assertEquals(toLinuxResources(undefined, undefined), { cpuShares: 2, cpuPeriod: 100_000 });
});

Deno.test("toLinuxResources: shares from the request, quota from the limit, within the kernel's bounds", () => {
  const cpu = (request?: string, limit?: string) => {
    const quantities = (text?: string) => text === undefined ? {} : { cpu: text };
    const { cpuShares, cpuQuota } = toLinuxResources(quantities(request), quantities(limit));
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

Deno.test("toLinuxResources: memory, huge pages by the kernel's names, oom_score_adj", () => {
  const limits = { memory: "64Mi", "hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi" };
  assertEquals(toLinuxResources({ memory: "1Mi" }, limits, -997), {
    cpuShares: 2,
    cpuPeriod: 100_000,
    memoryLimit: 64 << 20,
    hugepages: [{ pageSize: "2MB", limit: 4 << 20 }, { pageSize: "1GB", limit: 1 << 30 }],
    oomScoreAdj: -997,
  });
});

Deno.test("toCriResourceUpdate: a quota that is gone must be said, since 0 means unchanged", () => {
  assertEquals(toCriResources({ cpuPeriod: 100_000 }).cpuQuota, 0n);
  assertEquals(toCriResourceUpdate({ cpuPeriod: 100_000 }).cpuQuota, -1n);
  assertEquals(toCriResourceUpdate({ cpuPeriod: 100_000, cpuQuota: 5000 }).cpuQuota, 5000n);
});
