import { assertEquals } from "@std/assert";
import type { Container, Pod, PodSpec, ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import type { ObservedContainer, ObservedPod } from "../../../../agent/model/observed.ts";
import {
  actualResources,
  allocate,
  isPodOutdated,
  parseGiven,
  podGivenText,
  resizeOf,
  type Room,
} from "../../../../agent/model/resize.ts";

const both = (cpu: string, memory: string): ResourceRequirements => ({
  requests: { cpu, memory },
  limits: { cpu, memory },
});
const container = (resources: ResourceRequirements, more: Partial<Container> = {}): Container => ({
  name: "main",
  resources,
  ...more,
});
const podOf = (containers: Container[], more: Partial<PodSpec> = {}): Pod => ({
  spec: { containers, ...more },
});
const seen = (resources: ResourceRequirements, more: Partial<ObservedContainer> = {}): ObservedContainer => ({
  id: "c0",
  name: "main",
  sandboxId: "box",
  attempt: 0,
  state: "running",
  createdAt: 1,
  image: "",
  imageRef: "",
  hash: "",
  backOff: 0,
  graceSeconds: 1,
  resources,
  logPath: "",
  ...more,
});
const world = (containers: ObservedContainer[], resources?: string): ObservedPod => ({
  uid: "u",
  namespace: "default",
  name: "web",
  hasDirectory: true,
  sandboxes: [{
    id: "box",
    attempt: 0,
    ready: true,
    createdAt: 1,
    ips: [],
    hash: "",
    runtimeHandler: "",
    ...(resources === undefined ? {} : { resources }),
  }],
  containers,
});
const nothingKept = { resources: new Map<string, string>() };
const room: Room = { allocatable: { cpu: 4, memory: 2 ** 32 }, others: { cpu: 1.5, memory: 2 ** 30 } };

Deno.test("cpu and memory change in place; amounts count, not how they are written", () => {
  const now = seen(both("500m", "64Mi"));
  const of = (resources: ResourceRequirements, more: Partial<Container> = {}, isInit = false) =>
    resizeOf(container(resources, more), isInit, now, nothingKept);
  assertEquals(of(both("0.5", "65536Ki")), "none");
  assertEquals(of(both("1", "64Mi")), "inPlace");
  assertEquals(of({ requests: { cpu: "500m", memory: "64Mi" } }), "inPlace", "a limit that is gone");
  const disk = { limits: { ...both("500m", "64Mi").limits, "ephemeral-storage": "1Gi" } };
  assertEquals(of({ ...both("500m", "64Mi"), ...disk }), "none");
  assertEquals(of(both("1", "1Gi"), {}, true), "none", "an init container that ends is left alone");
  assertEquals(of(both("1", "1Gi"), { restartPolicy: "Always" }, true), "inPlace", "a sidecar is not");
});

Deno.test("resizePolicy RestartContainer: a change of that resourceName restarts, of another does not", () => {
  const resizePolicy = [
    { resourceName: "cpu", restartPolicy: "NotRequired" },
    { resourceName: "memory", restartPolicy: "RestartContainer" },
  ];
  const of = (resources: ResourceRequirements) =>
    resizeOf(container(resources, { resizePolicy }), false, seen(both("1", "64Mi")), nothingKept);
  assertEquals(of(both("2", "64Mi")), "inPlace");
  assertEquals(of(both("1", "128Mi")), "restart");
  assertEquals(of(both("2", "128Mi")), "restart");
});

Deno.test("what was given in place outlasts the container's own record; a change that was cut off is made again", () => {
  const kept = (text: string) => ({ resources: new Map([["c0", text]]) });
  const now = seen(both("1", "64Mi"));
  const wanted = container(both("2", "64Mi"));
  assertEquals(resizeOf(wanted, false, now, kept(JSON.stringify(both("2", "64Mi")))), "none");
  assertEquals(resizeOf(container(both("1", "64Mi")), false, now, kept("")), "inPlace");
  assertEquals(actualResources(wanted, now, kept(JSON.stringify(both("3", "64Mi")))), both("3", "64Mi"));
});

Deno.test("status shows resources as they were given, and of others what is asked", () => {
  const wanted = container({
    limits: { cpu: "2", memory: "1Gi", "ephemeral-storage": "1Gi" },
    requests: { cpu: "1" },
  });
  assertEquals(actualResources(wanted, seen({ limits: { cpu: "1" } }), nothingKept), {
    limits: { cpu: "1", "ephemeral-storage": "1Gi" },
  });
});

Deno.test("more than the node has is infeasible: everything stays as it was given", () => {
  const before = both("1", "64Mi");
  const o = world([seen(before)]);
  const cpu = allocate(podOf([container(both("5", "64Mi"))]), o, nothingKept, room);
  assertEquals(cpu.pending, {
    reason: "Infeasible",
    message: "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000",
  });
  assertEquals(cpu.pod.spec!.containers[0]!.resources, before);
  const memory = allocate(podOf([container(both("5", "8Gi"))]), o, nothingKept, room);
  assertEquals(
    memory.pending?.message,
    "Node didn't have enough capacity: memory, requested: 8589934592, capacity: 4294967296",
  );
});

Deno.test("what other pods leave too little for is deferred; what asks for no more never waits", () => {
  const of = (now: ResourceRequirements, wanted: ResourceRequirements, more: Room = room) =>
    allocate(podOf([container(wanted)]), world([seen(now)]), nothingKept, more).pending;
  assertEquals(of(both("1", "64Mi"), both("3", "64Mi")), {
    reason: "Deferred",
    message: "Node didn't have enough resource: cpu, requested: 3000, used: 1500, capacity: 4000",
  });
  assertEquals(of(both("1", "64Mi"), both("2500m", "64Mi")), undefined);
  const full = { ...room, others: { cpu: 4, memory: 2 ** 32 } };
  assertEquals(of(both("2", "64Mi"), both("1", "32Mi"), full), undefined);
  assertEquals(of(both("1", "64Mi"), both("1", "65Mi"), full)?.reason, "Deferred");
});

Deno.test("a pod of which nothing runs is not resized: it is taken or not as a whole", () => {
  const pod = podOf([container(both("5", "64Mi"))]);
  for (const containers of [[], [seen(both("1", "64Mi"), { state: "exited" })]]) {
    assertEquals(allocate(pod, world(containers), nothingKept, room), { pod });
  }
});

Deno.test("an infeasible change of one container holds those of all, and of the pod's own resources", () => {
  const old = podOf([container(both("1", "64Mi")), container(both("1", "64Mi"), { name: "side" })], {
    resources: { limits: { cpu: "2" } },
  });
  const wanted = podOf([container(both("500m", "64Mi")), container(both("9", "64Mi"), { name: "side" })], {
    resources: { limits: { cpu: "10" } },
  });
  const o = world(
    [seen(both("1", "64Mi")), seen(both("1", "64Mi"), { id: "c1", name: "side" })],
    podGivenText(old),
  );
  const { pod, pending } = allocate(wanted, o, nothingKept, room);
  assertEquals(pending?.reason, "Infeasible");
  assertEquals(pod.spec, old.spec);
});

Deno.test("the pod's cgroup is outdated when its own resources, its overhead or the set of its containers changed", () => {
  const old = podOf([container(both("1", "64Mi"))], { resources: { limits: { memory: "1Gi" } } });
  const [box] = world([], podGivenText(old)).sandboxes;
  const outdated = (pod: Pod, memory = nothingKept) => isPodOutdated(pod, box!, memory);
  assertEquals(outdated(old), false);
  assertEquals(outdated(podOf(old.spec!.containers, { resources: { limits: { memory: "2Gi" } } })), true);
  assertEquals(outdated(podOf(old.spec!.containers, { ...old.spec, overhead: { cpu: "1" } })), true);
  const more = podOf([...old.spec!.containers, container(both("1", "1Mi"), { name: "new" })], {
    resources: old.spec!.resources!,
  });
  assertEquals(outdated(more), true);
  assertEquals(outdated(more, { resources: new Map([["box", podGivenText(more)]]) }), false);
  assertEquals(
    isPodOutdated(more, world([]).sandboxes[0]!, nothingKept),
    false,
    "made by an agent that kept nothing",
  );
});

Deno.test("what is kept is taken only whole", () => {
  assertEquals(parseGiven('{"id":"a","text":""}'), { id: "a", text: "" });
  for (const text of [undefined, "", "[", "null", '{"id":1,"text":""}']) {
    assertEquals(parseGiven(text), undefined);
  }
});
