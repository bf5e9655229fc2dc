import { assertEquals } from "@std/assert";
import type { VolumeMount } from "../../../../agent/model/gen/v1.ts";
import {
  asksRecursiveReadOnly,
  recursiveReadOnly,
  volumeMountStatus,
} from "../../../../agent/model/volume_mounts.ts";

const mount = (recursiveReadOnly?: string, readOnly = true): VolumeMount => ({
  name: "v",
  mountPath: "/v",
  ...(readOnly && { readOnly }),
  ...(recursiveReadOnly !== undefined && { recursiveReadOnly }),
});

Deno.test("recursiveReadOnly: Enabled needs the runtime, IfPossible takes what there is, Disabled never", () => {
  const resolved = (mode: string | undefined, supported: boolean) =>
    recursiveReadOnly(mount(mode), supported);
  for (const supported of [true, false]) {
    assertEquals(resolved(undefined, supported), { value: false });
    assertEquals(resolved("Disabled", supported), { value: false });
    assertEquals(resolved("IfPossible", supported), { value: supported });
  }
  assertEquals(resolved("Enabled", true), { value: true });
  assertEquals(resolved("Enabled", false), {
    error: 'failed to resolve recursive read-only mode: volume "v" requested recursive read-only mode, ' +
      "but it is not supported by the runtime",
  });
  const asks = (mode?: string) => asksRecursiveReadOnly({ name: "c", volumeMounts: [mount(), mount(mode)] });
  assertEquals([undefined, "Disabled", "IfPossible", "Enabled"].map(asks), [false, false, true, true]);
});

Deno.test("volumeMounts of a container's status say name, mountPath, readOnly and whether that is recursiveReadOnly", () => {
  assertEquals(volumeMountStatus(mount("IfPossible"), true, undefined), {
    name: "v",
    mountPath: "/v",
    readOnly: true,
    recursiveReadOnly: "Enabled",
  });
  assertEquals(volumeMountStatus(mount(), false, undefined).recursiveReadOnly, "Disabled");
  assertEquals(volumeMountStatus(mount(undefined, false), false, undefined), { name: "v", mountPath: "/v" });
  assertEquals(volumeMountStatus(mount(undefined, false), false, { reference: "a:1", ref: "sha256:1" }), {
    name: "v",
    mountPath: "/v",
    volumeStatus: { image: { imageRef: "sha256:1" } },
  });
});
