/** Volumes that their driver wants to publish again and again, with the tests' real driver. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runRepublish } from "../../../../../agent/volumes/csi/republish.ts";
import { createStatusStore } from "../../../../../agent/status_store.ts";
import { desire, host, needsRoot } from "../sandbox.ts";
import { type Bench, driverName, inline, put, secretOf, withBench } from "./bench.ts";

const spec = {
  volumeLifecycleModes: ["Persistent", "Ephemeral"],
  podInfoOnMount: true,
  requiresRepublish: true,
};

const published = async (b: Bench) =>
  (await b.driver.calls("NodePublishVolume")).filter((c) => c.phase === "begin").map((c) => c.request);

/** Rounds at once one after the other, until the test is through. */
async function whileRepublishing(
  b: Bench,
  test: (store: ReturnType<typeof createStatusStore>, wake: () => void) => Promise<void>,
): Promise<void> {
  const store = createStatusStore();
  const end = new AbortController();
  const volumes = b.agent.csi;
  const running = runRepublish({ host, store, volumes, everyMs: 20 }, end.signal);
  try {
    await test(store, () => store.setObjects(b.objects));
  } finally {
    end.abort();
    await running;
  }
}

Deno.test(
  "requiresRepublish: the driver is asked again, with the newest Secret, for what pods have",
  needsRoot,
  () =>
    withBench({ spec }, async (b) => {
      put(b.objects.secrets, "shop/s", secretOf("s", { key: "old" }));
      const pv = await b.provision("pvc-1");
      const { pod } = desire(inline("token", {}, { nodePublishSecretRef: { name: "s" } }));
      await whileRepublishing(b, async (_store, wake) => {
        const paths = await b.agent.publish(pod, "uid-1");
        await b.agent.persist(pv, "uid-2");
        assertEquals((await published(b)).length, 2);
        put(b.objects.secrets, "shop/s", secretOf("s", { key: "new" }));
        wake();
        await b.driver.untilCalled("NodePublishVolume", 6);
        const [first, again] = (await published(b)).filter((r) =>
          r["targetPath"] === paths.get("token")?.hostPath
        );
        assertEquals([first?.["secrets"], again?.["secrets"]], [{ key: "old" }, { key: "new" }]);
        assertEquals({ ...again, secrets: first?.["secrets"] }, first);
        const [staged, stagedAgain] = (await published(b)).filter((r) => r["stagingTargetPath"] !== "");
        assertEquals(stagedAgain, staged);
        assertEquals((await b.driver.calls("NodeStageVolume")).length, 2, "only the last step is repeated");
        await b.agent.remove("uid-1");
        await b.agent.remove("uid-2");
        assertEquals(b.agent.csi.wantRepublish(), false);
      });
    }),
);

Deno.test(
  "publishing again that fails is an event; the pod keeps its volume, and it is tried again",
  needsRoot,
  () =>
    withBench({ spec }, async (b) => {
      const { pod } = desire(inline("token", { content: "first" }));
      await whileRepublishing(b, async (store, wake) => {
        const path = (await b.agent.publish(pod, "uid-1")).get("token")!.hostPath;
        await b.driver.knobs({ NodePublishVolume: { fail: { code: "INVALID_ARGUMENT", message: "no" } } });
        wake();
        await b.driver.untilCalled("NodePublishVolume", 4);
        const [event] = store.events();
        assertEquals([event?.reason, event?.type, event?.object.uid], ["FailedMount", "Warning", "uid-1"]);
        assertStringIncludes(event!.message, 'MountVolume.SetUp failed for volume "token" : ');
        assertEquals(await Deno.readTextFile(`${path}/content`), "first");
        await b.driver.knobs({});
        const failures = (await published(b)).length;
        await b.driver.untilCalled("NodePublishVolume", failures + 2);
        const ends = (await b.driver.calls("NodePublishVolume")).filter((c) => c.phase === "end");
        assertEquals(ends.at(-1)?.outcome, "OK");
        await b.agent.remove("uid-1");
      });
    }),
);

Deno.test(
  "drivers that do not ask for it are left alone",
  needsRoot,
  () =>
    withBench({ spec: { ...spec, requiresRepublish: false } }, async (b) => {
      const { pod } = desire(inline("token"));
      await b.agent.publish(pod, "uid-1");
      assertEquals(b.agent.csi.wantRepublish(), false);
      put(b.objects.csiDrivers, driverName, { metadata: { name: driverName }, spec });
      assertEquals(b.agent.csi.wantRepublish(), true);
      put(b.objects.csiDrivers, driverName, { metadata: { name: driverName }, spec: {} });
      b.agent.csi.republish(() => {}, AbortSignal.timeout(1000));
      await b.agent.remove("uid-1");
      assertEquals((await published(b)).length, 1);
    }),
);
