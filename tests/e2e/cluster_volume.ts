/**
 * A volume of a CSI driver that a control plane attaches to a node, step by step as its controllers and an attacher do. Not
 * for: volumes without a control plane (csi_test.ts).
 */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { sha256 } from "../../agent/lib/sha256.ts";
import type { Node } from "../../agent/model/gen/v1.ts";
import { createDisks } from "../drivers/csi/disks.ts";
import { startCsiDriver } from "../drivers/csi/start.ts";
import { made } from "../fakes/cluster/controllers.ts";
import { find, kinds } from "../fakes/cluster/world.ts";
import type { ClusterOfOne, Manifest } from "./cluster.ts";
import { podOf, shell, stay } from "./pods.ts";

const driver = "test.csi.example";
const handle = "vol-disk";
const attachedName = `kubernetes.io/csi/${driver}^${handle}`;

/** A claim that is bound to a volume, as the controller of volumes leaves them. */
async function bindClaim({ user }: ClusterOfOne): Promise<void> {
  const common = { accessModes: ["ReadWriteOnce"], storageClassName: "" };
  const claim = await user.create({
    kind: "PersistentVolumeClaim",
    metadata: { name: "disk" },
    spec: { ...common, volumeName: "disk", resources: { requests: { storage: "8Mi" } } },
  } as Manifest);
  const claimRef = { namespace: "default", name: "disk", uid: claim.metadata.uid };
  await user.create({
    kind: "PersistentVolume",
    metadata: { name: "disk" },
    spec: {
      ...common,
      ...{ capacity: { storage: "8Mi" }, claimRef, csi: { driver, volumeHandle: handle } },
    },
  } as Manifest);
  await user.patch("PersistentVolumeClaim", "disk", { status: { phase: "Bound" } }, "status");
  await user.create(
    { kind: "CSIDriver", metadata: { name: driver }, spec: { attachRequired: true } } as Manifest,
  );
}

async function attach({ cluster: { world }, user, node: { name } }: ClusterOfOne, state: string) {
  await createDisks(state).save({
    ...{ id: handle, name: "disk", bytes: 8 * 2 ** 20 },
    ...{ kind: "directory", attached: true },
  });
  const id = `csi-${await sha256(handle + driver + name)}`;
  const status = { attached: true, attachmentMetadata: { attachment: "by the attacher" } };
  made(world, kinds.attachment, undefined, id, { spec: { nodeName: name }, status } as never);
  const volumesAttached = [{ name: attachedName, devicePath: "" }];
  await user.patch("Node", name, { status: { volumesAttached } }, "status");
}

export async function checkAttachment(one: ClusterOfOne): Promise<void> {
  const { cluster: { world }, user, node: { name, agent, run } } = one;
  const directory = join(agent.directory, "csi");
  const state = join(directory, "state");
  await Deno.mkdir(directory);
  const registration = `${agent.root}/plugins_registry/${driver}-reg.sock`;
  await using process = await startCsiDriver(directory, { name: driver, state, registration, nodeId: "n-1" });
  await createDisks(state).create({
    ...{ id: handle, name: "disk", bytes: 8 * 2 ** 20 },
    ...{ kind: "directory", attached: false },
  });
  await bindClaim(one);
  const container = shell("main", `echo kept >/data/file; cat /data/file; ${stay}`, {
    volumeMounts: [{ name: "data", mountPath: "/data" }],
  });
  const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "disk" } }];
  await run(podOf("writer", [container], { volumes }));
  const inUse = (node?: Node) => node?.status?.volumesInUse?.includes(attachedName) === true;
  await user.until<Node>("Node", name, "a volume in use", inUse);
  const csiNode = () => world.store.get(find("CSINode"), undefined, name)?.spec?.drivers;
  assertEquals(csiNode(), [{ name: driver, nodeID: "n-1", topologyKeys: [] }]);
  assertEquals(await process.calls("NodeStageVolume"), [], "nothing is mounted before it is attached");
  await attach(one, state);
  await agent.untilLog("writer", "main", /^kept$/m);
  assertEquals(await process.calls("ControllerPublishVolume"), []);
  await user.remove("Pod", "writer", 0);
  await user.until<Node>("Node", name, "no volume in use", (node) => !inUse(node));
  await agent.untilGone("writer");
  assertEquals((await process.calls("NodeUnstageVolume")).length > 0, true);
  await process.stop();
}
