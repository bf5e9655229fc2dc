/** CSI drivers and attached volumes of a node, at the double of a control plane. */
import { assertEquals, assertRejects } from "@std/assert";
import { createAttachments } from "../../../../../agent/cluster/node/attachments.ts";
import { type CsiNodeOptions, keepCsiNode } from "../../../../../agent/cluster/node/csi_node.ts";
import { createListeners } from "../../../../../agent/lib/listeners.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { sha256 } from "../../../../../agent/lib/sha256.ts";
import type { CsiNode } from "../../../../../agent/model/csi_node.ts";
import { AgentError } from "../../../../../agent/model/errors.ts";
import type { CsiDriver, CsiDriverFacts } from "../../../../../agent/plugin_ports.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { find, kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { never } from "../connected.ts";
import { createLab, type NodeLab, viewOf } from "./lab.ts";

function createDrivers() {
  const all = new Map<string, CsiDriver>();
  const listeners = createListeners<string>();
  return {
    driver: (name: string) => all.get(name),
    all: () => [...all.values()],
    subscribe: listeners.subscribe,
    come(name: string, more: Partial<CsiDriverFacts> = {}) {
      const facts = { name, nodeId: "id", maxVolumesPerNode: 0, topology: {}, ...more };
      all.set(name, { facts } as CsiDriver);
      listeners.tell(name);
    },
    leave(name: string) {
      all.delete(name);
      listeners.tell(name);
    },
  };
}

const csiNodeOf = (lab: NodeLab) =>
  lab.cluster.world.store.get(find("CSINode"), undefined, "box") as unknown as CsiNode | undefined;
const driversOf = (lab: NodeLab) => csiNodeOf(lab)?.spec.drivers.map(({ name }) => name).join();

async function running(lab: NodeLab, test: (drivers: ReturnType<typeof createDrivers>) => Promise<void>) {
  lab.run();
  await lab.untilNode("there", () => true);
  const drivers = createDrivers();
  const stop = new AbortController();
  const of: CsiNodeOptions = {
    ...{ api: lab.api, host: lab.host, log: silentLog, own: lab.own },
    ...{ nodeName: "box", drivers, random: () => 0 },
  };
  const done = keepCsiNode(of, stop.signal);
  try {
    await test(drivers);
  } finally {
    stop.abort();
    await done;
  }
}

Deno.test("drivers that register stand in the CSINode and on the Node, until they leave", async () => {
  await using lab = await createLab();
  await running(lab, async (drivers) => {
    await until("a CSINode without drivers", () => driversOf(lab) === "");
    assertEquals(csiNodeOf(lab)?.metadata.ownerReferences?.[0]?.uid, lab.node()!.metadata!.uid);
    const topology = { "topology.a.com/rack": "r1" };
    drivers.come("b.com", { nodeId: "other" });
    drivers.come("a.com", { maxVolumesPerNode: 16, topology });
    await until("both", () => driversOf(lab) === "a.com,b.com");
    assertEquals(csiNodeOf(lab)?.spec.drivers[0], {
      name: "a.com",
      nodeID: "id",
      topologyKeys: ["topology.a.com/rack"],
      allocatable: { count: 16 },
    });
    const annotation = () => lab.node()!.metadata?.annotations?.["csi.volume.kubernetes.io/nodeid"];
    await lab.untilNode("labelled", (node) => node.metadata?.labels?.["topology.a.com/rack"] === "r1");
    assertEquals(JSON.parse(annotation()!), { "a.com": "id", "b.com": "other" });
    drivers.leave("b.com");
    await until("one", () => driversOf(lab) === "a.com");
    await until("its id is gone", () => annotation() === '{"a.com":"id"}');
  });
});

Deno.test("drivers that are not here yet after a start stay, and nothing is asked while nothing changes", async () => {
  await using lab = await createLab();
  const known = { spec: { drivers: [{ name: "old.com", nodeID: "x", topologyKeys: null }] } };
  made(lab.cluster.world, find("CSINode"), undefined, "box", known as never);
  await running(lab, async (drivers) => {
    drivers.come("a.com");
    await until("both", () => driversOf(lab) === "a.com,old.com");
    await until(
      "noted",
      () => lab.node()!.metadata?.annotations?.["csi.volume.kubernetes.io/nodeid"] !== undefined,
    );
    lab.asked();
    lab.view = viewOf({ notReady: "x" });
    lab.nudge();
    await lab.untilNode("another status", (node) => node.status?.conditions?.at(-1)?.status === "False");
    drivers.come("a.com");
    await until("looked again", () => lab.cluster.requests.at(-1)?.resource === "csinodes");
    assertEquals(lab.asked(), ["PATCH nodes/status", "GET csinodes"]);
  });
});

const volume = { driver: "a.com", handle: "vol-1" };
const name = "kubernetes.io/csi/a.com^vol-1";

/** What the attach-detach controller and an attacher would write. */
async function attach(lab: NodeLab, status: Record<string, unknown>): Promise<void> {
  const { world } = lab.cluster;
  const id = `csi-${await sha256(volume.handle + volume.driver + "box")}`;
  made(world, kinds.attachment, undefined, id, { spec: { nodeName: "box" }, status } as never);
  const node = world.store.get(kinds.node, undefined, "box")!;
  world.store.put(kinds.node, {
    ...node,
    status: { ...node.status, volumesAttached: [{ name, devicePath: "" }] },
  } as never);
}

Deno.test("a volume is told to be in use, then waited for; it is told no more once it is released", async () => {
  await using lab = await createLab();
  const { api, own } = lab;
  const attachments = createAttachments({ api, own, nodeName: "box", patience: 50 });
  attachments.restore([{ driver: "a.com", handle: "old" }]);
  attachments.changes.subscribe(() => lab.nudge(), never());
  const look = () => Promise.resolve(viewOf({ volumesInUse: attachments.inUse() }));
  lab.run({ look });
  await lab.untilNode("there", (node) => node.status?.volumesInUse?.join() === "kubernetes.io/csi/a.com^old");
  const ask = () => attachments.attached(volume, undefined, never());
  await assertRejects(() => ask(), AgentError, "the control plane has not attached it yet");
  await lab.untilNode("in use", (node) => node.status?.volumesInUse?.includes(name) === true);

  await attach(lab, { attached: false, attachError: { message: "no such disk" } });
  await until("seen", () => own.get()?.status?.volumesAttached?.length === 1);
  await assertRejects(() => ask(), AgentError, "no such disk");
  await attach(lab, { attached: true, attachmentMetadata: { device: "/dev/x" } });
  assertEquals(await ask(), { device: "/dev/x" });

  lab.cluster.faults.add({ answer: { status: 503 } });
  await assertRejects(() => ask(), AgentError);
  assertEquals(await attachments.attached(volume, { device: "/dev/old" }, never()), { device: "/dev/old" });
  attachments.released(volume);
  assertEquals(attachments.inUse(), ["kubernetes.io/csi/a.com^old"]);
});
