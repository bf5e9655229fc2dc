import { assertEquals } from "@std/assert";
import { toCriResources, toCriResourceUpdate } from "../../../../plugins/cri/resources.ts";

Deno.test("toCriResources: what is absent stays unset", () => {
  const { cpuQuota, cpuPeriod, memoryLimitInBytes, hugepageLimits } = toCriResources({
    cpuPeriod: 100_000,
    hugepages: [{ pageSize: "2MB", limit: 4 << 20 }],
  });
  assertEquals([cpuQuota, cpuPeriod, memoryLimitInBytes], [0n, 100_000n, 0n]);
  assertEquals(hugepageLimits, [{ pageSize: "2MB", limit: 4n << 20n }]);
});

Deno.test("toCriResourceUpdate: a limit that is gone must be said, since 0 means unchanged", () => {
  const gone = toCriResourceUpdate({ cpuPeriod: 100_000 });
  assertEquals([gone.cpuQuota, gone.memoryLimitInBytes], [-1n, -1n]);
  const set = toCriResourceUpdate({ cpuPeriod: 100_000, cpuQuota: 5000, memoryLimit: 7 });
  assertEquals([set.cpuQuota, set.memoryLimitInBytes], [5000n, 7n]);
});

Deno.test("toCriResourceUpdate: hugepages stay as the container was created with them", () => {
  assertEquals(toCriResourceUpdate({ hugepages: [{ pageSize: "2MB", limit: 1 }] }).hugepageLimits, []);
});
