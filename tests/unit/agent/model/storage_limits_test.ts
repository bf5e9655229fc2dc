import { assertEquals } from "@std/assert";
import type { Container, Pod, PodSpec } from "../../../../agent/model/gen/v1.ts";
import {
  comesBackAt,
  exceededStorage,
  limitsStorage,
  nextEvictions,
  parseEvictions,
  type PodStorage,
} from "../../../../agent/model/storage_limits.ts";

const limited = (name: string, limit?: string): Container => ({
  name,
  resources: limit === undefined ? {} : { limits: { "ephemeral-storage": limit } },
});
const podOf = (containers: Container[], more: Partial<PodSpec> = {}): Pod => ({
  spec: { containers, ...more },
});
const storage = (sizes: Partial<Record<keyof PodStorage, Record<string, number>>>): PodStorage => {
  const map = (kind: keyof PodStorage) => new Map(Object.entries(sizes[kind] ?? {}));
  return { emptyDirs: map("emptyDirs"), logs: map("logs"), layers: map("layers") };
};
const ki = 1024;

Deno.test("what is measured follows from what is limited", () => {
  assertEquals(limitsStorage(podOf([limited("a")])), "nothing");
  assertEquals(limitsStorage(podOf([limited("a", "1Mi")])), "all");
  const volumes = [{ name: "v", emptyDir: { sizeLimit: "1Mi" } }];
  assertEquals(limitsStorage(podOf([limited("a")], { volumes })), "volumes");
  assertEquals(
    limitsStorage(podOf([limited("a")], { volumes: [{ name: "v", emptyDir: { sizeLimit: "0" } }] })),
    "nothing",
  );
});

Deno.test("emptyDir sizeLimit: more than it is said in the kubelet's words", () => {
  const pod = podOf([limited("a")], {
    volumes: [{ name: "free", emptyDir: {} }, { name: "cache", emptyDir: { sizeLimit: "1Ki" } }],
  });
  assertEquals(exceededStorage(pod, storage({ emptyDirs: { cache: ki, free: 9 * ki } })), undefined);
  assertEquals(
    exceededStorage(pod, storage({ emptyDirs: { cache: ki + 1 } }))?.message,
    'Usage of EmptyDir volume "cache" exceeds the limit "1Ki". ',
  );
});

Deno.test("limits of ephemeral-storage: of the pod in all, with its volumes on disk; then of each container", () => {
  const volumes = [{ name: "d", emptyDir: {} }, { name: "m", emptyDir: { medium: "Memory" } }];
  const pod = podOf([limited("a", "2Ki"), limited("b", "1Ki")], { volumes });
  const parts = { layers: { a: ki }, logs: { a: ki, b: ki / 2 }, emptyDirs: { d: ki / 2, m: 99 * ki } };
  assertEquals(exceededStorage(pod, storage(parts)), undefined);
  assertEquals(
    exceededStorage(pod, storage({ ...parts, emptyDirs: { d: ki / 2 + 1 } }))?.message,
    "Pod ephemeral local storage usage exceeds the total limit of containers 3Ki. ",
  );
  assertEquals(
    exceededStorage(pod, storage({ layers: { b: ki }, logs: { b: 1 } }))?.message,
    'Container b exceeded its local ephemeral storage limit "1Ki". ',
  );
});

Deno.test("an evicted pod that always restarts begins anew after a wait that doubles; others rest", () => {
  const backOff = { base: 100, cap: 350 };
  const always = podOf([limited("a")]);
  const waits: number[] = [];
  let evictions = nextEvictions(undefined, 1000, backOff);
  for (let i = 0; i < 4; i++) {
    const at = comesBackAt(always, evictions, evictions.at, backOff)!;
    waits.push(at - evictions.at);
    evictions = nextEvictions(evictions, at + 10, backOff);
  }
  assertEquals(waits, [100, 200, 350, 350]);
  assertEquals(nextEvictions(evictions, evictions.at + 701, backOff).count, 1, "long ago is forgotten");
  for (const restartPolicy of ["Never", "OnFailure"]) {
    assertEquals(comesBackAt(podOf([], { restartPolicy }), evictions, 0, backOff), undefined);
  }
  assertEquals(comesBackAt(always, { count: 1, at: 5000 }, 1000, backOff), 1100, "the clock was set back");
});

Deno.test("what is on record is taken only whole", () => {
  assertEquals(parseEvictions('{"count":2,"at":5}'), { count: 2, at: 5 });
  for (
    const text of [undefined, "", "{", "null", '{"count":0,"at":5}', '{"count":"2","at":5}', '{"count":2}']
  ) {
    assertEquals(parseEvictions(text), undefined);
  }
});
