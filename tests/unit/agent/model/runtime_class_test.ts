import { assertEquals } from "@std/assert";
import type { Pod, RuntimeClass } from "../../../../agent/model/gen/v1.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import {
  runtimeClassProblem,
  runtimeHandlerOf,
  withHandler,
  withRuntimeClass,
} from "../../../../agent/model/runtime_class.ts";
import { emptyMemory, planPod } from "../../../../agent/model/plan.ts";
import { wantedSandboxHash } from "../../../../agent/model/need.ts";
import { containerHash } from "../../../../agent/model/hash.ts";
import { defaultBackOff } from "../../../../agent/model/restart.ts";
import { volumesHash } from "../../../../agent/model/volumes_hash.ts";
import { noObjects } from "../../../../agent/model/wish.ts";

const podOf = (spec: Partial<Pod["spec"]> = {}, annotations: Record<string, string> = {}): Pod => ({
  metadata: { name: "web", namespace: "default", uid: "u", annotations },
  spec: { containers: [{ name: "a", image: "a:1" }], runtimeClassName: "fast", ...spec },
});

const classesOf = (more: Partial<RuntimeClass> = {}) =>
  new Map([["fast", { metadata: { name: "fast" }, handler: "crun", ...more }]]);

Deno.test("runtimeClassName: the class gives its handler, overhead, nodeSelector and tolerations to the pod", () => {
  const toleration = { key: "k", operator: "Exists" };
  const classes = classesOf({
    overhead: { podFixed: { cpu: "250m", memory: "64Mi" } },
    scheduling: { nodeSelector: { disk: "ssd" }, tolerations: [toleration] },
  });
  const pod = withRuntimeClass(podOf({ nodeSelector: { zone: "a" } }), classes);
  assertEquals(runtimeHandlerOf(pod), "crun");
  assertEquals(pod.spec?.overhead, { cpu: "250m", memory: "64Mi" });
  assertEquals(pod.spec?.nodeSelector, { zone: "a", disk: "ssd" });
  assertEquals(pod.spec?.tolerations, [toleration]);
});

Deno.test("runtimeClassName: of a pod of the API server only the handler is looked up, and the pod stays the same object", () => {
  const classes = classesOf({ overhead: { podFixed: { cpu: "250m" } } });
  const pod = podOf({}, { kept: "x" });
  const handed = withHandler(pod, classes);
  assertEquals([runtimeHandlerOf(handed), handed.spec === pod.spec], ["crun", true]);
  assertEquals(withHandler(pod, classes) === handed, true);
  assertEquals(withHandler(pod, new Map()) === pod, true);
  assertEquals(
    runtimeHandlerOf(withHandler(podOf({}, { "agent/runtime-handler": "forged" }), new Map())),
    undefined,
  );
  assertEquals(withHandler(handed, classesOf({ handler: "kata" })).metadata?.annotations, {
    kept: "x",
    "agent/runtime-handler": "kata",
  });
});

Deno.test("runtimeClassName: without one it is the runtime's default, whatever an annotation says", () => {
  const pod = podOf({ runtimeClassName: "" }, { "agent/runtime-handler": "forged", kept: "x" });
  assertEquals(withRuntimeClass(pod, classesOf()).metadata?.annotations, { kept: "x" });
  assertEquals(runtimeHandlerOf(withRuntimeClass(pod, classesOf())), "");
  const named = withRuntimeClass(podOf({}, { "agent/runtime-handler": "forged" }), new Map());
  assertEquals(runtimeHandlerOf(named), undefined);
});

