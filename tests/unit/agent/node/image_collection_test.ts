/** The loop that removes unused images. */
import { assertEquals } from "@std/assert";
import { silentLog } from "../../../../agent/lib/log.ts";
import { createMetrics } from "../../../../agent/lib/metrics.ts";
import { collectImages, type ImageCollectionOptions } from "../../../../agent/node/image_collection.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";

/** Each pause is a look later; after the last look it ends. */
async function run(looks: number, more: Partial<ImageCollectionOptions>) {
  const [store, metrics, stop] = [createStatusStore(), createMetrics(), new AbortController()];
  let now = 0;
  let left = looks;
  const removed: string[] = [];
  await collectImages({
    ...{ store, metrics, log: silentLog, nodeName: "box", everyMs: 100 },
    host: { now: () => now, monotonic: () => now },
    policy: { minimumAge: 50, maximumAge: 150, high: 85, low: 80 },
    look: () =>
      Promise.resolve({
        images: ["a", "b"].filter((id) => !removed.includes(id)).map((id) => ({ id, size: 10 })),
        unused: new Set(["a"]),
      }),
    remove: (id) => Promise.resolve(void removed.push(id)),
    pause: (ms) => {
      now += ms;
      if (--left === 0) stop.abort();
      return Promise.resolve();
    },
    ...more,
  }, stop.signal);
  return {
    removed,
    metrics: metrics.render(),
    events: store.events().map((e) => `${e.reason}: ${e.message}`),
  };
}

Deno.test("an image goes once it has been unused for too long, and is counted", async () => {
  assertEquals((await run(2, {})).removed, []);
  const { removed, metrics } = await run(5, {});
  assertEquals(removed, ["a"]);
  assertEquals(metrics.includes('kubelet_image_garbage_collected_total{reason="age"} 1'), true);
});

Deno.test("a look or a removal that fails is tried again", async () => {
  let fails = 2;
  const { removed } = await run(6, {
    look() {
      if (fails-- > 0) return Promise.reject(new Error("no runtime"));
      return Promise.resolve({ images: [{ id: "a", size: 1 }], unused: new Set(["a"]) });
    },
    policy: { minimumAge: 0, maximumAge: 150, high: 85, low: 80 },
  });
  assertEquals(removed, ["a", "a"].slice(0, removed.length));
  assertEquals(removed.length > 0, true);
  let tries = 0;
  await run(6, { remove: () => (tries++, Promise.reject(new Error("busy"))) });
  assertEquals(tries > 1, true);
});

Deno.test("when there is not enough to remove the Node has an event of it", async () => {
  const disk = { available: 0, capacity: 1000 };
  const images = [{ id: "a", size: 10 }];
  const { events } = await run(1, {
    look: () => Promise.resolve({ images, unused: new Set<string>(), disk }),
  });
  assertEquals(events.length, 1);
  assertEquals(events[0]!.startsWith("FreeDiskSpaceFailed: Failed to garbage collect required amount"), true);
});
