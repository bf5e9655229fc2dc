/** A Node is registered, told of when something changes, and made again when it is lost. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Node } from "../../../../../agent/model/gen/v1.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { unknownTo133 } from "../../../../fakes/cluster/older.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { createLab, leaseResource, type NodeLab, viewOf } from "./lab.ts";

const conditionOf = (node: Node, type: string) => node.status?.conditions?.find((c) => c.type === type);
const statusOf = (type: string, status: string) => (node: Node) => conditionOf(node, type)?.status === status;

Deno.test("a Node is registered with labels, annotations, taints and a whole status", async () => {
  await using lab = await createLab();
  lab.run({
    intent: {
      name: "box",
      labels: { rack: "1" },
      taints: [{ key: "dedicated", value: "db", effect: "NoSchedule" }],
      providerID: "metal://1",
      controllerAttaches: true,
    },
  });
  await lab.untilNode("ready", statusOf("Ready", "True"));
  const { metadata, spec, status } = lab.node()!;
  assertEquals(metadata?.labels, { rack: "1" });
  assertEquals(metadata?.annotations, { "volumes.kubernetes.io/controller-managed-attach-detach": "true" });
  assertEquals(spec, {
    providerID: "metal://1",
    taints: [{ key: "dedicated", value: "db", effect: "NoSchedule" }],
  });
  assertEquals(
    status?.conditions?.map((c) => `${c.type}=${c.status} ${c.reason}: ${c.message}`),
    [
      "MemoryPressure=False KubeletHasSufficientMemory: kubelet has sufficient memory available",
      "DiskPressure=False KubeletHasNoDiskPressure: kubelet has no disk pressure",
      "PIDPressure=False KubeletHasSufficientPID: kubelet has sufficient PID available",
      "Ready=True KubeletReady: kubelet is posting ready status",
    ],
  );
  assertEquals(status?.addresses, [
    { type: "InternalIP", address: "192.0.2.1" },
    { type: "Hostname", address: "box" },
  ]);
  assertEquals(status?.daemonEndpoints, { kubeletEndpoint: { Port: 10250 } });
  assertEquals([status?.capacity?.cpu, status?.allocatable?.memory], ["2", "3Gi"]);
  assertEquals(lab.asked(), ["GET nodes", "POST nodes"]);
});

/** A Node that somebody made, or an earlier agent. */
function existing(lab: NodeLab, content: Partial<Node>): void {
  const { metadata: _made, ...rest } = content;
  made(lab.cluster.world, kinds.node, undefined, "box", rest as never);
  const { store } = lab.cluster.world;
  const object = store.get(kinds.node, undefined, "box")!;
  store.put(kinds.node, { ...object, metadata: { ...object.metadata, ...content.metadata } } as never);
}

Deno.test("of a Node that exists only the node's own fields are brought in line", async () => {
  await using lab = await createLab();
  existing(lab, {
    metadata: { labels: { "kubernetes.io/hostname": "other", rack: "9", team: "a" } },
    spec: { taints: [{ key: "theirs", effect: "NoSchedule" }], unschedulable: true },
    status: {
      capacity: { cpu: "2", "example.com/dongle": "3", stale: "1" },
      conditions: [{ type: "NetworkUnavailable", status: "False" }],
      addresses: [{ type: "InternalIP", address: "10.0.0.1" }, { type: "ExternalIP", address: "10.0.0.2" }],
    },
  });
  lab.run();
  await lab.untilNode("ready", statusOf("Ready", "True"));
  const { metadata, spec, status } = lab.node()!;
  assertEquals(metadata?.labels, {
    "kubernetes.io/hostname": "box",
    "kubernetes.io/os": "linux",
    rack: "9",
    team: "a",
  });
  assertEquals(spec, { taints: [{ key: "theirs", effect: "NoSchedule" }], unschedulable: true });
  assertEquals(conditionOf(lab.node()!, "NetworkUnavailable")?.status, "False");
  assertEquals(status?.addresses?.map((a) => a.address), ["192.0.2.1", "box"]);
  assertEquals(status?.capacity, { cpu: "2", memory: "4Gi", pods: "110", "example.com/dongle": "3" });
  assertEquals(status?.allocatable?.["example.com/dongle"], "3", "what others give may be had");
});

Deno.test("a change goes up at once, with the time since when, and touches nothing else", async () => {
  await using lab = await createLab();
  lab.run();
  await lab.untilNode("ready", statusOf("Ready", "True"));
  const before = conditionOf(lab.node()!, "MemoryPressure");
  lab.asked();
  await lab.host.advance(5000);
  lab.view = viewOf({ notReady: "container runtime is down", capacity: { cpu: "2", "a.com/x": "1" } });
  lab.nudge();
  await lab.untilNode("not ready", statusOf("Ready", "False"));
  const ready = conditionOf(lab.node()!, "Ready")!;
  assertEquals([ready.reason, ready.message], ["KubeletNotReady", "container runtime is down"]);
  assertEquals(ready.lastTransitionTime, "2026-01-01T00:00:05Z");
  assertEquals(conditionOf(lab.node()!, "MemoryPressure"), before);
  assertEquals(lab.asked(), ["PATCH nodes/status"]);
  lab.view = viewOf({ pressures: new Set(["DiskPressure"]) });
  lab.nudge();
  await lab.untilNode("short of disk", statusOf("DiskPressure", "True"));
  assertEquals(lab.node()?.status?.capacity?.["a.com/x"], "0", "a resource that is gone is none");
  for (const volumesInUse of [["a"], []]) {
    lab.view = viewOf({ volumesInUse });
    lab.nudge();
    await lab.untilNode(
      "volumes in use",
      ({ status }) => status?.volumesInUse?.length === volumesInUse.length,
    );
  }
});

