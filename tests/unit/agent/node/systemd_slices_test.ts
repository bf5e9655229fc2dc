import { assert, assertEquals, assertRejects } from "@std/assert";
import { defaultCpuPolicy } from "../../../../agent/model/cpu.ts";
import type { ResourceRequirements } from "../../../../agent/model/gen/v1.ts";
import { createCgroups } from "../../../../agent/node/cgroups.ts";
import { sliceProperties } from "../../../../agent/node/systemd_slices.ts";
import type { Host } from "../../../../agent/ports.ts";
import { createCgroupHost } from "../../../fakes/cgroup_tree.ts";

const cgroupsOn = (host: Host) =>
  createCgroups({ host, root: "/", driver: "systemd", policy: { cpu: defaultCpuPolicy, pids: 64 } });
const podOf = (uid: string, resources: ResourceRequirements) => ({
  pod: { metadata: { name: "p" }, spec: { containers: [{ name: "c", resources }] } },
  uid,
  source: "file" as const,
  origin: "test",
});
const call =
  "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager";
const accounting = "CPUAccounting b true MemoryAccounting b true";
const unlimited = "18446744073709551615";

Deno.test("systemd makes the slices of a pod, with their limits, each below the one that its name says", async () => {
  const tree = await createCgroupHost("v2");
  const cgroups = cgroupsOn(tree);
  const pod = podOf("a-b", { limits: { memory: "32Mi" }, requests: { cpu: "500m", memory: "1Mi" } });
  assertEquals(
    await cgroups.ensure(pod),
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice",
  );
  const started = tree.commands.map((argv) => argv.join(" "));
  const made = (unit: string, wants: string, count: number, limits: string) =>
    `${call} StartTransientUnit ssa(sv)a(sa(sv)) ${unit} replace ${count} ` +
    `Description s pods of Kubernetes ${unit} ${wants}DefaultDependencies b false ${accounting} ` +
    `IOAccounting b true TasksAccounting b true ${limits} 0`;
  const open = `CPUQuotaPerSecUSec t ${unlimited} MemoryMax t`;
  assertEquals(started, [
    made("kubepods.slice", "", 9, `CPUWeight t 39 ${open} ${unlimited}`),
    made("kubepods-burstable.slice", "Wants as 1 kubepods.slice ", 10, `CPUWeight t 20 ${open} ${unlimited}`),
    made(
      "kubepods-burstable-poda_b.slice",
      "Wants as 1 kubepods-burstable.slice ",
      11,
      `CPUWeight t 20 ${open} 33554432 TasksMax t 64`,
    ),
  ]);
  assertEquals(await cgroups.known(), ["a-b"]);
});

Deno.test("a slice that is there gets new limits by SetUnitProperties; the same again asks for nothing", async () => {
  const tree = await createCgroupHost("v2");
  await cgroupsOn(tree).ensure(podOf("u1", { limits: { cpu: "1", memory: "32Mi" } }));
  const next = cgroupsOn(tree);
  const grown = podOf("u1", { limits: { cpu: "1500m", memory: "64Mi" } });
  tree.commands.length = 0;
  await next.ensure(grown);
  assertEquals(
    tree.commands.at(-1)?.join(" "),
    `${call} SetUnitProperties sba(sv) kubepods-podu1.slice true 5 CPUWeight t 59 CPUQuotaPeriodUSec t 100000 ` +
      `CPUQuotaPerSecUSec t 1500000 MemoryMax t 67108864 TasksMax t 64`,
  );
  tree.commands.length = 0;
  await next.ensure(grown);
  assertEquals(tree.commands, []);
});

Deno.test("a pod's slice is stopped and gone; the others are when nothing runs in them", async () => {
  const tree = await createCgroupHost("v2");
  const cgroups = cgroupsOn(tree);
  await cgroups.ensure(podOf("u1", {}));
  await cgroups.remove("u1");
  await cgroups.remove("u1");
  const stops = () => tree.commands.filter((argv) => argv.includes("StopUnit")).map((argv) => argv.at(-2));
  assertEquals(stops(), ["kubepods-besteffort-podu1.slice"]);
  assertEquals(await cgroups.known(), []);
  await tree.setValue("kubepods.slice/kubepods-besteffort.slice/cgroup.procs", "1");
  await cgroups.removeRoot();
  assertEquals(stops().length, 1, "there is a process in it");
  await tree.setValue("kubepods.slice/kubepods-besteffort.slice/cgroup.procs", "");
  await cgroups.removeRoot();
  assertEquals(stops().at(-1), "kubepods.slice");
});

Deno.test("what systemd refuses is said in its words", async () => {
  const tree = await createCgroupHost("v2");
  const refusing: Host = {
    ...tree,
    exec: () =>
      Promise.resolve({
        code: 1,
        stdout: new Uint8Array(),
        stderr: new TextEncoder().encode("Access denied\n"),
      }),
  };
  const error = await assertRejects(() => cgroupsOn(refusing).ensure(podOf("u1", {})), Error);
  assert(error.message.endsWith("systemd: StartTransientUnit kubepods.slice: Access denied"), error.message);
});

Deno.test("properties of v1, and quotas in whole per cents of a processor", () => {
  const limits = { cpuShares: 512, cpuQuota: 1234, cpuPeriod: 100_000, memory: 7 };
  assertEquals(sliceProperties(limits, false), [
    ["CPUShares", "t", "512"],
    ["CPUQuotaPeriodUSec", "t", "100000"],
    ["CPUQuotaPerSecUSec", "t", "20000"],
    ["MemoryLimit", "t", "7"],
  ]);
});

Deno.test("a slice that another pod has just had made is taken as it is", async () => {
  const tree = await createCgroupHost("v2");
  const late: Host = {
    ...tree,
    async exec(argv, options, signal) {
      const result = await tree.exec(argv, options, signal);
      if (!argv.includes("StartTransientUnit") || !argv.includes("kubepods.slice")) return result;
      const text = "Call failed: Unit kubepods.slice was already loaded or has a fragment file.\n";
      return { code: 1, stdout: new Uint8Array(), stderr: new TextEncoder().encode(text) };
    },
  };
  assertEquals(
    await cgroupsOn(late).ensure(podOf("u1", {})),
    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podu1.slice",
  );
});
