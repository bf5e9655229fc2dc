import { assertEquals, assertMatch } from "@std/assert";
import { createLab } from "./lab.ts";

Deno.test("agent kubelet says its version as kubeadm reads it, and takes -v as klog does", async () => {
  await using lab = await createLab();
  const { out } = await lab.agent("kubelet", "--version");
  // kubeadm's preflight (GetKubeletVersion).
  assertMatch(
    out.trim(),
    /^\s*Kubernetes v((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-0-9a-zA-Z_.+]*)?)\s*$/,
  );
  for (const words of [["-v=4"], ["-v", "4"], ["--v=4"]]) {
    assertEquals((await lab.agent("kubelet", ...words)).code, 0);
    assertEquals(lab.asked.at(-1), ["kubelet", "4"]);
  }
  assertEquals((await lab.agent("kubelet", "--no-such-flag")).code, 2);
});