Deno.test("an API server of an earlier version is told once of what it does not keep", async () => {
  await using lab = await createLab({ settings: { unknownFields: unknownTo133 } });
  lab.view = viewOf({ nodeInfo: { ...viewOf().nodeInfo, swap: { capacity: 1024 } } });
  let looks = 0;
  const looksPass = async () => {
    const enough = looks + 3;
    await until("looked", async () => {
      await lab.host.advance(10_000);
      return looks >= enough;
    });
  };
  lab.run({
    look() {
      looks++;
      return Promise.resolve(lab.view);
    },
  });
  await lab.untilNode("ready", statusOf("Ready", "True"));
  const { status } = lab.node()!;
  assertEquals([status?.declaredFeatures, status?.nodeInfo?.swap], [undefined, undefined]);
  await looksPass();
  assertEquals(lab.asked(), ["GET nodes", "POST nodes"]);
  lab.view = { ...lab.view, notReady: "x" };
  lab.nudge();
  await lab.untilNode("not ready", statusOf("Ready", "False"));
  await looksPass();
  assertEquals(lab.asked(), ["PATCH nodes/status"]);
});

Deno.test("without a change, only Leases are renewed, and the status told every five minutes", async () => {
  await using lab = await createLab();
  lab.run();
  lab.runLease();
  await lab.untilNode("ready", statusOf("Ready", "True"));
  await lab.untilLease();
  lab.asked();
  const end = lab.host.now() + 600_000;
  while (lab.host.now() < end) {
    const before = lab.lease()!.spec.renewTime;
    await until("renewed", async () => {
      await lab.host.advance(1000);
      return lab.lease()!.spec.renewTime > before;
    });
  }
  const asked = lab.asked();
  const renewals = asked.filter((a) => a === "PUT leases").length;
  assert(renewals > 30 && renewals <= 61, `${renewals} renewals in ten minutes`);
  assertEquals(asked.filter((a) => a !== "PUT leases"), ["PATCH nodes/status", "PATCH nodes/status"]);
});

Deno.test("a Node that is deleted is registered again, and its Lease is the new one's", async () => {
  await using lab = await createLab();
  lab.run();
  lab.runLease();
  await lab.untilNode("there", () => true);
  await lab.untilLease();
  const { uid } = lab.node()!.metadata!;
  await until("watched", () => lab.cluster.watches.size === 1);
  lab.cluster.world.store.remove(kinds.node, lab.cluster.world.store.get(kinds.node, undefined, "box")!);
  await until("seen", () => lab.own.get() === undefined);
  await lab.host.advance(10_000);
  await lab.untilNode("there again", (node) => node.metadata!.uid !== uid);
  await until("the node's", async () => {
    await lab.host.advance(1000);
    return lab.lease()?.metadata.ownerReferences[0]?.uid === lab.node()!.metadata!.uid;
  });
});

Deno.test("a lease that was changed or deleted by somebody is renewed all the same", async () => {
  await using lab = await createLab();
  lab.run();
  lab.runLease();
  await lab.untilNode("there", () => true);
  await lab.untilLease();
  const { store } = lab.cluster.world;
  const get = () => store.get(leaseResource, "kube-node-lease", "box")!;
  store.put(leaseResource, { ...get(), metadata: { ...get().metadata, labels: { by: "somebody" } } });
  await until("renewed", async () => {
    await lab.host.advance(1000);
    return lab.lease()!.spec.renewTime >= "2026-01-01T00:00:10";
  });
  assertEquals(get().metadata.labels, { by: "somebody" });
  store.remove(leaseResource, get());
  await until("made again", async () => {
    await lab.host.advance(1000);
    return lab.lease() !== undefined;
  });
  assertEquals(lab.lease()!.spec.leaseDurationSeconds, 40);
});

Deno.test("a server that is away is asked again, the lease often enough to hold", async () => {
  await using lab = await createLab();
  lab.run();
  lab.runLease();
  await lab.untilNode("there", () => true);
  await lab.untilLease();
  const heal = lab.cluster.faults.add({ answer: { status: 503, text: "no leader" } });
  lab.view = viewOf({ notReady: "x" });
  lab.nudge();
  await until("told twice", async () => {
    await lab.host.advance(1000);
    return lab.trouble !== undefined;
  });
  assertStringIncludes(lab.trouble!, "no leader");
  heal();
  await until("no trouble", async () => {
    await lab.host.advance(1000);
    return lab.trouble === undefined;
  });
  await lab.untilNode("told", statusOf("Ready", "False"));
});

Deno.test("a Node that somebody else must make is waited for", async () => {
  await using lab = await createLab();
  lab.run({ register: false });
  await until("trouble", async () => {
    await lab.host.advance(1000);
    return lab.trouble !== undefined;
  });
  assertMatch(lab.trouble!, /registerNode is false/);
  assertEquals(lab.asked().includes("POST nodes"), false);
  existing(lab, {});
  await until("told", async () => {
    await lab.host.advance(1000);
    return conditionOf(lab.node()!, "Ready") !== undefined;
  });
});
