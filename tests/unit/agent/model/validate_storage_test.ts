import { assertEquals } from "@std/assert";
import { parseManifest } from "../../../../agent/model/manifest.ts";

const found = (object: object) => {
  const { problems, ...objects } = parseManifest("f", JSON.stringify(object));
  const of = (severity: string) => problems.filter((p) => p.severity === severity).map((p) => p.field ?? "");
  return { errors: of("error"), warnings: of("warning"), problems, objects };
};

const claim = (spec: object, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "data", ...metadata },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, ...spec },
});
const volume = (spec: object) => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name: "pv" },
  spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, ...spec },
});
const storageClass = (more: object) => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: { name: "fast" },
  provisioner: "csi.example.com",
  ...more,
});
const driver = (spec: object, name = "csi.example.com") => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "CSIDriver",
  metadata: { name },
  spec,
});
const nodeAffinity = {
  required: {
    nodeSelectorTerms: [{
      matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["n"] }],
    }],
  },
};

Deno.test("what the API takes for storage is taken, with its defaults", () => {
  const right = [
    claim({}),
    claim({ storageClassName: "", volumeName: "pv", selector: { matchLabels: { a: "b" } } }),
    claim({ accessModes: ["ReadWriteOncePod"], volumeMode: "Block" }),
    volume({ hostPath: { path: "/srv" }, claimRef: { name: "data" }, storageClassName: "x" }),
    volume({ local: { path: "/srv" }, nodeAffinity }),
    volume({ nfs: { server: "s", path: "/x" } }),
    volume({
      csi: {
        driver: "csi.example.com",
        volumeHandle: "v",
        nodeStageSecretRef: { name: "a", namespace: "b" },
      },
      mountOptions: ["ro"],
    }),
    storageClass({ parameters: { type: "ssd", "csi.storage.k8s.io/fstype": "xfs" } }),
    storageClass({
      volumeBindingMode: "WaitForFirstConsumer",
      allowedTopologies: [{ matchLabelExpressions: [{ key: "zone", values: ["a"] }] }],
    }),
    driver({ attachRequired: false, volumeLifecycleModes: ["Persistent", "Ephemeral"] }),
  ];
  for (const object of right) assertEquals(found(object).problems, [], JSON.stringify(object));
  assertEquals(found(claim({})).objects.persistentVolumeClaims[0]?.spec?.volumeMode, "Filesystem");
  const { spec } = found(volume({ hostPath: { path: "/srv" }, claimRef: { name: "data" } })).objects
    .persistentVolumes[0]!;
  assertEquals([spec?.volumeMode, spec?.persistentVolumeReclaimPolicy, spec?.claimRef?.namespace], [
    "Filesystem",
    "Retain",
    "default",
  ]);
  const [fast] = found(storageClass({})).objects.storageClasses;
  assertEquals([fast?.reclaimPolicy, fast?.volumeBindingMode], ["Delete", "Immediate"]);
  const [csi] = found(driver({})).objects.csiDrivers;
  assertEquals([csi?.spec.attachRequired, csi?.spec.fsGroupPolicy, csi?.spec.volumeLifecycleModes], [
    true,
    "ReadWriteOnceWithFSType",
    ["Persistent"],
  ]);
});

