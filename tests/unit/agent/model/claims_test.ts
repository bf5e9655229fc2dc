import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  type ClaimRecords,
  type ClaimWorld,
  learnClaims,
  noRecords,
  planClaims,
  volumeNameOf,
} from "../../../../agent/model/claims.ts";
import { matchesLabels } from "../../../../agent/model/claim_match.ts";
import { withClaims } from "../../../../agent/model/claim_status.ts";
import type { Volume } from "../../../../agent/model/gen/v1.ts";
import { noObjects } from "../../../../agent/model/wish.ts";
import { claimOf, classOf, fateOf, type Scene, volumeOf, worldOf } from "./claims_lab.ts";

const none = { storageClassName: "" };

Deno.test("a claim takes the smallest volume that fits, or the one that is kept for it", () => {
  const volumes = [volumeOf("big", "10Gi"), volumeOf("small", "2Gi"), volumeOf("tiny", "1Mi")];
  assertEquals(fateOf("a", { claims: [claimOf("a", none)], volumes }), "small");
  const kept = volumeOf("kept", "50Gi", { claimRef: { name: "a", namespace: "default" } });
  assertEquals(fateOf("a", { claims: [claimOf("a", none)], volumes: [...volumes, kept] }), "kept");
  const foreign = volumeOf("foreign", "1Gi", { claimRef: { name: "b", namespace: "default" } });
  assertEquals(fateOf("a", { claims: [claimOf("a", none)], volumes: [...volumes, foreign] }), "small");
});

Deno.test("class, access modes, volume mode, selector and node each keep a volume from a claim", () => {
  const wrong = [
    volumeOf("class", "1Gi", { storageClassName: "x" }),
    volumeOf("modes", "1Gi", { accessModes: ["ReadOnlyMany"] }),
    volumeOf("block", "1Gi", { volumeMode: "Block" }),
    volumeOf("labels", "1Gi"),
    volumeOf("node", "1Gi", {
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: "zone", operator: "In", values: ["b"] }] }],
        },
      },
    }, { tier: "gold" }),
  ];
  const claim = claimOf("a", { ...none, selector: { matchLabels: { tier: "gold" } } });
  assertMatch(
    fateOf("a", { claims: [claim], volumes: wrong }),
    /FailedBinding: no persistent volumes available/,
  );
  const right = volumeOf("right", "1Gi", {}, { tier: "gold" });
  assertEquals(fateOf("a", { claims: [claim], volumes: [...wrong, right] }), "right");
});

Deno.test("labels are selected as the API selects them", () => {
  const labels = { tier: "gold", empty: "" };
  const fits = (key: string, operator: string, ...values: string[]) =>
    matchesLabels({ matchExpressions: [{ key, operator, values }] }, labels);
  assertEquals([fits("tier", "In", "gold", "x"), fits("tier", "In", "x"), fits("none", "In", "")], [
    true,
    false,
    false,
  ]);
  assertEquals([fits("tier", "NotIn", "gold"), fits("none", "NotIn", "gold")], [false, true]);
  assertEquals([fits("empty", "Exists"), fits("none", "Exists"), fits("none", "DoesNotExist")], [
    true,
    false,
    true,
  ]);
  assertEquals([fits("toString", "Exists"), matchesLabels({}, labels)], [false, true]);
});

Deno.test("a claim that names a volume gets that one or waits", () => {
  const claim = claimOf("a", { ...none, volumeName: "pv" });
  const volumes = [volumeOf("pv", "1Gi"), volumeOf("other", "1Gi")];
  assertEquals(fateOf("a", { claims: [claim], volumes }), "pv");
  assertEquals(
    fateOf("a", { claims: [claim], volumes: [volumeOf("pv", "1Mi"), volumes[1]!] }),
    'FailedBinding: Cannot bind to requested volume "pv": requested PV is too small',
  );
  assertEquals(
    fateOf("a", { claims: [claim], volumes: [] }),
    'FailedBinding: there is no PersistentVolume "pv"',
  );
});

Deno.test("the class of a claim: none, the default, or the one that it names", () => {
  const claims = [claimOf("a")];
  assertMatch(fateOf("a", { claims }), /^WaitForFirstConsumer: /, "the built-in one");
  assertEquals(fateOf("a", { claims }, { consumed: new Set(["default/a"]) }), "provision local");
  const annotations = { "storageclass.kubernetes.io/is-default-class": "true" };
  const own = classOf("own", { metadata: { name: "own", annotations } });
  assertEquals(fateOf("a", { claims, classes: [own, classOf("b")] }), "provision own");
  assertEquals(
    fateOf("a", { claims: [claimOf("a", { storageClassName: "gone" })] }),
    'ProvisioningFailed: storageclass.storage.k8s.io "gone" not found',
  );
  assertMatch(fateOf("a", { claims: [claimOf("a", none)] }), /no storage class is set/);
});

