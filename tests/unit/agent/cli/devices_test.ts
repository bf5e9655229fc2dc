import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createLab } from "./lab.ts";

const shared = { source: "devices of the host", health: "Healthy", numaNodes: [], shares: 100 } as const;

Deno.test("get devices: what there is of each resource, how it is, and who has it", async () => {
  await using lab = await createLab();
  lab.store.putPod({ metadata: { name: "vm", namespace: "default", uid: "u1" }, spec: { containers: [] } });
  lab.devices.push(
    { ...shared, resource: "agent.local/kvm", id: "/dev/kvm", users: [{ uid: "u1", container: "qemu" }] },
    {
      ...{ resource: "vendor.example/gpu", id: "GPU-1", source: "device plugins", health: "Unhealthy" },
      ...{ numaNodes: [1], shares: 1, users: [{ uid: "gone", container: "main" }] },
    },
    {
      resource: "x.example/old",
      id: "a",
      source: "",
      health: "Unknown",
      numaNodes: [],
      shares: 1,
      users: [],
    },
  );
  assertEquals(
    (await lab.agent("get", "devices")).out,
    "RESOURCE             DEVICE     HEALTH      USED    BY\n" +
      "agent.local/kvm      /dev/kvm   Healthy     1/100   default/vm/qemu\n" +
      "vendor.example/gpu   GPU-1      Unhealthy   1/1     gone/main\n" +
      "x.example/old        a          Unknown     0/1\n",
  );
  const wide = (await lab.agent("get", "devices", "-o", "wide")).out;
  assertMatch(wide, /1\/100 +devices of the host +<any> +default/);
  assertMatch(wide, /1\/1 +device plugins +1 +gone/);
  assertMatch(wide, /0\/1 +<none> +<any>/);
  assertEquals(JSON.parse((await lab.agent("get", "devices", "/dev/kvm", "-o", "json")).out), {
    ...{ kind: "Device", metadata: { name: "/dev/kvm" }, resource: "agent.local/kvm" },
    ...{ source: "devices of the host", health: "Healthy", shares: 100 },
    usedBy: [{ namespace: "default", pod: "vm", uid: "u1", container: "qemu" }],
  });
});

Deno.test("status: what there is of each resource, what may be given and what is in use", async () => {
  await using lab = await createLab();
  const idle = ["agent.local/kvm", "agent.local/tun"];
  const status = lab.store.status()!;
  const amounts = (gpus: string) => ({
    ...{ cpu: "2", "hugepages-2Mi": "0", "vendor.example/gpu": gpus },
    ...Object.fromEntries(idle.map((name) => [name, "100"])),
  });
  lab.store.setStatus({ ...status, capacity: amounts("2"), allocatable: amounts("1") });
  const gpu = { resource: "vendor.example/gpu", source: "p", health: "Healthy", numaNodes: [] } as const;
  const users = ["init", "main"].map((container) => ({ uid: "u", container }));
  lab.devices.push({ ...shared, resource: "agent.local/kvm", id: "/dev/kvm", users });
  lab.devices.push({ ...gpu, id: "0", shares: 1, users }, { ...gpu, id: "1", shares: 1, users: [] });
  lab.devices.push({ ...shared, resource: "x.example/old", id: "a", users: [users[0]!] });
  const { out } = await lab.agent("status");
  assertStringIncludes(
    out,
    "Devices     agent get devices\n" +
      "  RESOURCE             CAPACITY   ALLOCATABLE   IN USE\n" +
      "  agent.local/kvm      100        100           2\n" +
      "  vendor.example/gpu   2          1             1\n" +
      "  x.example/old        0          0             1\n" +
      "Pods        none\n",
  );
  lab.devices.length = 0;
  lab.store.setStatus(status);
  assertEquals((await lab.agent("status")).out.includes("Devices"), false);
});
