import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import { defaultCpuPolicy } from "../../../../agent/model/cpu.ts";
import { type CgroupOptions, createCgroups } from "../../../../agent/node/cgroups.ts";
import type { Host } from "../../../../agent/ports.ts";
import { createCgroupHost } from "../../../fakes/cgroup_tree.ts";

const host = createHost();
const mounts = await host.mounts();
const v1 = (controller: string) =>
  mounts.find((m) => m.fsType === "cgroup" && m.options.includes(controller))?.path;
const [cpu, memory] = [v1("cpu"), v1("memory")];
/** These tests write real cgroups of version 1 below a root of their own. */
const needsV1 = { ignore: Deno.uid() !== 0 || cpu === undefined || memory === undefined };

const podOf = (uid: string, resources: ResourceRequirements): DesiredPod => ({
  pod: { metadata: { name: "p" }, spec: { containers: [{ name: "c", resources }] } },
  uid,
  source: "file",
  origin: "test",
});
const policy = { cpu: defaultCpuPolicy };
const cgroupsOn = (host: Host, root: string, more: Partial<CgroupOptions> = {}) =>
  createCgroups({ host, root, driver: "cgroupfs", policy, ...more });
const burstable = (uid: string, cores: string) =>
  podOf(uid, { requests: { cpu: cores }, limits: { memory: "64Mi" } });

async function inRoot(test: (root: string) => Promise<void>): Promise<void> {
  const root = `/agent-test-${crypto.randomUUID().slice(0, 8)}`;
  try {
    await test(root);
  } finally {
    for (const m of mounts.filter((m) => m.fsType.startsWith("cgroup"))) {
      for (const path of ["/kubepods/burstable", "/kubepods/besteffort", "/kubepods", ""]) {
        await host.remove(`${m.path}${root}${path}`);
      }
    }
  }
}

const read = async (directory: string, file: string) =>
  (await Deno.readTextFile(`${directory}/${file}`)).trim();

Deno.test({
  name: "a pod's cgroup has its limits, its class weighs what its pods ask for, and all go again",
  ...needsV1,
  fn: () =>
    inRoot(async (root) => {
      const cgroups = cgroupsOn(host, root);
      assertEquals(await cgroups.ensure(burstable("u1", "500m")), `${root}/kubepods/burstable/podu1`);
      assertEquals(await cgroups.ensure(burstable("u2", "1")), `${root}/kubepods/burstable/podu2`);
      const guaranteed = podOf("u3", { limits: { cpu: "250m", memory: "32Mi" } });
      assertEquals(await cgroups.ensure(guaranteed), `${root}/kubepods/podu3`);
      assertEquals(await read(`${cpu}${root}/kubepods/burstable/podu1`, "cpu.shares"), "512");
      assertEquals(await read(`${cpu}${root}/kubepods/burstable/podu1`, "cpu.cfs_quota_us"), "-1");
      assertEquals(
        await read(`${memory}${root}/kubepods/burstable/podu1`, "memory.limit_in_bytes"),
        `${64 * 2 ** 20}`,
      );
      assertEquals(await read(`${cpu}${root}/kubepods/podu3`, "cpu.cfs_quota_us"), "25000");
      assertEquals(await read(`${cpu}${root}/kubepods/burstable`, "cpu.shares"), "1536");
      assertEquals(await cgroups.known(), ["u1", "u2", "u3"]);

      const next = cgroupsOn(host, root);
      await next.ensure(burstable("u1", "1500m"));
      assertEquals(await read(`${cpu}${root}/kubepods/burstable`, "cpu.shares"), "2560");
      await next.remove("u2");
      assertEquals(await read(`${cpu}${root}/kubepods/burstable`, "cpu.shares"), "1536");
      await next.remove("u1");
      await next.remove("u3");
      await next.remove("u3");
      assertEquals(await next.known(), []);
    }),
});

Deno.test({
  name: "removal takes cgroups that others nested there, in every hierarchy, and kills strays in them",
  ...needsV1,
  fn: () =>
    inRoot(async (root) => {
      const cgroups = cgroupsOn(host, root);
      const path = await cgroups.ensure(podOf("u1", {}));
      const all = mounts.filter((m) => m.fsType.startsWith("cgroup")).map((m) => `${m.path}${path}`);
      for (const directory of all) await Deno.mkdir(`${directory}/container/deeper`, { recursive: true });
      const stray = new Deno.Command("sleep", { args: ["600"], stdout: "null", stderr: "null" }).spawn();
      await Deno.writeTextFile(`${cpu}${path}/container/deeper/cgroup.procs`, `${stray.pid}`);
      await cgroups.remove("u1");
      assertEquals((await stray.status).signal, "SIGKILL");
      for (const directory of all) assertEquals(await host.stat(directory), undefined, directory);
    }),
});