Deno.test("what cannot be provisioned says why", () => {
  const fate = (more: Parameters<typeof classOf>[1], spec = {}, world: Partial<ClaimWorld> = {}) =>
    fateOf(
      "a",
      { claims: [claimOf("a", { storageClassName: "c", ...spec })], classes: [classOf("c", more)] },
      world,
    );
  assertEquals(fate({}), "provision c");
  assertEquals(
    fate({ provisioner: "other.example.com" }),
    "ExternalProvisioning: waiting for CSI driver other.example.com to be registered",
  );
  const cannot = new Map([["csi.example.com", { creates: false, expands: false, topology: {} }]]);
  assertMatch(fate({}, {}, { provisioners: cannot }), /does not create volumes/);
  assertMatch(fate({}, { selector: { matchLabels: { a: "b" } } }), /ProvisioningFailed: .*selector/);
  assertMatch(fate({ provisioner: "kubernetes.io/no-provisioner" }), /no PersistentVolume of class "c" fits/);
  assertMatch(fate({ provisioner: "agent.local/directory" }, { volumeMode: "Block" }), /directories/);
  const zone = (values: string[]) => [{ matchLabelExpressions: [{ key: "zone", values }] }];
  assertEquals(fate({ allowedTopologies: zone(["a"]) }), "provision c");
  assertMatch(fate({ allowedTopologies: zone(["b"]) }), /leave this node out/);
  const topology = new Map([["csi.example.com", { creates: true, expands: true, topology: { zone: "b" } }]]);
  assertEquals(fate({ allowedTopologies: zone(["b"]) }, {}, { provisioners: topology }), "provision c");
});

/** Rounds in which all work succeeds at once. */
function settle(records: ClaimRecords, world: ClaimWorld): ClaimRecords {
  for (let i = 0; i < 10; i++) {
    const plan = planClaims(records, world);
    records = plan.records;
    if (plan.work.length === 0) return records;
    for (const work of plan.work) {
      if (work.kind === "provision") {
        const volume = volumeOf(volumeNameOf(work.record), "1Gi", {
          csi: { driver: "csi.example.com", volumeHandle: "h" },
          persistentVolumeReclaimPolicy: "Delete",
        });
        records = learnClaims(records, { kind: "provisioned", key: work.key, volume, now: 1 });
      } else if (work.kind === "delete") {
        records = learnClaims(records, { kind: "deleted", name: work.volume.metadata!.name! });
      } else {
        const volume = {
          ...work.volume,
          spec: { ...work.volume.spec, capacity: { storage: `${work.bytes}` } },
        };
        records = learnClaims(records, { kind: "expanded", name: work.volume.metadata!.name!, volume });
      }
    }
  }
  throw new Error("does not settle");
}

const provisioned: Scene = { claims: [claimOf("a", { storageClassName: "c" })], classes: [classOf("c")] };
const phases = (records: ClaimRecords, world: ClaimWorld) => {
  const { persistentVolumeClaims, persistentVolumes } = withClaims(noObjects, { records }, world, new Map());
  return [...persistentVolumeClaims.values(), ...persistentVolumes.values()].map((o) =>
    o.metadata?.deletionTimestamp === undefined ? o.status?.phase : "Terminating"
  );
};

Deno.test("a claim whose manifest is gone stays while a pod has it, then its volume is deleted or kept", () => {
  const world = worldOf(provisioned);
  const bound = settle(noRecords, world);
  const uid = bound.claims["default/a"]!.uid;
  const without: Scene = { classes: [classOf("c")] };
  const unread = worldOf(without, { complete: false });
  assertEquals(settle(bound, unread), bound, "nothing is concluded from what was not read");
  const used = worldOf(without, { used: new Set([uid]) });
  const terminating = settle(bound, used);
  assertEquals(phases(terminating, used), ["Terminating", "Bound"]);
  assertEquals(settle(terminating, world), bound, "and comes back with its manifest");
  assertEquals(settle(terminating, worldOf(without)), noRecords);
  const kept = volumeOf(`pvc-${uid}`, "1Gi", { storageClassName: "c" });
  const retained = learnClaims(bound, { kind: "expanded", name: `pvc-${uid}`, volume: kept });
  const released = settle(retained, worldOf(without));
  assertEquals(phases(released, worldOf(without)), ["Released"]);
  const again = settle(released, world);
  assertNotEquals(again.claims["default/a"]!.uid, uid, "a new claim gets a new volume");
  const heir: Scene = {
    ...provisioned,
    claims: [claimOf("a", { storageClassName: "c", volumeName: `pvc-${uid}` })],
  };
  assertEquals(fateOf("a", heir, {}, released), `pvc-${uid}`, "unless it names the one that was kept");
  const thief: Scene = {
    ...provisioned,
    claims: [claimOf("b", { storageClassName: "c", volumeName: `pvc-${uid}` })],
  };
  assertMatch(fateOf("b", thief, {}, released), /released by a different claim/);
});

