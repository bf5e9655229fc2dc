import { assertEquals } from "@std/assert";
import { findPod } from "../../../../agent/api/lookup.ts";
import { staticPod } from "../../../../agent/sources/static_pod.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";

Deno.test("a static pod is found by its mirror's name, unless a pod has that name", () => {
  const store = createStatusStore();
  const web = staticPod({ metadata: { name: "web" }, spec: { containers: [] } }, "box", "/m/web.yaml").pod;
  store.putPod(web);
  const uidOf = (name: string) => findPod(store, "default", name)?.metadata?.uid;
  assertEquals(["web", "web-box", "web-other"].map(uidOf), [web.metadata?.uid, web.metadata?.uid, undefined]);
  store.putPod({ metadata: { name: "web-box", namespace: "default", uid: "other" } });
  assertEquals(uidOf("web-box"), "other");
  assertEquals(findPod(store, "elsewhere", "web"), undefined);
});