Deno.test("what the API refuses of storage is refused, each at its field", () => {
  const wrong: [object, string[]][] = [
    [claim({ accessModes: [] }), ["spec.accessModes"]],
    [claim({ accessModes: ["Everything"] }), ["spec.accessModes[0]"]],
    [claim({ accessModes: ["ReadWriteOnce", "ReadWriteOncePod"] }), ["spec.accessModes"]],
    [claim({ resources: {} }), ["spec.resources.requests.storage"]],
    [claim({ resources: { requests: { storage: "0" } } }), ["spec.resources.requests.storage"]],
    [claim({ resources: { requests: { storage: "2Gi" }, limits: { storage: "1Gi" } } }), [
      "spec.resources.limits.storage",
    ]],
    [claim({ volumeMode: "Tape" }), ["spec.volumeMode"]],
    [claim({ storageClassName: "Fast!" }), ["spec.storageClassName"]],
    [claim({ dataSource: { kind: "VolumeSnapshot", name: "s" } }), ["spec.dataSource"]],
    [claim({ selector: { matchExpressions: [{ key: "a", operator: "In" }] } }), [
      "spec.selector.matchExpressions[0].values",
    ]],
    [volume({}), ["spec"]],
    [volume({ hostPath: { path: "/a" }, nfs: { server: "s", path: "/" } }), ["spec"]],
    [volume({ hostPath: { path: "a/../b" } }), ["spec.hostPath.path"]],
    [volume({ local: { path: "/srv" } }), ["spec.nodeAffinity"]],
    [volume({ local: { path: "/srv" }, nodeAffinity: { required: { nodeSelectorTerms: [] } } }), [
      "spec.nodeAffinity.required.nodeSelectorTerms",
    ]],
    [volume({ csi: { driver: "not a name", volumeHandle: "" } }), [
      "spec.csi.driver",
      "spec.csi.volumeHandle",
    ]],
    [volume({ csi: { driver: "d", volumeHandle: "v", nodeStageSecretRef: { name: "a" } } }), [
      "spec.csi.nodeStageSecretRef.namespace",
    ]],
    [volume({ hostPath: { path: "/a" }, capacity: { storage: "1Gi", memory: "1Gi" } }), [
      "spec.capacity.memory",
    ]],
    [volume({ hostPath: { path: "/a" }, capacity: {} }), ["spec.capacity.storage"]],
    [volume({ hostPath: { path: "/a" }, persistentVolumeReclaimPolicy: "Burn" }), [
      "spec.persistentVolumeReclaimPolicy",
    ]],
    [volume({ hostPath: { path: "/a" }, claimRef: {} }), ["spec.claimRef.name"]],
    [volume({ iscsi: { iqn: "x", lun: 0, targetPortal: "y" } }), ["spec.iscsi"]],
    [storageClass({ provisioner: "" }), ["provisioner"]],
    [storageClass({ provisioner: "two words" }), ["provisioner"]],
    [storageClass({ reclaimPolicy: "Recycle" }), ["reclaimPolicy"]],
    [storageClass({ volumeBindingMode: "Later" }), ["volumeBindingMode"]],
    [storageClass({ parameters: { "csi.storage.k8s.io/fstyp": "xfs" } }), [
      'parameters["csi.storage.k8s.io/fstyp"]',
    ]],
    [storageClass({ parameters: { "csi.storage.k8s.io/node-stage-secret-name": "s" } }), [
      'parameters["csi.storage.k8s.io/node-stage-secret-name"]',
    ]],
    [storageClass({ allowedTopologies: [{ matchLabelExpressions: [{ key: "a", values: [] }] }] }), [
      "allowedTopologies[0].matchLabelExpressions[0].values",
    ]],
    [driver({}, "a".repeat(64)), ["metadata.name"]],
    [driver({ fsGroupPolicy: "Never" }), ["spec.fsGroupPolicy"]],
    [driver({ volumeLifecycleModes: ["Sometimes"] }), ["spec.volumeLifecycleModes[0]"]],
    [driver({ tokenRequests: [{ audience: "a" }, { audience: "a" }] }), ["spec.tokenRequests[1].audience"]],
    [driver({ serviceAccountTokenInSecrets: true }), ["spec.serviceAccountTokenInSecrets"]],
  ];
  for (const [object, fields] of wrong) assertEquals(found(object).errors, fields, JSON.stringify(object));
});

Deno.test("what only a control plane makes of storage is told as a warning", () => {
  const told: [object, string[]][] = [
    [volume({ hostPath: { path: "/a" }, persistentVolumeReclaimPolicy: "Delete" }), [
      "spec.persistentVolumeReclaimPolicy",
    ]],
    [volume({ nfs: { server: "s", path: "/" }, mountOptions: ["ro"] }), ["spec.mountOptions"]],
    [volume({ local: { path: "/a", fsType: "ext4" }, nodeAffinity }), ["spec.local.fsType"]],
    [claim({ volumeAttributesClassName: "gold" }), ["spec.volumeAttributesClassName"]],
    [driver({ storageCapacity: true }), ["spec.storageCapacity"]],
  ];
  for (const [object, fields] of told) {
    const { errors, warnings } = found(object);
    assertEquals([errors, warnings], [[], fields], JSON.stringify(object));
  }
});
