import { assert, assertEquals } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { staticPodUid } from "../../../../agent/model/hash.ts";
import {
  isCalled,
  isCurrent,
  isMirror,
  LEFT_OUT,
  mirroredUid,
  mirrorOf,
} from "../../../../agent/model/mirror.ts";

const node = { name: "box", uid: "n1" };
const web: Pod = {
  metadata: {
    name: "web",
    namespace: "default",
    uid: "u1",
    labels: { app: "web" },
    annotations: { "kubernetes.io/config.source": "file", "kubernetes.io/config.hash": "h1" },
  },
  spec: { nodeName: "box", containers: [{ name: "a", image: "a:1" }] },
};

Deno.test("a mirror is named after pod and node, is the Node's, and leads kubectl to the pod's events", () => {
  const { metadata, spec } = mirrorOf(web, node);
  assertEquals([metadata?.name, metadata?.namespace, metadata?.labels], ["web-box", "default", {
    app: "web",
  }]);
  assertEquals(metadata?.annotations, { ...web.metadata?.annotations, "kubernetes.io/config.mirror": "h1" });
  assertEquals(mirroredUid(metadata, "box"), staticPodUid("box", "default", "web"));
  assertEquals(metadata?.ownerReferences, [{ apiVersion: "v1", kind: "Node", ...node, controller: true }]);
  assertEquals(spec?.tolerations, [{ operator: "Exists", effect: "NoExecute" }]);
  assertEquals([isMirror(web), isMirror({ metadata: metadata! })], [false, true]);
});

Deno.test("what only the node has is left out of a mirror, and it says so", () => {
  const pod: Pod = {
    ...web,
    spec: {
      serviceAccountName: "me",
      imagePullSecrets: [{ name: "registry" }],
      priority: 7,
      priorityClassName: "system-node-critical",
      volumes: [
        { name: "config", configMap: { name: "c" } },
        { name: "scratch", emptyDir: { medium: "Memory" } },
        { name: "all", projected: { sources: [{ secret: { name: "s" } }] } },
      ],
      initContainers: [{ name: "i", image: "i:1", envFrom: [{ secretRef: { name: "s" } }] }],
      containers: [{
        name: "a",
        image: "a:1",
        env: [
          { name: "PLAIN", value: "1" },
          { name: "PASSWORD", valueFrom: { secretKeyRef: { name: "s", key: "k" } } },
          { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
        ],
      }],
    },
  };
  const { metadata, spec } = mirrorOf(pod, node);
  assertEquals(spec, {
    priorityClassName: "system-node-critical",
    volumes: [
      { name: "config", emptyDir: {} },
      { name: "scratch", emptyDir: { medium: "Memory" } },
      { name: "all", emptyDir: {} },
    ],
    initContainers: [{ name: "i", image: "i:1" }],
    containers: [{
      name: "a",
      image: "a:1",
      env: [
        { name: "PLAIN", value: "1" },
        { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
      ],
    }],
    tolerations: [{ operator: "Exists", effect: "NoExecute" }],
  });
  assertEquals(metadata?.annotations?.[LEFT_OUT]?.split(" "), [
    "spec.serviceAccountName",
    "spec.imagePullSecrets",
    "spec.volumes[0].configMap",
    "spec.volumes[2].projected",
    "spec.initContainers[0].envFrom",
    "spec.containers[0].env[PASSWORD]",
  ]);
});

Deno.test("a mirror is current until its pod is edited, its Node is another, or somebody deletes it", () => {
  const mirror = mirrorOf(web, node);
  const edited = {
    ...web,
    metadata: { ...web.metadata, annotations: { "kubernetes.io/config.hash": "h2" } },
  };
  const deleted = { ...mirror, metadata: { ...mirror.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  assert(isCurrent(mirror, mirrorOf(web, node)));
  assertEquals(isCurrent(mirror, mirrorOf(edited, node)), false);
  assertEquals(isCurrent(mirror, mirrorOf(web, { ...node, uid: "n2" })), false);
  assertEquals(isCurrent(deleted, mirrorOf(web, node)), false);
});

Deno.test("a static pod is called by its own name and its mirror's, others by theirs alone", () => {
  const other: Pod = { metadata: { name: "web" } };
  assertEquals(["web", "web-box", "web-other"].map((name) => isCalled(web, name, "box")), [
    true,
    true,
    false,
  ]);
  assertEquals(isCalled(other, "web-box", "box"), false);
});
