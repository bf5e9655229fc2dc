import { assertEquals, assertStringIncludes } from "@std/assert";
import { conditionMessage, measurableVolumes, volumeMetrics } from "../../../../agent/model/volume_stats.ts";
import { noObjects } from "../../../../agent/model/wish.ts";

const pod = (name: string) => ({
  metadata: { name, namespace: "shop", uid: name },
  spec: { containers: [], volumes: [{ name: "data", persistentVolumeClaim: { claimName: "sold" } }] },
});

Deno.test("each claim is one series, however many pods have it; what nobody tells is left out", () => {
  const one = { name: "data", claim: "sold", at: 0, stats: { bytes: { total: 9, used: 4, available: 5 } } };
  const text = volumeMetrics(
    [pod("a"), pod("b")],
    new Map([["a", [one]], ["b", [one, { ...one, name: "x" }]]]),
  );
  const labels = '{namespace="shop",persistentvolumeclaim="sold"}';
  assertEquals(text.split("\n").filter((line) => line !== "" && !line.startsWith("#")), [
    `kubelet_volume_stats_capacity_bytes${labels} 9`,
    `kubelet_volume_stats_available_bytes${labels} 5`,
    `kubelet_volume_stats_used_bytes${labels} 4`,
  ]);
  assertStringIncludes(text, "# TYPE kubelet_volume_stats_used_bytes gauge\n");
  assertEquals(
    volumeMetrics([pod("a")], new Map([["a", [{ name: "inline", at: 0, stats: one.stats }]]])),
    "",
  );
});

Deno.test("exports, devices without a driver and claims without a volume are not measured", () => {
  const found = (spec: object) =>
    measurableVolumes(pod("a"), {
      ...noObjects,
      persistentVolumeClaims: new Map([["shop/sold", { spec: { volumeName: "pv" } }]]),
      persistentVolumes: new Map([["pv", { metadata: { name: "pv" }, spec }]]),
    });
  const csi = { driver: "d", volumeHandle: "h" };
  const as = { name: "data", claim: "sold" };
  assertEquals(found({ hostPath: { path: "/srv" } }), [{ ...as, path: "/srv" }]);
  assertEquals(found({ csi, volumeMode: "Block" }), [{ ...as, specName: "pv" }]);
  assertEquals(found({ local: { path: "/dev/x" }, volumeMode: "Block" }), []);
  assertEquals(found({ nfs: { server: "s", path: "/" } }), []);
  assertEquals(measurableVolumes(pod("a"), noObjects), []);
});

Deno.test("only an abnormal condition is told, and no more of it than can be read", () => {
  const of = (abnormal: boolean) => ({ condition: { abnormal, message: "x".repeat(10_000) } });
  assertEquals(conditionMessage("data", of(false)), undefined);
  assertEquals(conditionMessage("data", {}), undefined);
  assertEquals(conditionMessage("data", of(true))?.length, "Volume data: ".length + 1024);
});
