/** Volumes that grow at the API server, made use of by a node that may tell their claims no more than that. */
import { assertEquals } from "@std/assert";
import { createExpansion } from "../../../../../agent/cluster/objects/expansion.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../../../../agent/model/gen/v1.ts";
import { noObjects, type Objects } from "../../../../../agent/model/wish.ts";
import { startCluster } from "../../../../fakes/cluster/cluster.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { connected } from "../connected.ts";

const node = { commonName: "system:node:box", organizations: ["system:nodes"] };

Deno.test("a volume that has grown is expanded once a pod has it, and its claim told; what fails is tried again", async () => {
  await using cluster = await startCluster();
  const { world } = cluster;
  using api = await connected(cluster, { subject: node });
  const claimVolume = { name: "v", persistentVolumeClaim: { claimName: "data" } };
  made(world, kinds.pod, "w", "one", { spec: { nodeName: "box", containers: [], volumes: [claimVolume] } });
  const csi = { driver: "d", volumeHandle: "h" };
  const write = (size: string, claimSize: string) => {
    made(world, kinds.volume, undefined, "pv", { spec: { csi, capacity: { storage: size } } });
    made(world, kinds.claim, "w", "data", {
      spec: { volumeName: "pv" },
      status: {
        phase: "Bound",
        capacity: { storage: claimSize },
        conditions: [{ type: "FileSystemResizePending", status: "True" }, { type: "Other", status: "True" }],
        allocatedResourceStatuses: { storage: "NodeResizePending" },
      },
    });
  };
  const claim = () => world.store.get(kinds.claim, "w", "data") as unknown as PersistentVolumeClaim;
  const objects = (): Objects => ({
    ...noObjects,
    persistentVolumeClaims: new Map([["w/data", claim()]]),
    persistentVolumes: new Map([[
      "pv",
      world.store.get(kinds.volume, undefined, "pv") as unknown as PersistentVolume,
    ]]),
  });
  const answers: (boolean | Error)[] = [false, new Error("the driver is away"), true];
  const asked: number[] = [];
  const leaving = new AbortController();
  const expansion = createExpansion({
    api,
    log: silentLog,
    objects,
    backOff: { first: 1, most: 5 },
    expand(_volume, bytes) {
      asked.push(bytes / 2 ** 30);
      const answer = answers.shift() ?? true;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  });
  const running = expansion.run(leaving.signal);
  write("1Gi", "1Gi");
  expansion.look();
  write("2Gi", "1Gi");
  cluster.faults.add({ when: (seen) => seen.method === "PATCH", times: 1, answer: { status: 409 } });
  expansion.look();
  await until("the claim is told", () => claim().status?.capacity?.["storage"] === "2Gi");
  assertEquals(asked, [2, 2, 2, 2]);
  assertEquals(claim().status?.conditions, [{ type: "Other", status: "True" }]);
  assertEquals(claim().status?.phase, "Bound");
  assertEquals(claim().status?.allocatedResourceStatuses ?? {}, {});
  expansion.look();
  write("3Gi", "2Gi");
  expansion.look();
  await until("it is told of the next growth", () => claim().status?.capacity?.["storage"] === "3Gi");
  leaving.abort();
  await running;
  assertEquals(asked.at(-1), 3);
  assertEquals(cluster.requests.every(({ user }) => user === "system:node:box"), true);
});
