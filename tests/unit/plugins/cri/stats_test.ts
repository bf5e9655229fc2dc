import { assertEquals } from "@std/assert";
import { ContainerStats } from "../../../../plugins/rpc/gen/cri.ts";
import { toUsage } from "../../../../plugins/cri/stats.ts";

const attributes = {
  id: "c1",
  labels: { "io.kubernetes.pod.uid": "u1", "io.kubernetes.container.name": "main" },
};
const value = (n: bigint) => ({ value: n });

Deno.test("toUsage: what the runtime tells of a container, and nothing of one without processes", () => {
  const stats = ContainerStats.fromPartial({
    attributes,
    cpu: { timestamp: 1_500_000_000n, usageCoreNanoSeconds: value(7n) },
    memory: { workingSetBytes: value(100n), usageBytes: value(200n), rssBytes: value(50n) },
    writableLayer: { usedBytes: value(4096n), inodesUsed: value(3n) },
  });
  assertEquals(toUsage(stats), {
    id: "c1",
    uid: "u1",
    name: "main",
    at: 1500,
    cpu: 7,
    memory: 200,
    workingSet: 100,
    rss: 50,
    disk: { bytes: 4096, inodes: 3 },
  });
  assertEquals(toUsage(ContainerStats.fromPartial({ attributes })), undefined);
});
