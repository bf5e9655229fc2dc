// What is said of pods over time; the judgement itself is tested in tests/unit/agent/model.
import { assertEquals } from "@std/assert";
import { defaultPod } from "../../../../agent/model/defaults.ts";
import { nodeLabels } from "../../../../agent/model/node_affinity.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import { createAdmission } from "../../../../agent/reconcile/admission.ts";
import { createStatusStore } from "../../../../agent/status_store.ts";

const node = {
  name: "box",
  labels: nodeLabels("box", "amd64", {}),
  maxPods: 9,
  allocatable: { cpu: 2 },
  kernel: "6.1.0",
  allowedUnsafeSysctls: [],
};

/** Asks for the whole node. */
const greedy = (name: string): DesiredPod => ({
  pod: defaultPod({
    metadata: { name, namespace: "default", uid: name },
    spec: { containers: [{ name: "main", image: "a:1", resources: { requests: { cpu: "2" } } }] },
  }),
  uid: name,
  source: "file",
  origin: `${name}.yaml`,
});

function admissionOf(...taken: string[]) {
  const admission = createAdmission({ node: () => node, store: createStatusStore(), now: () => 0, taken });
  const refused = () => ["first", "second"].filter((uid) => admission.refusal(uid) !== undefined);
  return { ...admission, refused };
}

Deno.test("what an earlier agent took keeps its place when devices come before the manifests are read", () => {
  const { judge, refused } = admissionOf("second");
  assertEquals(judge([], false), []);
  judge([greedy("first"), greedy("second")], true);
  assertEquals(refused(), ["first"]);
});

Deno.test("a pod that went has no place to come back to", () => {
  const { judge, refused } = admissionOf("second");
  judge([greedy("second")], true);
  judge([], true);
  judge([greedy("first"), greedy("second")], true);
  assertEquals(refused(), ["second"]);
});
