import { assertEquals } from "@std/assert";
import { createEntrance } from "../../../../../agent/cluster/objects/entrance.ts";
import { type DesiredPod, noObjects, podKey } from "../../../../../agent/model/wish.ts";

const podOf = (name: string, more: Record<string, unknown> = {}): DesiredPod => ({
  pod: { metadata: { namespace: "w", name, uid: name, ...more } },
  uid: name,
  source: "api",
  origin: "the API server",
});
const set = (...pods: DesiredPod[]) => new Map(pods.map((p) => [podKey(p.pod), p]));

/** Which pods are known is said by the test. */
function entering() {
  const known = new Set<string>();
  const published: string[][] = [];
  let wanted: string[] = [];
  const entrance = createEntrance({
    want: (pods) => wanted = [...pods].map((p) => p.metadata!.name!),
    objects: () => noObjects,
    known: (pod) => known.has(pod.metadata!.name!),
  }, (pods) => published.push([...pods.values()].map((p) => p.uid)));
  return { known, published, entrance, wanted: () => wanted };
}

Deno.test("nothing is published before all pods of the first set are known: they may be running", () => {
  const { known, published, entrance, wanted } = entering();
  entrance.look();
  entrance.put(set(podOf("a"), podOf("b")));
  assertEquals([wanted(), published], [["a", "b"], []]);
  known.add("a");
  entrance.look();
  assertEquals(published, []);
  known.add("b");
  entrance.look();
  assertEquals(published, [["a", "b"]]);
});

Deno.test("that there are no pods is published at once", () => {
  const { published, entrance } = entering();
  entrance.put(new Map());
  assertEquals(published, [[]]);
});

Deno.test("a new pod enters when it is known and stays whatever becomes of that; one that terminates need not be", () => {
  const { known, published, entrance } = entering();
  known.add("a");
  entrance.put(set(podOf("a")));
  known.delete("a");
  entrance.put(set(podOf("a"), podOf("b")));
  entrance.put(set(podOf("a"), podOf("b"), podOf("c", { deletionTimestamp: "2026-01-01T00:00:00Z" })));
  known.add("b");
  entrance.look();
  entrance.put(set(podOf("b")));
  entrance.put(set(podOf("a")));
  assertEquals(published, [["a"], ["a"], ["a", "c"], ["a", "b", "c"], ["b"], []]);
});
