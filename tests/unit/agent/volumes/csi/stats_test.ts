/** How full volumes are, told by the tests' real driver to who asks the agent. */
import { assert, assertEquals } from "@std/assert";
import { createVolumeMeter } from "../../../../../agent/node/volume_meter.ts";
import { volumeMetrics } from "../../../../../agent/model/volume_stats.ts";
import { createStatusStore } from "../../../../../agent/status_store.ts";
import { desire, host, needsRoot, signal } from "../sandbox.ts";
import { type Bench, inline, put, withBench } from "./bench.ts";

const spec = { volumeLifecycleModes: ["Persistent", "Ephemeral"], podInfoOnMount: true };

/** A meter that never takes what it knows for good enough, over a store with the bench's objects. */
function measured(b: Bench) {
  const store = createStatusStore();
  store.setObjects(b.objects);
  const leave = new AbortController();
  const ask = (...of: Parameters<typeof b.agent.csi.stats>) => b.agent.csi.stats(...of);
  return { store, leave, meter: createVolumeMeter({ host, store, ask, maxAge: 0 }, leave.signal) };
}

Deno.test(
  "a driver is asked for the stats of what pods have of it, with the paths it knows, and never of what is not published",
  needsRoot,
  () =>
    withBench({ spec }, async (b) => {
      const { store, meter } = measured(b);
      const pv = await b.provision("pvc-1", {}, { kind: "ext4" });
      const { pod } = desire({
        volumes: [
          { name: "data", persistentVolumeClaim: { claimName: "sold" } },
          ...inline("scratch").volumes!,
        ],
      });
      put(b.objects.persistentVolumes, "pvc-1", pv);
      put(b.objects.persistentVolumeClaims, "shop/sold", { spec: { volumeName: "pvc-1" } });
      store.putPod(pod);
      assertEquals((await meter.look(signal)).size, 0);
      await b.agent.persist(pv, "uid-1");
      await b.agent.publish(desire(inline("scratch")).pod, "uid-1");
      const [data, scratch] = (await meter.look(signal)).get("uid-1")!;
      assertEquals([data?.claim, scratch?.name, scratch?.claim], ["sold", "scratch", undefined]);
      assertEquals(scratch?.stats.bytes?.total, 2 ** 20);
      const { total, used, available } = data!.stats.bytes!;
      assert(
        total > 2 ** 20 && total < 8 * 2 ** 20 && used + available <= total &&
          data!.stats.inodes!.total > 100,
      );
      const asked = (await b.driver.calls("NodeGetVolumeStats")).find((c) =>
        c.request["volumeId"] === pv.spec!.csi!.volumeHandle
      );
      const staged = (await b.driver.calls("NodeStageVolume"))[0]?.request["stagingTargetPath"];
      assertEquals(asked?.request, {
        volumeId: pv.spec!.csi!.volumeHandle,
        volumePath: `${b.root}/pods/uid-1/volumes/kubernetes.io~csi/pvc-1/mount`,
        stagingTargetPath: staged,
      });
      await b.agent.remove("uid-1");
      const before = (await b.driver.calls("NodeGetVolumeStats")).length;
      assertEquals((await meter.look(signal)).size, 0);
      assertEquals((await b.driver.calls("NodeGetVolumeStats")).length, before);
    }),
);

Deno.test(
  "a volume that its driver finds abnormal is an event of its pod, once, and a metric",
  needsRoot,
  () =>
    withBench({}, async (b) => {
      const { store, meter } = measured(b);
      const pv = await b.provision("pvc-1");
      put(b.objects.persistentVolumes, "pvc-1", pv);
      put(b.objects.persistentVolumeClaims, "shop/sold", { spec: { volumeName: "pvc-1" } });
      store.putPod(desire({ volumes: [{ name: "data", persistentVolumeClaim: { claimName: "sold" } }] }).pod);
      await b.agent.persist(pv, "uid-1");
      const health = async () =>
        /^kubelet_volume_stats_health_status_abnormal\{.*/m.exec(
          volumeMetrics(store.pods(), await meter.look(signal)),
        )?.[0];
      const labels = 'namespace="shop",persistentvolumeclaim="sold"';
      assertEquals(await health(), `kubelet_volume_stats_health_status_abnormal{${labels}} 0`);
      const { volumeHandle } = pv.spec!.csi!;
      await b.driver.sicken(volumeHandle, "it rattles");
      for (let i = 0; i < 2; i++) {
        assertEquals(await health(), `kubelet_volume_stats_health_status_abnormal{${labels}} 1`);
      }
      const events = () => store.events().map((e) => [e.reason, e.message, e.object.uid, e.count]);
      assertEquals(events(), [["VolumeConditionAbnormal", "Volume data: it rattles", "uid-1", 1]]);
      await b.driver.sicken(volumeHandle);
      await health();
      await b.driver.sicken(volumeHandle, "it rattles");
      await health();
      assertEquals(events(), [["VolumeConditionAbnormal", "Volume data: it rattles", "uid-1", 2]]);
      await b.agent.remove("uid-1");
    }),
);

Deno.test(
  "a driver that hangs over its stats delays neither the answer nor the numbers of others",
  needsRoot,
  () =>
    withBench({ spec }, async (b) => {
      const { store, meter, leave } = measured(b);
      const volumes = ["a", "b"].flatMap((name) => inline(name).volumes!);
      const { pod } = desire({ volumes });
      store.putPod(pod);
      await b.agent.publish(pod, "uid-1");
      await b.driver.knobs({ NodeGetVolumeStats: { hang: true, times: 1 } });
      const begun = performance.now();
      assertEquals((await meter.look(signal)).get("uid-1")?.length, 1);
      assertEquals((await meter.look(signal)).get("uid-1")?.length, 1);
      assert(performance.now() - begun < 5000);
      const calls = (await b.driver.calls("NodeGetVolumeStats")).filter((c) => c.phase === "begin");
      assertEquals(calls.length, 3, "the one that hangs is not asked again");
      leave.abort();
      await b.agent.remove("uid-1");
    }),
);