Deno.test("runtimeClassName: a class that nobody describes, and an overhead or nodeSelector that it contradicts", () => {
  const problem = (pod: Pod, classes: ReadonlyMap<string, RuntimeClass>) => {
    assertEquals(runtimeHandlerOf(withRuntimeClass(pod, classes)), undefined);
    return Object.values(runtimeClassProblem(pod, classes) ?? {}).join(": ");
  };
  assertEquals(
    problem(podOf(), new Map()),
    'spec.runtimeClassName: runtimeclass.node.k8s.io "fast" not found: no manifest describes it',
  );
  assertEquals(
    problem(podOf({ overhead: { cpu: "1" } }), classesOf({ overhead: { podFixed: { cpu: "2" } } })),
    "spec.overhead: is not the overhead of RuntimeClass fast: expected the same, or none",
  );
  assertEquals(
    problem(podOf({ nodeSelector: { a: "1" } }), classesOf({ scheduling: { nodeSelector: { a: "2" } } })),
    'spec.nodeSelector["a"]: RuntimeClass fast wants a=2: expected the same, or nothing',
  );
  const same = podOf({ overhead: { memory: "1024Mi" } });
  assertEquals(
    runtimeClassProblem(same, classesOf({ overhead: { podFixed: { memory: "1Gi" } } })),
    undefined,
  );
});

/** What is planned for a pod that runs in a sandbox of this handler. */
function planOf(pod: Pod, runtimeHandler: string, hash = wantedSandboxHash(pod)) {
  const times = { createdAt: 1, startedAt: 1 };
  const observed = {
    ...{ uid: "u", namespace: "default", name: "web", hasDirectory: true },
    sandboxes: [{ id: "box", attempt: 0, ready: true, ips: [], hash, runtimeHandler, createdAt: 1 }],
    containers: [{
      ...{ id: "c", name: "a", sandboxId: "box", attempt: 0, state: "running" as const, ...times },
      ...{ image: "a:1", imageRef: "a", backOff: 0, graceSeconds: 1, logPath: "" },
      hash: containerHash(pod, pod.spec!.containers[0]!),
    }],
  };
  const wish = { kind: "present" as const, pod: { pod, uid: "u", source: "file" as const, origin: "" } };
  const image = { attempt: 0, image: "a:1", ref: "a", user: "" };
  const memory = {
    ...emptyMemory,
    images: new Map([["a", image]]),
    volumesHash: volumesHash(pod, noObjects),
  };
  const facts = { now: 1000, steady: 1000, backOff: defaultBackOff, memory, probes: new Map() };
  return planPod({ ...wish, objects: noObjects }, observed, facts).steps.map((s) => s.kind);
}

Deno.test("runtimeClassName: another handler makes the pod anew, a class that vanished ends nothing", () => {
  const pod = withRuntimeClass(podOf(), classesOf());
  assertEquals(planOf(pod, "crun"), []);
  assertEquals(planOf(pod, "runc"), ["stopContainer"]);
  assertEquals(planOf(podOf(), "runc"), []);
});

Deno.test("runtimeClassName: an edit that names a class nobody describes does not end what runs", () => {
  assertEquals(planOf(podOf(), "", "the hash without a class"), []);
  assertEquals(planOf(withRuntimeClass(podOf(), classesOf()), "", "the hash without a class"), [
    "stopContainer",
  ]);
});

Deno.test("RuntimeClass manifests are read strictly: version, handler, no namespace, overhead", () => {
  const read = (fields: object) => {
    const text = JSON.stringify({
      ...{ apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name: "fast" }, handler: "crun" },
      ...fields,
    });
    const { runtimeClasses, problems } = parseManifest("f", text);
    return problems.length > 0 ? problems.map((p) => `${p.field}: ${p.message}`) : runtimeClasses;
  };
  const good = {
    ...{ apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name: "fast" }, handler: "crun" },
  };
  assertEquals(read({}), [good]);
  assertEquals(read({ apiVersion: "v1" }), [
    'apiVersion: expected node.k8s.io/v1 for kind RuntimeClass, got "v1"',
  ]);
  assertEquals(read({ metadata: { name: "fast", namespace: "x" } }), [
    "metadata.namespace: a RuntimeClass has no namespace: expected none",
  ]);
  assertEquals(read({ handler: "No_Label", overhead: { podFixed: { cpu: "-1" } } }), [
    "handler: expected at most 63 lowercase letters, digits and '-', starting and ending with a letter or " +
    'digit, got "No_Label"',
    "overhead.podFixed.cpu: expected a quantity that is not negative, got -1",
  ]);
  assertEquals(read({ handler: undefined }), ["handler: required: expected text"]);
});
