import { assertEquals } from "@std/assert";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import { objectFields, objectKey } from "../../../../agent/model/objects.ts";
import type { Objects } from "../../../../agent/model/wish.ts";
import type { DesiredPod, Snapshot } from "../../../../agent/model/wish.ts";
import { mergeSnapshots } from "../../../../agent/sources/merge.ts";
import { staticPod } from "../../../../agent/sources/static_pod.ts";

function snapshot(text: string, source: Snapshot["source"] = "file"): Snapshot {
  const { pods, problems, ...objects } = parseManifest("f.yaml", text);
  assertEquals(problems, []);
  const key = (o: { metadata?: { name?: string } }) => `default/${o.metadata?.name}`;
  const keyed = Object.fromEntries(
    objectFields.map((
      [kind, field],
    ) => [field, new Map(objects[field].map((o) => [objectKey(kind, o.metadata), o]))]),
  ) as unknown as Objects;
  return {
    source,
    pods: new Map(
      pods.map((p) => [key(p), { ...staticPod(p, "node1", `${p.metadata?.name}.yaml`), source }]),
    ),
    ...keyed,
    problems: [],
  };
}

const pod = (name: string, container: object, spec: object = {}) =>
  JSON.stringify({
    ...{ apiVersion: "v1", kind: "Pod", metadata: { name } },
    spec: { containers: [{ name: "a", image: "b:1", ...container }], ...spec },
  });
const merged = (text: string) => mergeSnapshots(new Map([["file", snapshot(text)]]), ["file"]);
const problems = (text: string) => merged(text).problems.map((p) => [p.severity, p.file, p.field]);

Deno.test("nothing is complete before every source has spoken", () => {
  const file = snapshot(pod("web", {}));
  assertEquals(mergeSnapshots(new Map([["file", file]]), ["file", "api"]).complete, false);
  assertEquals(
    mergeSnapshots(new Map([["file", file], ["api", snapshot("", "api")]]), ["file", "api"]).complete,
    true,
  );
  assertEquals(mergeSnapshots(new Map(), []).complete, true);
});

Deno.test("what a cluster wanted once is no word of it now", () => {
  const kept = { ...snapshot(pod("web", {}), "api"), readable: false };
  const merged = mergeSnapshots(new Map([["file", snapshot("")], ["api", kept]]), ["file", "api"]);
  assertEquals([[...merged.pods.keys()], merged.complete], [["default/web"], false]);
  assertEquals(merged.spoken, new Set(["file" as const]));
});

Deno.test("the manifest directory wins over the control plane", () => {
  const sources = new Map([["api", snapshot(pod("web", {}), "api")], ["file", snapshot(pod("web", {}))]]);
  assertEquals(mergeSnapshots(sources, []).pods.get("default/web")?.source, "file");
});

Deno.test("a pod of the API server whose name a manifest has does not run, is told, and can be deleted", () => {
  const file = snapshot(pod("web", {}));
  const both = (more: object) => {
    const api = snapshot(pod("web", {}), "api");
    const [[key, other]] = [...api.pods] as [[string, DesiredPod]];
    const metadata = { ...other.pod.metadata, ...more };
    const pods = new Map([[key, { ...other, uid: "u", pod: { ...other.pod, metadata } }]]);
    return mergeSnapshots(new Map([["file", file], ["api", { ...api, pods }]]), ["file", "api"]);
  };
  const bound = both({});
  assertEquals([...bound.pods.values()].map((p) => p.source), ["file"]);
  assertEquals(bound.problems.map((p) => [p.file, p.object, p.field]), [
    ["web.yaml", "Pod default/web", "metadata.name"],
  ]);
  const ending = both({ deletionTimestamp: "2026-01-01T00:00:00Z" });
  assertEquals([[...ending.pods.values()].map((p) => p.source), ending.problems], [["file", "api"], []]);
});

Deno.test("references to what nobody describes are named, with their fields; the pod stays desired", () => {
  const text = pod("web", {
    env: [
      { name: "A", valueFrom: { configMapKeyRef: { name: "gone", key: "k" } } },
      { name: "B", valueFrom: { secretKeyRef: { name: "there", key: "gone" } } },
      { name: "C", valueFrom: { secretKeyRef: { name: "there", key: "k" } } },
      { name: "D", valueFrom: { secretKeyRef: { name: "gone", key: "k", optional: true } } },
    ],
    envFrom: [{ configMapRef: { name: "gone" } }, { secretRef: { name: "there" } }],
  }, {
    volumes: [
      { name: "v", configMap: { name: "gone" } },
      { name: "w", secret: { secretName: "gone" } },
      {
        name: "x",
        secret: { secretName: "there", items: [{ key: "k", path: "k" }, { key: "gone", path: "g" }] },
      },
    ],
    imagePullSecrets: [{ name: "gone" }],
  });
  const secret = JSON.stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "there" },
    data: { k: "aGk=" },
  });
  const c = "spec.containers[0]";
  assertEquals(
    problems(`${text}\n---\n${secret}`),
    [
      `${c}.envFrom[0].configMapRef.name`,
      `${c}.env[0].valueFrom.configMapKeyRef.name`,
      `${c}.env[1].valueFrom.secretKeyRef.key`,
      "spec.volumes[0].configMap.name",
      "spec.volumes[1].secret.secretName",
      "spec.volumes[2].secret.items[1].key",
      "spec.imagePullSecrets[0].name",
    ].map((field) => ["warning", "web.yaml", field]),
  );
  assertEquals(merged(text).pods.size, 1);
});

Deno.test("two pods that want one host port are told, on overlapping addresses only", () => {
  const port = (name: string, hostIP: string | undefined, protocol = "TCP") =>
    pod(name, {
      ports: [{ containerPort: 80, hostPort: 8080, protocol, ...hostIP === undefined ? {} : { hostIP } }],
    });
  const field = "spec.containers[0].ports[0].hostPort";
  const clash = [["warning", "b.yaml", field]];
  const cases: [string, string, string[][]][] = [
    [port("a", undefined), port("b", undefined), clash],
    [port("a", "127.0.0.1"), port("b", "0.0.0.0"), clash],
    [port("a", "127.0.0.1"), port("b", "10.0.0.1"), []],
    [port("a", undefined), port("b", undefined, "UDP"), []],
  ];
  for (const [a, b, expected] of cases) assertEquals(problems(`${a}\n---\n${b}`), expected);
});

Deno.test("a network that nobody describes is a warning of the pod that names it", () => {
  const named = JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", annotations: { "k8s.v1.cni.cncf.io/networks": "lan" } },
    spec: { containers: [{ name: "a", image: "b:1" }] },
  });
  const network = JSON.stringify({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "lan" },
    spec: { config: '{"type":"bridge"}' },
  });
  const merged = (...texts: string[]) =>
    mergeSnapshots(new Map([["dir", snapshot(texts.join("\n---\n"))]]), ["dir"]).problems;
  assertEquals(merged(named).map((p) => [p.severity, p.field, p.message]), [[
    "warning",
    'metadata.annotations["k8s.v1.cni.cncf.io/networks"]',
    "no manifest describes NetworkAttachmentDefinition default/lan: the pod waits for it",
  ]]);
  assertEquals(merged(named, network), []);
});
