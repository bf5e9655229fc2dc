import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { PodFacts } from "../../../../agent/model/downward.ts";
import type { Container, Pod, Volume } from "../../../../agent/model/gen/v1.ts";
import { nestedMountPoints, volumePayload } from "../../../../agent/model/volumes.ts";
import { volumesHash } from "../../../../agent/model/volumes_hash.ts";
import { noObjects, type Objects } from "../../../../agent/model/wish.ts";

const facts: PodFacts = { podIPs: [], hostIPs: [], nodeName: "n", allocatable: { cpu: 2, memory: 1024 } };
const podOf = (volumes: Volume[], containers: Container[] = []): Pod => ({
  metadata: { name: "p", namespace: "shop", labels: { app: "web" } },
  spec: { containers, volumes },
});
const objectsOf = (color: string): Objects => ({
  ...noObjects,
  configMaps: new Map([["shop/cm", { data: { color, b: "B" }, binaryData: { raw: btoa("\xff\0") } }]]),
  secrets: new Map([["shop/s", { data: { key: btoa("hidden") } }]]),
});

function filesOf(volume: Volume, containers: Container[] = []): Record<string, string> | string {
  const payload = volumePayload(volume, podOf([volume], containers), objectsOf("blue"), facts);
  if (payload === undefined) return "not made of files";
  if ("error" in payload) return payload.error;
  return Object.fromEntries(
    [...payload.files].map(([path, { content, mode }]) => [
      path,
      `${mode.toString(8)} ${[...content].map((byte) => String.fromCharCode(byte)).join("")}`,
    ]),
  );
}

Deno.test("a ConfigMap's keys become files, binary ones too; items choose, rename and set modes", () => {
  assertEquals(filesOf({ name: "v", configMap: { name: "cm" } }), {
    color: "644 blue",
    b: "644 B",
    raw: "644 \xff\0",
  });
  assertEquals(
    filesOf({
      name: "v",
      configMap: {
        name: "cm",
        defaultMode: 0o400,
        items: [{ key: "color", path: "etc/./color" }, { key: "b", path: "b", mode: 0o755 }],
      },
    }),
    { "etc/color": "400 blue", b: "755 B" },
  );
});

Deno.test("projected volumes join their sources; single sources are the same thing", () => {
  assertEquals(
    filesOf({
      name: "v",
      projected: {
        defaultMode: 0o440,
        sources: [
          { secret: { name: "s" } },
          { configMap: { name: "cm", items: [{ key: "b", path: "cm/b" }] } },
          { configMap: { name: "gone", optional: true } },
          { downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] } },
        ],
      },
    }),
    { key: "440 hidden", "cm/b": "440 B", labels: '440 app="web"' },
  );
  assertEquals(filesOf({ name: "v", secret: { secretName: "s" } }), { key: "644 hidden" });
});

Deno.test("downwardAPI reads metadata and resources of a named container only", () => {
  const item = (more: object): Volume => ({ name: "v", downwardAPI: { items: [{ path: "f", ...more }] } });
  assertEquals(
    filesOf(item({ resourceFieldRef: { containerName: "c", resource: "limits.cpu", divisor: "1m" } }), [
      { name: "c", resources: { limits: { cpu: "250m" } } },
    ]),
    { f: "644 250" },
  );
  assertEquals(filesOf(item({ resourceFieldRef: { resource: "limits.cpu" } })), "container  not found");
  assertEquals(
    filesOf(item({ fieldRef: { fieldPath: "status.podIP" } })),
    "field label not supported: status.podIP",
  );
});

Deno.test("what is missing is said, unless it is optional", () => {
  const configMap = (more: object): Volume => ({ name: "v", configMap: { name: "cm", ...more } });
  assertEquals(filesOf(configMap({ name: "gone" })), `configmap "gone" not found`);
  assertEquals(filesOf(configMap({ name: "gone", optional: true })), {});
  assertEquals(
    filesOf(configMap({ items: [{ key: "k", path: "p" }] })),
    "references non-existent config key: k",
  );
  assertEquals(filesOf(configMap({ items: [{ key: "k", path: "p" }], optional: true })), {});
  assertEquals(filesOf({ name: "v", secret: { secretName: "gone" } }), `secret "gone" not found`);
  assertEquals(
    filesOf({ name: "v", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }),
    "serviceAccountToken needs a cluster: this node has not joined one",
  );
  assertEquals(filesOf({ name: "v", emptyDir: {} }), "not made of files");
});