Deno.test({
  name: "the root goes with all that is empty; what has a process stays",
  ...needsV1,
  fn: () =>
    inRoot(async (root) => {
      const cgroups = cgroupsOn(host, root);
      const path = await cgroups.ensure(podOf("busy", {}));
      await cgroups.ensure(podOf("idle", {}));
      const all = mounts.filter((m) => m.fsType.startsWith("cgroup")).map((m) => `${m.path}${root}`);
      for (const directory of all) await Deno.mkdir(`${directory}/nested`, { recursive: true });
      const stray = new Deno.Command("sleep", { args: ["600"], stdout: "null", stderr: "null" }).spawn();
      await Deno.writeTextFile(`${cpu}${path}/cgroup.procs`, `${stray.pid}`);
      await cgroups.removeRoot();
      assertEquals(await cgroups.known(), ["busy"]);
      stray.kill("SIGKILL");
      await stray.status;
      await cgroups.removeRoot();
      for (const directory of all) assertEquals(await host.stat(directory), undefined, directory);
    }),
});

Deno.test({
  name: "the same again writes nothing, and a cgroup that somebody removed comes back",
  ...needsV1,
  fn: () =>
    inRoot(async (root) => {
      const cgroups = cgroupsOn(host, root);
      const pod = burstable("u1", "500m");
      const path = await cgroups.ensure(pod);
      let writes = 0;
      const counting: Host = { ...host, writeFile: (...args) => (writes++, host.writeFile(...args)) };
      const counted = cgroupsOn(counting, root);
      await counted.ensure(pod);
      assert(writes > 0);
      writes = 0;
      await counted.ensure(pod);
      assertEquals(writes, 0);
      await Deno.remove(`${memory}${path}`);
      await counted.ensure(pod);
      assertEquals(await read(`${memory}${path}`, "memory.limit_in_bytes"), `${64 * 2 ** 20}`);
      await counted.remove("u1");
    }),
});

const resources = (cpu: string, memory: string): ResourceRequirements => ({ limits: { cpu, memory } });

