import { assertEquals } from "@std/assert";
import { defaultPod } from "../../../../agent/model/defaults.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";

/** Fields of a pod with these volumes and this container that are refused. */
function refused(volumes: object[], container: object = {}, spec: object = {}): string[] {
  const text = JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web" },
    spec: { containers: [{ name: "main", image: "demo:1", ...container }], volumes, ...spec },
  });
  const { pods, problems } = parseManifest("f", text);
  const errors = problems.filter((p) => p.severity === "error").map((p) => p.field ?? "");
  assertEquals(pods.length, errors.length === 0 ? 1 : 0);
  return errors;
}
const c = "spec.containers[0]";
const shared = { name: "shared", emptyDir: {} };
const fileKey = (ref: object) => ({ env: [{ name: "V", valueFrom: { fileKeyRef: ref } }] });
const fileKeyAt = `${c}.env[0].valueFrom.fileKeyRef`;

Deno.test("env.valueFrom.fileKeyRef names an emptyDir, a path inside and a key", () => {
  const right = { volumeName: "shared", path: "a/b.env", key: "any key.x", optional: true };
  assertEquals(refused([shared], fileKey(right)), []);
  assertEquals(refused([{ name: "shared" }], fileKey(right)), []);
  assertEquals(refused([], fileKey(right)), [`${fileKeyAt}.volumeName`]);
  assertEquals(refused([{ name: "shared", hostPath: { path: "/" } }], fileKey(right)), [
    `${fileKeyAt}.volumeName`,
  ]);
  for (const path of ["/etc/passwd", "../x", "a/../../x", "..data", ""]) {
    assertEquals(refused([shared], fileKey({ ...right, path })), [`${fileKeyAt}.path`], path);
  }
  for (const key of ["", "a=b", "k".repeat(129)]) {
    assertEquals(refused([shared], fileKey({ ...right, key })), [`${fileKeyAt}.key`], key);
  }
  assertEquals(refused([shared], fileKey({ volumeName: "shared" })), [
    `${fileKeyAt}.key`,
    `${fileKeyAt}.path`,
  ]);
});

Deno.test("emptyDir.medium is the disk, memory or huge pages of a size", () => {
  const medium = (medium: string) => refused([{ name: "v", emptyDir: { medium } }]);
  for (const right of ["", "Memory", "HugePages", "HugePages-2Mi", "HugePages-1Gi"]) {
    assertEquals(medium(right), []);
  }
  for (const wrong of ["memory", "HugePages-", "HugePages-0", "HugePages-big"]) {
    assertEquals(medium(wrong), ["spec.volumes[0].emptyDir.medium"], wrong);
  }
  assertEquals(refused([{ name: "v", emptyDir: { sizeLimit: "-1" } }]), [
    "spec.volumes[0].emptyDir.sizeLimit",
  ]);
});

Deno.test("recursiveReadOnly goes with readOnly and without mountPropagation", () => {
  const mount = (more: object) =>
    refused([shared], {
      securityContext: { privileged: true },
      volumeMounts: [{ name: "shared", mountPath: "/v", ...more }],
    });
  const at = `${c}.volumeMounts[0].recursiveReadOnly`;
  for (const recursiveReadOnly of ["IfPossible", "Enabled"]) {
    assertEquals(mount({ recursiveReadOnly, readOnly: true }), []);
    assertEquals(mount({ recursiveReadOnly, readOnly: true, mountPropagation: "None" }), []);
    assertEquals(mount({ recursiveReadOnly }), [at]);
    assertEquals(mount({ recursiveReadOnly, readOnly: true, mountPropagation: "HostToContainer" }), [at]);
  }
  assertEquals(mount({ recursiveReadOnly: "Disabled" }), []);
  assertEquals(mount({ recursiveReadOnly: "Always", readOnly: true }), [at]);
});

Deno.test("mountPropagation Bidirectional is for privileged containers", () => {
  const volumeMounts = [{ name: "shared", mountPath: "/v", mountPropagation: "Bidirectional" }];
  assertEquals(refused([shared], { volumeMounts }), [`${c}.volumeMounts[0].mountPropagation`]);
  assertEquals(refused([shared], { volumeMounts, securityContext: { privileged: true } }), []);
});

Deno.test("image.reference is a name, image.pullPolicy one of three; by default it follows the tag", () => {
  const image = (image: object) => refused([{ name: "v", image }]);
  assertEquals(image({ reference: "registry.example/model:1", pullPolicy: "Never" }), []);
  assertEquals(image({}), ["spec.volumes[0].image.reference"]);
  assertEquals(image({ reference: "a b", pullPolicy: "always" }), [
    "spec.volumes[0].image.reference",
    "spec.volumes[0].image.pullPolicy",
  ]);
  const policyOf = (reference: string) =>
    defaultPod({ spec: { containers: [], volumes: [{ name: "v", image: { reference } }] } })
      .spec?.volumes?.[0]?.image?.pullPolicy;
  assertEquals(["a", "a:latest", "a:1"].map(policyOf), ["Always", "Always", "IfNotPresent"]);
});

Deno.test("csi wants the name of a driver, and of a Secret where it refers to one", () => {
  const at = "spec.volumes[0].csi";
  const csi = (source: object) => refused([{ name: "v", csi: source }]);
  assertEquals(csi({ driver: "Disk.csi.example", volumeAttributes: { a: "b" }, fsType: "ext4" }), []);
  for (const driver of ["", "a/b", "-a", "a".repeat(64)]) {
    assertEquals(csi({ driver }), [`${at}.driver`], driver);
  }
  assertEquals(csi({}), [`${at}.driver`]);
  const name = `${at}.nodePublishSecretRef.name`;
  assertEquals(csi({ driver: "a", nodePublishSecretRef: {} }), [name]);
  assertEquals(csi({ driver: "a", nodePublishSecretRef: { name: "A" } }), [name]);
});

Deno.test("volumeDevices name claims, each once, at paths of their own", () => {
  const at = (i: number, field: string) => `${c}.volumeDevices[${i}].${field}`;
  const devices = (list: object[], more: object = {}) =>
    refused([shared], { volumeDevices: list, ...more }).filter((field) => field.startsWith(c)).toSorted();
  assertEquals(devices([{ name: "other", devicePath: "/dev/a" }]), [at(0, "name")]);
  assertEquals(devices([{ name: "shared", devicePath: "/dev/a" }]), [at(0, "name")]);
  assertEquals(devices([{ name: "shared", devicePath: "/dev/../a" }]), [at(0, "devicePath"), at(0, "name")]);
  assertEquals(devices([{}]), [at(0, "devicePath"), at(0, "name")]);
  const mounts = { volumeMounts: [{ name: "shared", mountPath: "/data" }] };
  assertEquals(devices([{ name: "shared", devicePath: "/data" }], mounts), [
    at(0, "devicePath"),
    at(0, "name"),
    at(0, "name"),
  ]);
  const twice = [{ name: "x", devicePath: "/dev/a" }, { name: "x", devicePath: "/dev/a" }];
  assertEquals(devices(twice).filter((field) => field.startsWith(at(1, ""))), [
    at(1, "devicePath"),
    at(1, "name"),
    at(1, "name"),
  ]);
});
