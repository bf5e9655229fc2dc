import { assertEquals } from "@std/assert";
import { chainIdIn, imageMountSupport, snapshotterIn } from "../../../../plugins/cri/image_volumes.ts";

Deno.test("who mounts an image: the runtime since containerd 2.1 and CRI-O 1.31, the agent with older containerd, else nobody", () => {
  const cases: [string, string, string | undefined][] = [
    ["containerd", "1.6.20~ds1", "snapshots"],
    ["containerd", "v1.7.27", "snapshots"],
    ["containerd", "v2.0.5", "snapshots"],
    ["containerd", "v2.1.0-rc.1", "runtime"],
    ["containerd", "2.10.1", "runtime"],
    ["containerd", "3.0.0", "runtime"],
    ["containerd", "", "snapshots"],
    ["cri-o", "1.30.4", undefined],
    ["cri-o", "1.31.0", "runtime"],
    ["cri-o", "2.0.0", "runtime"],
    ["cri-dockerd", "28.0.1", undefined],
  ];
  for (const [name, version, expected] of cases) {
    assertEquals(imageMountSupport(name, version), expected, `${name} ${version}`);
  }
});

Deno.test("what containerd tells in detail is read with care", () => {
  assertEquals(snapshotterIn('{"containerd":{"snapshotter":"zfs"}}'), "zfs");
  for (
    const odd of [
      undefined,
      "",
      "null",
      "{}",
      "[1]",
      '{"containerd":{"snapshotter":""}}',
      '{"containerd":7}',
      "{",
    ]
  ) {
    assertEquals(snapshotterIn(odd), undefined, odd);
  }
  assertEquals(chainIdIn('{"chainID":"sha256:1","imageSpec":{}}'), "sha256:1");
  for (const odd of [undefined, "{}", '{"chainID":7}', "x"]) assertEquals(chainIdIn(odd), undefined, odd);
});
