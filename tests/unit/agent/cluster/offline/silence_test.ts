/** How long a pod goes on while the API server is silent. */
import { assertEquals } from "@std/assert";
import { patienceOf } from "../../../../../agent/cluster/offline/silence.ts";
import type { Toleration } from "../../../../../agent/model/gen/v1.ts";
import { podOf } from "./world.ts";

const patience = (tolerations: Toleration[], rules = { maxSilence: 0, obeyTolerations: true }) =>
  patienceOf(podOf("web", {}, { spec: { tolerations } }), rules);
const unreachable = { key: "node.kubernetes.io/unreachable", operator: "Exists", effect: "NoExecute" };

Deno.test("unless rules say otherwise a pod goes on for ever", () => {
  assertEquals(patience([], { maxSilence: 0, obeyTolerations: false }), Infinity);
  assertEquals(patience([], { maxSilence: 60_000, obeyTolerations: false }), 60_000);
});

Deno.test("with its tolerations it ends when the control plane would end it", () => {
  assertEquals(patience([{ ...unreachable, tolerationSeconds: 300 }]), 340_000);
  assertEquals(patience([{ ...unreachable, tolerationSeconds: -5 }]), 40_000);
  assertEquals(patience([unreachable]), Infinity);
  assertEquals(patience([{ operator: "Exists" }]), Infinity);
  assertEquals(patience([]), 40_000);
  assertEquals(patience([{ ...unreachable, key: "node.kubernetes.io/not-ready" }]), 40_000);
  assertEquals(patience([{ ...unreachable, effect: "NoSchedule" }]), 40_000);
  assertEquals(patience([{ ...unreachable, operator: "Equal", value: "x" }]), 40_000);
  assertEquals(patience([unreachable, { operator: "Exists", tolerationSeconds: 7 }]), 47_000);
});

Deno.test("the stricter of both rules counts", () => {
  assertEquals(patience([unreachable], { maxSilence: 60_000, obeyTolerations: true }), 60_000);
});
