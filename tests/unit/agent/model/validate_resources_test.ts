import { assertEquals, assertNotEquals } from "@std/assert";
import { resolveEnv } from "../../../../agent/model/env.ts";
import type { Container, PodSpec, ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import { containerHash, sandboxHash } from "../../../../agent/model/hash.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import { noObjects } from "../../../../agent/model/wish.ts";

const parsed = (spec: Partial<PodSpec>, container: Partial<Container> = {}) =>
  parseManifest(
    "f",
    JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web" },
      spec: { containers: [{ name: "main", image: "demo:1", ...container }], ...spec },
    }),
  );
const problems = (...pod: Parameters<typeof parsed>) =>
  parsed(...pod).problems.map((p) => `${p.severity} ${p.field}: ${p.message}`);
const ofContainer = (resources: ResourceRequirements) => problems({}, { resources });
const ofPod = (resources: ResourceRequirements, container: Partial<Container> = {}) =>
  problems({ resources }, container);
const podOf = (...pod: Parameters<typeof parsed>) => {
  const { pods: [pod1], problems } = parsed(...pod);
  assertEquals(problems, []);
  return pod1!;
};
const at = "error spec.containers[0].resources";

Deno.test("hugepages of a container: whole pages, requested as limited, beside cpu or memory", () => {
  const more = { memory: "1Mi" };
  assertEquals(ofContainer({ limits: { "hugepages-2Mi": "4Mi", ...more } }), []);
  assertEquals(ofContainer({ limits: { "hugepages-2Mi": "4Mi" } }), [
    `${at}.limits.hugepages-2Mi: huge pages require cpu or memory: expected one of them`,
  ]);
  assertEquals(ofContainer({ limits: { "hugepages-2Mi": "3Mi", ...more } }), [
    `${at}.limits.hugepages-2Mi: expected a multiple of the size of a page, got 3Mi`,
  ]);
  assertEquals(ofContainer({ limits: { "hugepages-two": "4Mi", ...more } }), [
    `${at}.limits.hugepages-two: expected a size of pages such as hugepages-2Mi, got "hugepages-two"`,
  ]);
  assertEquals(ofContainer({ requests: { "hugepages-2Mi": "4Mi", ...more } }), [
    `${at}.requests.hugepages-2Mi: expected a limit of 4Mi as well: hugepages-2Mi is not overcommitted`,
  ]);
  assertEquals(
    ofContainer({ limits: { "hugepages-2Mi": "4Mi", ...more }, requests: { "hugepages-2Mi": "2Mi" } }),
    [`${at}.requests.hugepages-2Mi: expected the limit of 4Mi, got 2Mi: hugepages-2Mi is not overcommitted`],
  );
});

Deno.test("ephemeral-storage is a resource of every node; limits of extended resources are whole numbers", () => {
  assertEquals(ofContainer({ limits: { "ephemeral-storage": "1Gi" } }), []);
  const gpu = "example.com/gpu";
  assertEquals(ofContainer({ limits: { [gpu]: "2" }, requests: { [gpu]: "2" } }), []);
  assertEquals(ofContainer({ limits: { [gpu]: "1500m" } }), [
    `${at}.limits["${gpu}"]: expected a whole number of ${gpu}, got 1500m`,
  ]);
});

Deno.test("resizePolicy: one for cpu and one for memory; no restart of what never restarts", () => {
  const policy = (resourceName: string, restartPolicy: string) => ({ resourceName, restartPolicy });
  const here = "error spec.containers[0].resizePolicy";
  const of = (...resizePolicy: ReturnType<typeof policy>[]) => problems({}, { resizePolicy });
  assertEquals(of(policy("cpu", "NotRequired"), policy("memory", "RestartContainer")), []);
  assertEquals(of(policy("cpu", "NotRequired"), policy("cpu", "RestartContainer")), [
    `${here}[1].resourceName: the resource "cpu" stands twice; expected unique ones`,
  ]);
  assertEquals(of(policy("disk", "Never")), [
    `${here}[0].resourceName: expected one of cpu, memory, got "disk"`,
    `${here}[0].restartPolicy: expected one of NotRequired, RestartContainer, got "Never"`,
  ]);
  assertEquals(
    problems({ restartPolicy: "Never" }, { resizePolicy: [policy("cpu", "RestartContainer")] }),
    [`${here}[0].restartPolicy: expected NotRequired, because the pod's restartPolicy is Never`],
  );
  const init = { name: "init", image: "demo:1", resizePolicy: [policy("cpu", "NotRequired")] };
  assertEquals(problems({ initContainers: [init] }).length, 1);
  assertEquals(problems({ initContainers: [{ ...init, restartPolicy: "Always" }] }), []);
});

