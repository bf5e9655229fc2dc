import { assertEquals } from "@std/assert";
import type { ObservedPod } from "../../../../agent/model/observed.ts";
import { emptyMemory } from "../../../../agent/model/plan.ts";
import { createAllocations } from "../../../../agent/reconcile/allocations.ts";
import { container, podOf } from "./bench.ts";

const requesting = (uid: string, cpu: string) =>
  podOf(uid, [{ ...container("a"), resources: { requests: { cpu } } }]);

/** It runs with this request. */
const running = (cpu: string): ObservedPod => {
  const record = { attempt: 0, createdAt: 1, hash: "" };
  return {
    uid: "web",
    namespace: "default",
    name: "web",
    hasDirectory: true,
    sandboxes: [{ ...record, id: "box", ready: true, ips: [], runtimeHandler: "" }],
    containers: [{
      ...record,
      id: "a0",
      name: "a",
      sandboxId: "box",
      state: "running",
      image: "",
      imageRef: "",
      backOff: 0,
      graceSeconds: 1,
      resources: { requests: { cpu } },
      logPath: "",
    }],
  };
};

Deno.test("a pod that waits counts with what it has, and is woken when others give something back", () => {
  const woken: string[] = [];
  let changes = 0;
  const allocations = createAllocations({ cpu: 4, memory: 1 }, (uid) => woken.push(uid), () => changes++);
  const decide = (uid: string, cpu: string, now = "1") =>
    allocations.decide(uid, requesting(uid, cpu).pod, running(now), emptyMemory).pending?.reason;
  const shown = (cpu: string) => allocations.given(requesting("web", cpu)).pod.spec?.containers[0]?.resources;
  assertEquals([decide("other", "2", "2"), decide("web", "3")], [undefined, "Deferred"]);
  assertEquals([shown("3"), changes], [{ requests: { cpu: "1" } }, 1]);
  assertEquals(decide("web", "3"), "Deferred");
  assertEquals(changes, 1, "nothing new");
  allocations.release("other");
  assertEquals(woken, ["web"]);
  assertEquals(decide("web", "3"), undefined);
  assertEquals([shown("3"), changes], [{ requests: { cpu: "3" } }, 2]);
  assertEquals(decide("web", "5", "3"), "Infeasible");
  allocations.release("web");
  assertEquals([woken, changes], [["web"], 4], "what is infeasible waits for nobody");
});
