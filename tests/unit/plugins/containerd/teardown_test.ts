import { assertEquals } from "@std/assert";
import { parseCgroups } from "../../../../plugins/containerd/teardown.ts";

Deno.test("cgroups of a process, in every hierarchy; the top ones are nobody's to remove", () => {
  const text = "5:cpu,cpuacct:/k8s.io/a\n2:name=systemd:/k8s.io/a\n1:memory:/\n0::/pods/b:c\n\nnonsense\n";
  assertEquals(parseCgroups(text), [
    "/sys/fs/cgroup/cpu,cpuacct/k8s.io/a",
    "/sys/fs/cgroup/systemd/k8s.io/a",
    "/sys/fs/cgroup/pods/b:c",
    "/sys/fs/cgroup/unified/pods/b:c",
  ]);
});