Deno.test("paths stay inside the volume", () => {
  const at = (path: string) => filesOf({ name: "v", configMap: { name: "cm", items: [{ key: "b", path }] } });
  const table: [string, string][] = [
    ["../x", "invalid path: must not contain '..': ../x"],
    ["a/../../x", "invalid path: must not contain '..': a/../../x"],
    ["./../x", "invalid path: must not contain '..': ./../x"],
    ["/etc/passwd", "invalid path: must be relative path: /etc/passwd"],
    ["..data", "invalid path: must not start with '..': ..data"],
    ["./..data/x", "invalid path: must not start with '..': ./..data/x"],
    ["", 'invalid path: must not be empty: ""'],
    [".", "invalid path: must name a file: ."],
    ["a\0b", "invalid path: must not contain NUL"],
    ["x".repeat(256), "invalid path: filenames must be less than or equal to 255 characters"],
  ];
  for (const [path, expected] of table) assertEquals(at(path), expected);
  assertEquals(at("a..b/..c"), { "a..b/..c": "644 B" });
  assertEquals(
    filesOf({
      name: "v",
      configMap: { name: "cm", items: [{ key: "b", path: "a" }, { key: "color", path: "a/b" }] },
    }),
    "conflicting paths: a is both a file and the directory of a/b",
  );
});

Deno.test("volumes hold the mount points of what is mounted below them", () => {
  const pod = podOf([], [{
    name: "c",
    volumeMounts: [
      { name: "config", mountPath: "/etc/app" },
      { name: "data", mountPath: "/etc/app/data" },
      { name: "deep", mountPath: "/etc/app/data/deep" },
      { name: "other", mountPath: "/etc/application" },
    ],
  }]);
  assertEquals(nestedMountPoints(pod, "config"), ["data"]);
  assertEquals(nestedMountPoints(pod, "data"), ["deep"]);
  assertEquals(nestedMountPoints(pod, "other"), []);
});

Deno.test("the hash changes with what the volumes depend on and with nothing else", () => {
  const volumes: Volume[] = [{ name: "v", configMap: { name: "cm" } }, {
    name: "s",
    secret: { secretName: "s" },
  }];
  const hash = volumesHash(podOf(volumes), objectsOf("blue"));
  assertEquals(volumesHash(podOf(volumes), objectsOf("blue")), hash);
  assertNotEquals(volumesHash(podOf(volumes), objectsOf("red")), hash);
  assertNotEquals(volumesHash(podOf(volumes.slice(1)), objectsOf("blue")), hash);
  assertNotEquals(volumesHash(podOf(volumes), { ...objectsOf("blue"), secrets: new Map() }), hash);
  const unused = { ...objectsOf("blue"), secrets: new Map([...objectsOf("blue").secrets, ["shop/x", {}]]) };
  assertEquals(volumesHash(podOf(volumes), unused), hash);
  assert(!hash.includes("hidden") && !hash.includes(btoa("hidden")));
});

Deno.test("labels matter to the hash only where a volume shows them", () => {
  const labelled = (volumes: Volume[], app: string): Pod => ({
    ...podOf(volumes),
    metadata: { labels: { app } },
  });
  const shown: Volume[] = [{
    name: "v",
    downwardAPI: { items: [{ path: "l", fieldRef: { fieldPath: "metadata.labels" } }] },
  }];
  const none = objectsOf("blue");
  assertNotEquals(volumesHash(labelled(shown, "a"), none), volumesHash(labelled(shown, "b"), none));
  assertEquals(volumesHash(labelled([], "a"), none), volumesHash(labelled([], "b"), none));
});