Deno.test("a volume of a manifest is released, kept for nobody else, and free again once its manifest was away", () => {
  const pv = volumeOf("pv", "1Gi", { persistentVolumeReclaimPolicy: "Delete" });
  const bound = settle(noRecords, worldOf({ claims: [claimOf("a", none)], volumes: [pv] }));
  assertMatch(
    fateOf("b", { claims: [claimOf("a", none), claimOf("b", none)], volumes: [pv] }, {}, bound),
    /pv: is taken/,
  );
  const away = worldOf({ claims: [claimOf("a", none)] });
  assertEquals(phases(settle(bound, away), away), ["Bound", "Terminating"]);
  assertEquals(fateOf("a", { claims: [claimOf("a", none)] }, {}, bound), "pv");
  const released = settle(bound, worldOf({ volumes: [pv] }));
  assertEquals(phases(released, worldOf({ volumes: [pv] })), ["Released"], "nor is it ever deleted");
  assertMatch(fateOf("b", { claims: [claimOf("b", none)], volumes: [pv] }, {}, released), /FailedBinding/);
  const forgotten = settle(released, worldOf({}));
  assertEquals(fateOf("b", { claims: [claimOf("b", none)], volumes: [pv] }, {}, forgotten), "pv");
});

Deno.test("an edit may only let a bound claim grow, where its class allows it", () => {
  const growing = classOf("c", { allowVolumeExpansion: true });
  const bound = settle(noRecords, worldOf({ ...provisioned, classes: [growing] }));
  const edit = (claim: ReturnType<typeof claimOf>, storageClass = growing) =>
    planClaims(bound, worldOf({ claims: [claim], classes: [storageClass] }));
  const larger = claimOf("a", { storageClassName: "c" }, "2Gi");
  assertEquals(edit(larger).work.map((w) => w.kind === "expand" && w.bytes), [2 ** 31]);
  assertEquals(edit(larger, classOf("c")).problems.map((p) => p.message), [
    'storage class "c" does not allow it: it stays as it is',
  ]);
  assertEquals(edit(claimOf("a", { storageClassName: "c" }, "1Mi")).problems.map((p) => p.field), [
    "spec.resources.requests.storage",
  ]);
  const other = edit(claimOf("a", { storageClassName: "d", accessModes: ["ReadWriteMany"] }));
  assertEquals(other.problems.map((p) => p.field).sort(), ["spec.accessModes", "spec.storageClassName"]);
  assertEquals(other.records.claims["default/a"]!.claim.spec?.storageClassName, "c");
  const grown = settle(bound, worldOf({ claims: [larger], classes: [growing] }));
  assertEquals(Object.values(grown.volumes)[0]!.volume.spec?.capacity, { storage: `${2 ** 31}` });
});

Deno.test("the claim of an ephemeral volume comes and goes with its pod, and takes no foreign name", () => {
  const volume: Volume = {
    name: "data",
    ephemeral: {
      volumeClaimTemplate: {
        metadata: { labels: { a: "b" } },
        spec: claimOf("x", { storageClassName: "c" }).spec!,
      },
    },
  };
  const pod = {
    pod: { metadata: { name: "web", namespace: "default" }, spec: { containers: [], volumes: [volume] } },
    uid: "pod-uid",
    source: "file" as const,
    origin: "f",
  };
  const scene: Scene = { classes: [classOf("c")] };
  const records = settle(noRecords, worldOf(scene, { pods: [pod] }));
  const { claim, uid } = records.claims["default/web-data"]!;
  assertEquals([claim.metadata?.ownerReferences?.[0]?.uid, claim.metadata?.labels], ["pod-uid", { a: "b" }]);
  const used = settle(records, worldOf(scene, { used: new Set([uid]) }));
  assert(used.claims["default/web-data"]?.deletedAt !== undefined);
  assertEquals(settle(used, worldOf(scene)), noRecords);
  const foreign: Scene = { ...scene, claims: [claimOf("web-data", { storageClassName: "c" })] };
  const taken = planClaims(noRecords, worldOf(foreign, { pods: [pod] }));
  assertEquals(taken.records.claims["default/web-data"]?.claim.metadata?.ownerReferences, undefined);
  const late = planClaims(records, worldOf(foreign, { pods: [pod] }));
  assertEquals(late.problems.map((p) => p.field), ["metadata.name"]);
});

Deno.test("a volume that may have been made is asked for again, even when its claim is gone, and then deleted", () => {
  const first = planClaims(noRecords, worldOf(provisioned));
  const asked = learnClaims(first.records, { kind: "asked", key: "default/a", storageClass: classOf("c") });
  const gone = worldOf({});
  const plan = planClaims(asked, gone);
  assertEquals(plan.work.map((w) => w.kind), ["provision"], "with the class as it was");
  assertEquals(settle(asked, gone), noRecords);
  const refused = learnClaims(plan.records, { kind: "refused", key: "default/a" });
  assertEquals(planClaims(refused, gone).records, noRecords);
});