for (
  const [version, files] of [
    ["v1", {
      shares: "cpu/PATH/cpu.shares=512",
      quota: "cpu/PATH/cpu.cfs_quota_us=50000",
      memory: "memory/PATH/memory.limit_in_bytes=33554432",
      pids: "pids/PATH/pids.max=64",
      pages: "hugetlb/PATH/hugetlb.2MB.limit_in_bytes=4194304",
    }],
    ["v2", {
      shares: "PATH/cpu.weight=20",
      quota: "PATH/cpu.max=50000 100000",
      memory: "PATH/memory.max=33554432",
      pids: "PATH/pids.max=64",
      pages: "PATH/hugetlb.2MB.max=4194304",
      untouched: "PATH/memory.min=0",
    }],
  ] as const
) {
  Deno.test(`cgroup ${version}: limits of CPU, memory, processes (podPidsLimit) and hugepages of a pod`, async () => {
    const tree = await createCgroupHost(version);
    const cgroups = cgroupsOn(tree, "/", { policy: { ...policy, pids: 64 } });
    const limits = { cpu: "500m", memory: "32Mi", "hugepages-2Mi": "4Mi" };
    const path = await cgroups.ensure(podOf("u1", { limits }));
    assertEquals(path, "/kubepods/podu1");
    for (const line of Object.values(files)) {
      const [file, value] = line.replace("PATH", path.slice(1)).split("=");
      assertEquals(tree.value(file!), value, file);
    }
    await cgroups.ensure(podOf("u2", resources("1", "1Mi")));
    const pages = version === "v1"
      ? "hugetlb/kubepods/podu2/hugetlb.2MB.limit_in_bytes"
      : "kubepods/podu2/hugetlb.2MB.max";
    assertEquals(tree.value(pages), "0", "pages that are not asked for are not given");
    assertEquals(await cgroups.known(), ["u1", "u2"]);
    await cgroups.remove("u1");
    await cgroups.remove("u2");
    assertEquals(await cgroups.known(), []);
    await cgroups.removeRoot();
    assertEquals(tree.value(version === "v1" ? "cpu/kubepods/cpu.shares" : "kubepods/cpu.weight"), undefined);
  });

  Deno.test(`cgroup ${version}: burstable pods weigh together what they request, best-effort ones the least`, async () => {
    const tree = await createCgroupHost(version);
    const [mount, file] = version === "v1" ? ["cpu/", "cpu.shares"] : ["", "cpu.weight"];
    const shown = (path: string) => tree.value(`${mount}${path}/${file}`);
    const cgroups = cgroupsOn(tree, "/", { limits: { cpuShares: 2048 } });
    for (const [uid, cores] of [["u1", "1"], ["u2", "2"]] as const) {
      await cgroups.ensure(burstable(uid, cores));
    }
    await cgroups.ensure(podOf("u3", { limits: { memory: "1Mi" } }));
    await cgroups.ensure(podOf("u4", {}));
    const [all, sum, least] = version === "v1" ? ["2048", "3072", "2"] : ["79", "118", "1"];
    assertEquals(shown("kubepods"), all);
    assertEquals(shown("kubepods/burstable"), sum, "a pod that requests no CPU adds nothing");
    assertEquals([shown("kubepods/besteffort"), shown("kubepods/besteffort/podu4")], [least, least]);
    await cgroups.remove("u1");
    assertEquals(shown("kubepods/burstable"), version === "v1" ? "2048" : "79");
  });

  Deno.test(`cgroup ${version}: room is made before a pod grows, and none is taken before it has shrunk`, async () => {
    const tree = await createCgroupHost(version);
    const cgroups = cgroupsOn(tree, "/");
    const small = podOf("u1", resources("100m", "32Mi"));
    const large = podOf("u1", resources("200m", "16Mi"));
    await cgroups.ensure(small);
    const next = cgroupsOn(tree, "/");
    const shown = () =>
      version === "v1"
        ? [
          tree.value("cpu/kubepods/podu1/cpu.cfs_quota_us"),
          tree.value("memory/kubepods/podu1/memory.limit_in_bytes"),
        ]
        : [tree.value("kubepods/podu1/cpu.max")?.split(" ")[0], tree.value("kubepods/podu1/memory.max")];
    await next.makeRoom(large);
    assertEquals(shown(), ["20000", `${32 * 2 ** 20}`]);
    await next.ensure(large);
    assertEquals(shown(), ["20000", `${16 * 2 ** 20}`]);
    const usage = version === "v1"
      ? "memory/kubepods/podu1/memory.usage_in_bytes"
      : "kubepods/podu1/memory.current";
    await tree.setValue(usage, "4096");
    const stat = version === "v1"
      ? "memory/kubepods/podu1/memory.stat=total_rss 8\ntotal_inactive_file 1096"
      : "kubepods/podu1/memory.stat=anon 8\ninactive_file 1096";
    await tree.setValue(...(stat.split("=") as [string, string]));
    // The runtime makes what the agent has no limits for.
    if (version === "v1") await tree.mkdir("/sys/fs/cgroup/cpuacct/kubepods/podu1");
    const cpu = version === "v1"
      ? "cpuacct/kubepods/podu1/cpuacct.usage=5000"
      : "kubepods/podu1/cpu.stat=usage_usec 5";
    await tree.setValue(...(cpu.split("=") as [string, string]));
    const { at: _, ...used } = (await next.usage(large))!;
    assertEquals(used, {
      cpu: 5000,
      memory: 4096,
      workingSet: 3000,
      rss: 8,
      ...(version === "v1" && { swap: 0 }),
    });
    assertEquals(await next.usage(podOf("u2", {})), undefined);
  });
}

Deno.test("cgroup v2: controllers are passed on down to the pod, and no further", async () => {
  const tree = await createCgroupHost("v2");
  await cgroupsOn(tree, "/").ensure(burstable("u1", "1"));
  const passed = "cpuset cpu io memory hugetlb pids";
  for (const path of ["", "kubepods/", "kubepods/burstable/"]) {
    assertEquals(tree.value(`${path}cgroup.subtree_control`), passed, path);
  }
  assertEquals(tree.value("kubepods/burstable/podu1/cgroup.subtree_control"), "");
});

Deno.test("a first look that fails, at a cgroup that is just going, holds up no later pod", async () => {
  const tree = await createCgroupHost("v2");
  await tree.mkdir("/sys/fs/cgroup/kubepods/burstable/podgone");
  let fails = true;
  const readText: Host["readText"] = (path) =>
    fails && path.endsWith("podgone/cpu.weight")
      ? Promise.reject(new Error("No such device (os error 19)"))
      : tree.readText(path);
  const cgroups = cgroupsOn({ ...tree, readText }, "/");
  await assertRejects(() => cgroups.ensure(burstable("u1", "1")), AgentError, "No such device");
  fails = false;
  assertEquals(await cgroups.ensure(burstable("u1", "1")), "/kubepods/burstable/podu1");
});

Deno.test("a uid that is no name never becomes a path", async () => {
  const cgroups = cgroupsOn(host, "/");
  for (const uid of ["../..", "a/b", "", "."]) {
    await assertRejects(() => cgroups.ensure(podOf(uid, {})), AgentError, "cannot name a cgroup");
    await assertRejects(() => cgroups.remove(uid), AgentError, "cannot name a cgroup");
  }
});
