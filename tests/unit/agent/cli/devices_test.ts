import { assertEquals, assertMatch } from "@std/assert";
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
