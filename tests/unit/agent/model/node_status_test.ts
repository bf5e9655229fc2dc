/** What of a Node's status is worth a request. */
import { assertEquals } from "@std/assert";
import type { NodeStatus } from "../../../../agent/model/gen/v1.ts";
import { nodeImages } from "../../../../agent/model/node_images.ts";
import { nodePatch } from "../../../../agent/model/node_object.ts";
import { nodeStatus, statusPatch } from "../../../../agent/model/node_status.ts";
import { viewOf } from "../cluster/node/lab.ts";

const at = (second: number) => `2026-01-01T00:00:0${second}Z`;
const told = nodeStatus(viewOf(), {}, at(0));

Deno.test("what is equal is not told, but for its time", () => {
  assertEquals(statusPatch(told, nodeStatus(viewOf(), told, at(1)), false), undefined);
  const heartbeat = statusPatch(told, nodeStatus(viewOf(), told, at(1)), true) as { status: NodeStatus };
  assertEquals(Object.keys(heartbeat.status), ["conditions"]);
  assertEquals(heartbeat.status.conditions?.map((c) => [c.lastHeartbeatTime, c.lastTransitionTime]), [
    ...Array.from({ length: 4 }, () => [at(1), at(0)]),
  ]);
});

Deno.test("addresses replace each other, mappings tell what is gone", () => {
  const view = viewOf({ addresses: ["192.0.2.9", "2001:db8::9"], capacity: { cpu: "4" } });
  const patch = statusPatch(told, nodeStatus(view, told, at(1)), false) as {
    status: Record<string, unknown>;
  };
  assertEquals(patch.status.addresses, [
    { type: "InternalIP", address: "192.0.2.9" },
    { type: "InternalIP", address: "2001:db8::9" },
    { type: "Hostname", address: "box" },
    { $patch: "replace" },
  ]);
  assertEquals(patch.status.capacity, { cpu: "4", memory: null, pods: null });
});

Deno.test("images are the largest, with at most five names; those without a name are none", () => {
  const image = (size: number, ...repoTags: string[]) => ({ repoTags, repoDigests: [], size });
  const images = [image(1, "a"), image(3, "c", "d", "e", "f", "g", "h"), image(9), image(2, "b")];
  assertEquals(nodeImages(images, 2), [
    { names: ["c", "d", "e", "f", "g"], sizeBytes: 3 },
    { names: ["b"], sizeBytes: 2 },
  ]);
  assertEquals(nodeImages(images, -1).length, 3);
});

Deno.test("a Node whose volumes the node attaches itself loses the annotation", () => {
  const intent = { name: "box", labels: {}, taints: [], providerID: "", controllerAttaches: false };
  const key = "volumes.kubernetes.io/controller-managed-attach-detach";
  const node = { metadata: { annotations: { [key]: "true", theirs: "x" } } };
  assertEquals(nodePatch(node, intent), { metadata: { annotations: { [key]: null } } });
  assertEquals(nodePatch(node, { ...intent, controllerAttaches: true }), undefined);
});

Deno.test("what the API server writes in another form is no change", () => {
  const view = viewOf({ capacity: { cpu: "2", memory: "4Gi", pods: "110", "a.com/x": "1000" } });
  const wanted = nodeStatus(view, told, at(0));
  const written = { ...wanted, capacity: { ...wanted.capacity, "a.com/x": "1k", memory: "4194304Ki" } };
  assertEquals(statusPatch(written, nodeStatus(view, written, at(1)), false), undefined);
});