Deno.test("resizePolicy has a default for each resource that is given", () => {
  const [container] = podOf({}, { resources: { limits: { memory: "1Mi" } } }).spec!.containers;
  assertEquals(container?.resizePolicy, [{ resourceName: "memory", restartPolicy: "NotRequired" }]);
  assertEquals(podOf({}).spec!.containers[0]?.resizePolicy, undefined);
});

Deno.test("spec.resources of the pod: cpu, memory and hugepages, no less than its containers have", () => {
  const spec = "error spec.resources";
  assertEquals(ofPod({ requests: { cpu: "1" }, limits: { cpu: "2", memory: "1Gi" } }), []);
  assertEquals(ofPod({ limits: { "ephemeral-storage": "1Gi" } }), [
    `${spec}.limits.ephemeral-storage: a pod as a whole has no ephemeral-storage: expected cpu, memory or hugepages-SIZE`,
  ]);
  assertEquals(ofPod({ requests: { cpu: "100m" } }, { resources: { requests: { cpu: "200m" } } }), [
    `${spec}.requests.cpu: expected at least 200m, what the containers have; got 100m`,
  ]);
  assertEquals(ofPod({ limits: { memory: "1Mi" } }, { resources: { limits: { memory: "2Mi" } } }), [
    "error spec.containers[0].resources.limits.memory: expected at most the pod's limit of 1Mi, got 2Mi",
  ]);
  assertEquals(ofPod({ limits: { memory: "1Mi" }, requests: { memory: "2Mi" } }), [
    `${spec}.requests.memory: expected at most the limit of 1Mi, got 2Mi`,
  ]);
  assertEquals(
    ofPod({ limits: { "hugepages-2Mi": "2Mi", cpu: "1" } }, {
      resources: { limits: { "hugepages-2Mi": "4Mi", cpu: "1" } },
    }),
    [`${spec}.limits.hugepages-2Mi: expected at least 4Mi, what the containers have; got 2Mi`],
  );
});

Deno.test("spec.resources of the pod: requests default to those of the containers, else to the pod's limits", () => {
  const limits = { cpu: "2", memory: "1Gi" };
  const resources = { requests: { cpu: "250m" }, limits: { "hugepages-2Mi": "4Mi" } };
  assertEquals(podOf({ resources: { limits } }, { resources }).spec?.resources, {
    limits: { "hugepages-2Mi": "4Mi", ...limits },
    requests: { "hugepages-2Mi": "4Mi", cpu: "250m", memory: "1Gi" },
  });
  assertEquals(podOf({ resources: { requests: { cpu: "1" } } }).spec?.resources, { requests: { cpu: "1" } });
  assertEquals(podOf({ resources: {} }).spec?.resources, {});
});

Deno.test("overhead is a list of quantities", () => {
  assertEquals(problems({ overhead: { cpu: "100m", memory: "8Mi" } }), []);
  assertEquals(problems({ overhead: { cpu: "-1" } }), [
    "error spec.overhead.cpu: expected a quantity that is not negative, got -1",
  ]);
});

Deno.test("the downward API knows the limit of the pod where the container sets none", () => {
  const env = (
    resource: string,
  ) => [{ name: "LIMIT", valueFrom: { resourceFieldRef: { resource, divisor: "1" } } }];
  const facts = { podIPs: [], hostIPs: [], nodeName: "n", allocatable: { cpu: 64, memory: 2 ** 40 } };
  const limitOf = (resources: ResourceRequirements, resource: string) => {
    const pod = podOf({ resources }, { env: env(resource) });
    return resolveEnv(pod, pod.spec!.containers[0]!, noObjects, facts);
  };
  const value = (result: ReturnType<typeof limitOf>) =>
    "env" in result ? result.env.at(-1)?.value : result.error;
  assertEquals(value(limitOf({ limits: { memory: "1Gi" } }, "limits.memory")), `${2 ** 30}`);
  assertEquals(value(limitOf({ limits: { memory: "1Gi" } }, "limits.cpu")), "64");
});

Deno.test("another QoS class makes another sandbox, other amounts within the class do not", () => {
  const hash = (resources: ResourceRequirements) => sandboxHash(podOf({}, { resources }));
  const burstable = hash({ requests: { cpu: "1" } });
  assertEquals(hash({ requests: { cpu: "2", memory: "1Mi" } }), burstable);
  assertNotEquals(hash({}), burstable);
  assertNotEquals(hash({ limits: { cpu: "1", memory: "1Mi" } }), burstable);
});

Deno.test("other hugepages make another container, other cpu or memory does not", () => {
  const hash = (limits: Record<string, string>) => {
    const pod = podOf({}, { resources: { limits } });
    return containerHash(pod, pod.spec!.containers[0]!);
  };
  assertEquals(hash({ cpu: "2" }), hash({ memory: "1Mi" }));
  assertNotEquals(hash({ cpu: "2", "hugepages-2Mi": "2Mi" }), hash({ cpu: "2" }));
});
