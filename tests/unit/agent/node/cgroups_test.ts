import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import type { DesiredPod } from "../../../../agent/model/wish.ts";
import { createCgroups } from "../../../../agent/node/cgroups.ts";
import type { Host, MountPoint } from "../../../../agent/ports.ts";

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
      const cgroups = createCgroups({ host, root, driver: "cgroupfs" });
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

      const next = createCgroups({ host, root, driver: "cgroupfs" });
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
      const cgroups = createCgroups({ host, root, driver: "cgroupfs" });
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
      const cgroups = createCgroups({ host, root, driver: "cgroupfs" });
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
      const cgroups = createCgroups({ host, root, driver: "cgroupfs" });
      const pod = burstable("u1", "500m");
      const path = await cgroups.ensure(pod);
      let writes = 0;
      const counting: Host = { ...host, writeFile: (...args) => (writes++, host.writeFile(...args)) };
      const counted = createCgroups({ host: counting, root, driver: "cgroupfs" });
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

/** Version 2 as the kernel shows it where nothing has been passed on yet: plain files stand for cgroupfs. */
async function inUnified(test: (root: string, host: Host) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "agent-cgroups-" });
  const passed: string[] = [];
  const mount: MountPoint = { path: directory, fsType: "cgroup2", source: "cgroup2", options: ["rw"] };
  const unified: Host = {
    ...host,
    mounts: () => Promise.resolve([mount]),
    async mkdir(path) {
      await host.mkdir(path);
      await Deno.writeTextFile(
        `${path}/cgroup.controllers`,
        passed.filter((p) => path.startsWith(p)).length > 0 ? "cpu memory" : "",
      );
    },
    async writeFile(path, content) {
      if (path.endsWith("/cgroup.subtree_control")) passed.push(path.slice(0, path.lastIndexOf("/")));
      await Deno.writeFile(path, new TextEncoder().encode(`${content}`));
    },
  };
  try {
    await Deno.writeTextFile(`${directory}/cgroup.controllers`, "cpuset cpu io memory pids\n");
    await test(directory, unified);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("cgroup v2: controllers are passed on down to the pod, limits in its own words", () =>
  inUnified(async (root, unified) => {
    const cgroups = createCgroups({ host: unified, root: "/", driver: "cgroupfs" });
    const path = await cgroups.ensure(podOf("u1", { limits: { cpu: "500m", memory: "32Mi" } }));
    assertEquals(path, "/kubepods/podu1");
    assertEquals(await read(root + path, "cpu.max"), "50000 100000");
    assertEquals(await read(root + path, "memory.max"), `${32 * 2 ** 20}`);
    assertEquals(await read(root + path, "cpu.weight"), "20");
    assertEquals(await read(`${root}/kubepods`, "cgroup.subtree_control"), "+memory");
    await cgroups.ensure(podOf("u2", { requests: { cpu: "1" } }));
    assertEquals(await read(`${root}/kubepods/burstable`, "cpu.weight"), "39");
    assertEquals(await read(`${root}/kubepods/burstable/podu2`, "cpu.max"), "max 100000");
    assertEquals(await read(`${root}/kubepods/burstable/podu2`, "memory.max"), "max");
    assertEquals(await cgroups.known(), ["u1", "u2"]);
  }));

Deno.test("a first look that fails, at a cgroup that is just going, holds up no later pod", () =>
  inUnified(async (root, unified) => {
    await Deno.mkdir(`${root}/kubepods/burstable/podgone`, { recursive: true });
    let fails = true;
    const readText: Host["readText"] = (path) =>
      fails && path.endsWith("podgone/cpu.weight")
        ? Promise.reject(new Error("No such device (os error 19)"))
        : unified.readText(path);
    const cgroups = createCgroups({ host: { ...unified, readText }, root: "/", driver: "cgroupfs" });
    await assertRejects(() => cgroups.ensure(burstable("u1", "1")), AgentError, "No such device");
    fails = false;
    assertEquals(await cgroups.ensure(burstable("u1", "1")), "/kubepods/burstable/podu1");
  }));

Deno.test("systemd's slices are only named", async () => {
  const refusing = new Proxy(host, { get: (_, name) => () => Promise.reject(new Error(String(name))) });
  const cgroups = createCgroups({ host: refusing, root: "/", driver: "systemd" });
  assertEquals(
    await cgroups.ensure(podOf("a-b", {})),
    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-poda_b.slice",
  );
  await cgroups.remove("a-b");
});

Deno.test("a uid that is no name never becomes a path", async () => {
  const cgroups = createCgroups({ host, root: "/", driver: "cgroupfs" });
  for (const uid of ["../..", "a/b", "", "."]) {
    await assertRejects(() => cgroups.ensure(podOf(uid, {})), AgentError, "cannot name a cgroup");
    await assertRejects(() => cgroups.remove(uid), AgentError, "cannot name a cgroup");
  }
});
