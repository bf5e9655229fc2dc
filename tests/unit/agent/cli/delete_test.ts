import { assertEquals } from "@std/assert";
import { noObjects } from "../../../../agent/model/wish.ts";
import { createLab, runningPod } from "./lab.ts";

const files = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name);

Deno.test("delete takes claims, volumes, classes and drivers out of the manifests, and waits until claims are gone", async () => {
  await using lab = await createLab();
  const objects = [
    { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "data" }, spec: storage("1Gi") },
    {
      ...{ apiVersion: "v1", kind: "PersistentVolume", metadata: { name: "disk" } },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        nfs: { server: "s", path: "/p" },
      },
    },
    {
      ...{ apiVersion: "storage.k8s.io/v1", kind: "StorageClass", metadata: { name: "fast" } },
      provisioner: "csi.example.com",
    },
    {
      ...{ apiVersion: "storage.k8s.io/v1", kind: "CSIDriver", metadata: { name: "csi.example.com" } },
      spec: {},
    },
  ];
  lab.stdin.text = objects.map((o) => JSON.stringify(o)).join("\n---\n");
  const applied = await lab.agent("apply", "-f", "-");
  assertEquals([applied.code, applied.err], [0, ""]);
  assertEquals(files(lab.manifests).length, 4);
  assertEquals((await lab.agent("delete", "pv", "data")).code, 1, "that is a claim");
  for (
    const [words, out] of [
      [["pv", "disk", "-n", "other"], "persistentvolume/disk deleted\n"],
      [["sc/fast"], "storageclass/fast deleted\n"],
      [["csidriver", "csi.example.com"], "csidriver/csi.example.com deleted\n"],
    ] as const
  ) {
    assertEquals(await lab.agent("delete", ...words), { code: 0, out, err: "" });
  }
  const claim = { metadata: { name: "data", namespace: "default" }, status: { phase: "Bound" } };
  lab.store.setObjects({ ...noObjects, persistentVolumeClaims: new Map([["default/data", claim]]) });
  assertEquals((await lab.agent("delete", "pvc", "data", "--dry-run", "--wait")).code, 0);
  lab.io.err = (chunk) => {
    if (String(chunk).includes("persistentvolumeclaim/data: Bound")) lab.store.setObjects(noObjects);
    return Promise.resolve();
  };
  const deleted = await lab.agent("delete", "pvc", "data", "--wait");
  assertEquals([deleted.code, deleted.out], [0, "persistentvolumeclaim/data deleted\n"]);
  assertEquals(files(lab.manifests), []);
  assertEquals(lab.store.objects(), noObjects);
});

Deno.test("a pod of the cluster is not deleted here: who has it is named", async () => {
  await using lab = await createLab();
  const pod = runningPod("web");
  const annotations = { "kubernetes.io/config.source": "api" };
  lab.store.putPod({ ...pod, metadata: { ...pod.metadata, annotations } });
  assertEquals(await lab.agent("delete", "pod", "web"), {
    code: 1,
    out: "",
    err: "Error: nothing was changed: Pod default/web is the cluster's: " +
      "delete it there, with kubectl delete pod -n default web\n",
  });
});

const storage = (size: string) => ({
  accessModes: ["ReadWriteOnce"],
  resources: { requests: { storage: size } },
});
