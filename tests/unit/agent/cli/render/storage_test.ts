import { assertEquals } from "@std/assert";
import {
  claimTable,
  csiDriverTable,
  describeStorage,
  storageClassTable,
  volumeTable,
} from "../../../../../agent/cli/render/storage.ts";
import type { Table } from "../../../../../agent/cli/render/tables.ts";
import { createPaint, formatTable } from "../../../../../agent/cli/render/text.ts";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "../../../../../agent/model/gen/v1.ts";

const now = Date.parse("2026-01-02T00:00:00Z");
const paint = createPaint(false);
const shown = <T>(table: Table<T>, item: T, wide = false) => {
  const options = { wide, namespaces: true, now };
  return formatTable(table.head(options), [table.row(item, options)], paint).split("\n").map((line) =>
    line.split(/ {2,}/)
  );
};

const claim: PersistentVolumeClaim = {
  kind: "PersistentVolumeClaim",
  metadata: { name: "data", namespace: "shop", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: {
    accessModes: ["ReadWriteOnce"],
    storageClassName: "local",
    volumeName: "pvc-1",
    volumeMode: "Filesystem",
    resources: { requests: { storage: "2Gi" } },
  },
  status: { phase: "Bound", accessModes: ["ReadWriteOnce", "ReadWriteMany"], capacity: { storage: "1Gi" } },
};
const volume: PersistentVolume = {
  kind: "PersistentVolume",
  metadata: { name: "pvc-1", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: {
    accessModes: ["ReadWriteOncePod"],
    capacity: { storage: "1Gi" },
    claimRef: { namespace: "shop", name: "data" },
    persistentVolumeReclaimPolicy: "Delete",
    local: { path: "/srv" },
  },
  status: { phase: "Failed", message: "busy" },
};

Deno.test("claims, volumes, classes and drivers in kubectl's columns", () => {
  assertEquals(shown(claimTable, claim, true).slice(0, 2), [
    [
      "NAMESPACE",
      "NAME",
      "STATUS",
      "VOLUME",
      "CAPACITY",
      "ACCESS MODES",
      "STORAGECLASS",
      "AGE",
      "VOLUMEMODE",
    ],
    ["shop", "data", "Bound", "pvc-1", "1Gi", "RWO,RWX", "local", "24h", "Filesystem"],
  ]);
  const leaving = { ...claim, metadata: { ...claim.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  assertEquals(shown(claimTable, leaving)[1]?.[2], "Terminating");
  const [head, row] = shown(volumeTable, { ...volume, spec: { ...volume.spec, storageClassName: "local" } });
  assertEquals(Object.fromEntries(head!.map((name, i) => [name, row![i]])), {
    NAME: "pvc-1",
    CAPACITY: "1Gi",
    "ACCESS MODES": "RWOP",
    "RECLAIM POLICY": "Delete",
    STATUS: "Failed",
    CLAIM: "shop/data",
    STORAGECLASS: "local",
    REASON: "busy",
    AGE: "24h",
  });
  const annotations = { "storageclass.kubernetes.io/is-default-class": "true" };
  assertEquals(
    shown(storageClassTable, { metadata: { name: "local", annotations }, provisioner: "p" })[1]?.slice(0, 2),
    ["local (default)", "p"],
  );
  assertEquals(
    shown(csiDriverTable, { metadata: { name: "d" }, spec: { volumeLifecycleModes: ["Persistent"] } })[1]?.at(
      -1,
    ),
    "Persistent",
  );
});

Deno.test("a claim in full: what it asks for, what it has, and who uses it", () => {
  const pod = {
    metadata: { name: "web", namespace: "shop" },
    spec: { containers: [], volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }] },
  } as Pod;
  const text = describeStorage({ object: claim, events: [], pods: [pod], now }, paint);
  const lines = text.split("\n").map((line) => line.replace(/ {2,}/, " "));
  for (const line of ["Name: data", "Requested: 2Gi", "Capacity: 1Gi", "Used By: web", "Events: <none>"]) {
    assertEquals(lines.filter((l) => l === line), [line], text);
  }
  const story = describeStorage({ object: volume, events: [], pods: [], now }, paint);
  assertEquals([/Claim: +shop\/data/.test(story), /path: +\/srv/.test(story), /Message: +busy/.test(story)], [
    true,
    true,
    true,
  ]);
});
