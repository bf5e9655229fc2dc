import { assertEquals } from "@std/assert";
import { boundVolume, grownTo, secretKeysOf } from "../../../../agent/model/cluster_claim.ts";
import type { PersistentVolume, PersistentVolumeClaim, Volume } from "../../../../agent/model/gen/v1.ts";
import { type DesiredPod, noObjects, type Objects } from "../../../../agent/model/wish.ts";

const desired: DesiredPod = {
  pod: { metadata: { namespace: "w", name: "p", uid: "u" } },
  uid: "u",
  source: "api",
  origin: "the API server",
};
const claim: PersistentVolumeClaim = {
  metadata: { namespace: "w", name: "data", uid: "c" },
  spec: { volumeName: "pv" },
  status: { phase: "Bound", capacity: { storage: "1Gi" } },
};
const volume: PersistentVolume = {
  metadata: { name: "pv" },
  spec: { capacity: { storage: "1Gi" }, claimRef: { uid: "c" }, hostPath: { path: "/x" } },
};
const world = (
  c: PersistentVolumeClaim | undefined,
  v: PersistentVolume | undefined,
  unread: [string, string][] = [],
): Objects => ({
  ...noObjects,
  persistentVolumeClaims: new Map(c && [["w/data", c], ["w/p-v", c]]),
  persistentVolumes: new Map(v && [["pv", v]]),
  unread: new Map(unread),
});
const named: Volume = { name: "v", persistentVolumeClaim: { claimName: "data" } };
const ephemeral: Volume = { name: "v", ephemeral: { volumeClaimTemplate: { spec: {} } } };

/** The error. */
const errorOf = (objects: Objects, of = named): string => {
  const found = boundVolume(desired, of, objects);
  return "error" in found ? found.error : `volume ${found.volume.metadata?.name}`;
};

Deno.test("a claim that the API server has bound is its volume; else the kubelet's words say what is in the way", () => {
  assertEquals(errorOf(world(claim, volume)), "volume pv");
  const failed = "error processing PVC w/data: ";
  const unfetched = `${failed}failed to fetch PVC from API server: `;
  assertEquals(errorOf(world(undefined, undefined)), `${unfetched}persistentvolumeclaims "data" not found`);
  const unread: [string, string][] = [["PersistentVolumeClaim w/data", "it is away"]];
  assertEquals(errorOf(world(undefined, undefined, unread)), `${unfetched}it is away`);
  const pending = { ...claim, status: { phase: "Pending" } };
  assertEquals(errorOf(world(pending, volume)), `${failed}PVC is not bound`);
  const going = { ...claim, metadata: { ...claim.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  assertEquals(errorOf(world(going, volume)), `${failed}can't use PVC w/data because it is being deleted`);
  assertEquals(
    errorOf(world(claim, undefined)),
    'failed to fetch PV pv from API server: persistentvolumes "pv" not found',
  );
  const others = { ...volume, spec: { ...volume.spec, claimRef: { uid: "other" } } };
  assertEquals(
    errorOf(world(claim, others)),
    "found PV object pv with a pv.Spec.ClaimRef.UID other that is not yet bound to claim c",
  );
});

Deno.test("the claim of an ephemeral volume must be of this very pod", () => {
  const owned = (uid: string): PersistentVolumeClaim => ({
    ...claim,
    metadata: {
      ...claim.metadata,
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid }],
    },
  });
  assertEquals(errorOf(world(owned("u"), volume), ephemeral), "volume pv");
  assertEquals(
    errorOf(world(owned("earlier"), volume), ephemeral),
    "error processing PVC w/p-v: PVC w/p-v was not created for pod w/p (pod is not owner)",
  );
});

Deno.test("a node needs the Secrets to stage, publish and grow a volume, and no others", () => {
  const ref = (name: string) => ({ name, namespace: "s" });
  const csi = {
    driver: "d",
    volumeHandle: "h",
    nodeStageSecretRef: ref("stage"),
    nodePublishSecretRef: ref("publish"),
    nodeExpandSecretRef: ref("grow"),
    controllerPublishSecretRef: ref("attach"),
    controllerExpandSecretRef: ref("expand"),
  };
  assertEquals(secretKeysOf({ spec: { csi } }), ["s/stage", "s/publish", "s/grow"]);
  assertEquals(secretKeysOf(volume), []);
  const grown = { spec: { csi, capacity: { storage: "2Gi" } } };
  assertEquals([grownTo(claim, grown), grownTo(claim, volume)], [2 ** 31, undefined]);
});
