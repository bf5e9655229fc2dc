/** What of a cluster is kept, and what it becomes again. */
import { assertEquals, assertThrows } from "@std/assert";
import { completed, keptSnapshot, parseKept, whatIsKept } from "../../../../../agent/cluster/offline/kept.ts";
import { podOf, secretOf, snapshotOf } from "./world.ts";

const roomy = { pods: 10, size: 1e6 };
const kept = (snapshot: ReturnType<typeof snapshotOf>, options = roomy) =>
  whatIsKept(snapshot, new Map(), options);

Deno.test("pods and what they use come back as they were, as no word of now", () => {
  const snapshot = snapshotOf([podOf("web")], [secretOf("web", "x"), secretOf("other", "y")]);
  const again = keptSnapshot(parseKept(JSON.parse(JSON.stringify(kept(snapshot).kept))));
  assertEquals(again.pods.get("default/web")?.uid, "web-uid");
  assertEquals(again.pods.get("default/web")?.pod.spec, podOf("web").spec);
  assertEquals(again.secrets, snapshot.secrets);
  assertEquals(again.readable, false);
});

Deno.test("what changes without a meaning for the node changes nothing that is kept", () => {
  const quiet = podOf("web", { resourceVersion: "1" });
  const busy = podOf("web", { resourceVersion: "2", managedFields: [{}] }, {
    status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }], podIP: "10.0.0.9" },
  });
  assertEquals(kept(snapshotOf([busy])).kept, kept(snapshotOf([{ ...quiet, status: {} }])).kept);
});

Deno.test("of a pod that has ended all is kept that was said of it, of others what only the API server knows", () => {
  const status = { phase: "Succeeded", reason: "r", containerStatuses: [] };
  const conditions = [{ type: "gate", status: "True" }, { type: "Ready", status: "True" }];
  const gated = podOf("gated", {}, {
    spec: { readinessGates: [{ conditionType: "gate" }] },
    status: { phase: "Running", qosClass: "BestEffort", conditions },
  });
  const { pods } = kept(snapshotOf([podOf("done", {}, { status }), gated])).kept;
  assertEquals(pods.map((p) => p.status), [
    status,
    { qosClass: "BestEffort", conditions: [{ type: "gate", status: "True" }] },
  ]);
});

Deno.test("where not all fits, what matters most stays, then the newest; nobody's Secrets stay behind", () => {
  const at = (day: number) => ({ creationTimestamp: `2026-01-0${day}T00:00:00Z` });
  const pods = [
    podOf("old", at(1)),
    podOf("new", at(3)),
    podOf("done", at(4), { status: { phase: "Failed" } }),
    podOf("network", at(1), { spec: { priority: 2_000_001_000 } }),
  ];
  const secrets = pods.map((p) => secretOf(p.metadata!.name!, "x"));
  const options = { pods: 2, size: 1e6 };
  const few = kept(snapshotOf(pods, secrets), options);
  assertEquals(few.kept.pods.map((p) => p.metadata?.name), ["network", "new"]);
  assertEquals(Object.keys(few.kept.objects.secrets!), ["default/network", "default/new"]);
  assertEquals(few.left, ["default/old", "default/done"]);
  const large = podOf("large", { ...at(5), annotations: { a: "x".repeat(2000) } });
  const tight = kept(snapshotOf([...pods, large], secrets), { pods: 10, size: 2000 });
  assertEquals(tight.left, ["default/large"]);
});

Deno.test("what is not of the form is refused by the name of what is wrong", () => {
  assertThrows(() => parseKept([]), TypeError, "expected an object");
  assertThrows(() => parseKept({ pods: [1], objects: {}, tokens: {} }), TypeError, "pods:");
  assertThrows(() => parseKept({ pods: [], objects: { secrets: [] }, tokens: {} }), TypeError, "objects:");
  assertThrows(() => parseKept({ pods: [], objects: {}, tokens: { a: {} } }), TypeError, "tokens:");
});

Deno.test("what nobody can be asked about since the start is as it was; what was said since then counts", () => {
  const before = keptSnapshot(
    kept(snapshotOf([podOf("web")], [secretOf("web", "x"), secretOf("b", "x")])).kept,
  );
  const unread = new Map([["Secret default/web", "500"], ["ConfigMap default/none", "500"]]);
  const now = { ...snapshotOf([podOf("web")], [secretOf("b", "y")]), unread };
  const whole = completed(now, before);
  assertEquals(whole.secrets.get("default/web"), secretOf("web", "x"));
  assertEquals(whole.secrets.get("default/b"), secretOf("b", "y"));
  assertEquals([...whole.unread!.keys()], ["ConfigMap default/none"]);
});
