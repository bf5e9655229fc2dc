import { assertEquals, assertNotEquals } from "@std/assert";
import { createHash } from "node:crypto";
import type { Container, Pod, PodSpec } from "../../../../agent/model/gen/v1.ts";
import { containerHash, podHash, sandboxHash, staticPodUid } from "../../../../agent/model/hash.ts";
import { md5 } from "../../../../agent/model/md5.ts";

const base: Container = {
  name: "main",
  image: "demo:1",
  command: ["sh"],
  volumeMounts: [{ name: "v", mountPath: "/v" }],
};
const podOf = (container: Container, spec: Partial<PodSpec> = {}): Pod => ({
  metadata: { name: "web" },
  spec: {
    volumes: [{ name: "v", emptyDir: {} }, { name: "w", emptyDir: {} }],
    ...spec,
    containers: [container],
  },
});
const hashOf = (change: Partial<Container>, spec: Partial<PodSpec> = {}) => {
  const container = { ...base, ...change };
  return containerHash(podOf(container, spec), container);
};
const plain = hashOf({});

Deno.test("md5 is the platform's md5", () => {
  for (
    const text of ["", "abc", "ü€😀", "a".repeat(55), "a".repeat(56), "a".repeat(64), "x".repeat(100_000)]
  ) {
    assertEquals(md5(text), createHash("md5").update(text).digest("hex"));
  }
});

Deno.test("a container's hash changes with what the running container depends on", () => {
  const changes: [Partial<Container>, Partial<PodSpec>?][] = [
    [{ image: "demo:2" }],
    [{ command: ["ash"] }],
    [{ env: [{ name: "A", value: "b" }] }],
    [{ securityContext: { runAsUser: 0 } }],
    [{ securityContext: { allowPrivilegeEscalation: false } }],
    [{ lifecycle: { stopSignal: "SIGINT" } }],
    [{ workingDir: "/x" }],
    [{ tty: true }],
    [{}, { volumes: [{ name: "v", emptyDir: { medium: "Memory" } }] }],
    [{}, { volumes: [{ name: "v", hostPath: { path: "/v" } }] }],
  ];
  const hashes = changes.map(([change, spec]) => hashOf(change, spec));
  assertEquals(new Set([plain, ...hashes]).size, changes.length + 1);
});

Deno.test("and with nothing else", () => {
  const same: [Partial<Container>, Partial<PodSpec>?][] = [
    [{ resources: { limits: { cpu: "1" } } }],
    [{ imagePullPolicy: "Always" }],
    [{ livenessProbe: { exec: { command: ["true"] } } }],
    [{ lifecycle: { preStop: { sleep: { seconds: 1 } } } }],
    [{ ports: [{ containerPort: 80 }] }],
    [{ terminationMessagePolicy: "FallbackToLogsOnError" }],
    [{ terminationMessagePath: "/dev/termination-log" }],
    [{ env: [], tty: false, workingDir: "" }],
    [{ securityContext: {} }],
    [{}, { volumes: [{ name: "w", hostPath: { path: "/" } }, { name: "v" }] }],
    [{}, { hostNetwork: true, restartPolicy: "Never" }],
  ];
  for (const [change, spec] of same) {
    assertEquals(hashOf(change, spec), plain, JSON.stringify([change, spec]));
  }
  const turned = Object.fromEntries(Object.entries(base).reverse()) as unknown as Container;
  assertEquals(containerHash(podOf(turned), turned), plain);
});

Deno.test("a sandbox's hash: what it depends on, and nothing else", () => {
  const of = (spec: Partial<PodSpec>, container: Partial<Container> = {}) =>
    sandboxHash(podOf({ ...base, ...container }, spec));
  const changes = [
    of({ hostNetwork: true }),
    of({ hostPID: true }),
    of({ shareProcessNamespace: true }),
    of({ hostname: "a" }),
    of({ dnsPolicy: "Default" }),
    of({ dnsConfig: { nameservers: ["::1"] } }),
    of({ securityContext: { runAsUser: 1 } }),
    of({}, { ports: [{ containerPort: 80, hostPort: 80 }] }),
  ];
  assertEquals(new Set([of({}), ...changes]).size, changes.length + 1);
  const same = [
    of({ dnsPolicy: "ClusterFirst", hostNetwork: false, securityContext: {} }),
    of({ hostAliases: [{ ip: "::1", hostnames: ["a"] }], terminationGracePeriodSeconds: 1 }),
    of({}, { image: "demo:2", ports: [{ containerPort: 80 }] }),
  ];
  for (const hash of same) assertEquals(hash, of({}));
  assertEquals(
    of({ hostNetwork: true }, { ports: [{ containerPort: 80 }] }),
    of({ hostNetwork: true }),
    "with hostNetwork the ports are no business of the sandbox",
  );
});

Deno.test("a static pod's uid follows its name alone, its hash its content", () => {
  assertEquals(staticPodUid("n", "default", "web"), staticPodUid("n", "default", "web"));
  assertEquals(staticPodUid("n", "default", "web").length, 32);
  assertNotEquals(staticPodUid("n", "default", "web"), staticPodUid("m", "default", "web"));
  assertNotEquals(staticPodUid("n", "a", "b-c"), staticPodUid("n", "a-b", "c"));
  assertNotEquals(podHash(podOf(base)), podHash(podOf({ ...base, resources: { limits: { cpu: "1" } } })));
  assertEquals(podHash(podOf(base)), podHash(podOf(base, { restartPolicy: "Always" })));
});
