import { assertEquals } from "@std/assert";
import { expand, expandCommand, expandSubPath, resolveEnv } from "../../../../agent/model/env.ts";
import type { PodFacts } from "../../../../agent/model/downward.ts";
import type { ConfigMap, Container, Pod, Secret } from "../../../../agent/model/gen/v1.ts";
import { noObjects, type Objects } from "../../../../agent/model/wish.ts";

const facts: PodFacts = {
  podIPs: ["10.1.0.7", "fd00::7"],
  hostIPs: ["192.0.2.1", "2001:db8::1"],
  nodeName: "node-a",
  allocatable: { cpu: 2, memory: 4 * 2 ** 30, "ephemeral-storage": 1e9 },
};

const pod: Pod = {
  metadata: {
    name: "web",
    namespace: "shop",
    uid: "u-1",
    labels: { tier: "front", app: "web" },
    annotations: { "example.com/note": 'say "hi"\n\u0001\u00e9\u2028' },
  },
  spec: { containers: [], serviceAccountName: "robot" },
};

const configMap: ConfigMap = {
  metadata: { name: "settings", namespace: "shop" },
  data: { COLOR: "blue", "file.txt": "x", "a=b": "never" },
};
const secret: Secret = {
  metadata: { name: "keys", namespace: "shop" },
  data: { TOKEN: btoa("s3cret"), RAW: btoa("\xff\xfe") },
  stringData: { PLAIN: "text" },
};
const objects: Objects = {
  ...noObjects,
  configMaps: new Map([["shop/settings", configMap]]),
  secrets: new Map([["shop/keys", secret]]),
};

function envOf(container: Partial<Container>): Record<string, string> | string {
  const resolved = resolveEnv(pod, { name: "c", ...container }, objects, facts);
  if ("error" in resolved) return resolved.error;
  return Object.fromEntries(resolved.env.map(({ name, value }) => [name, value]));
}

Deno.test("expansion follows the table of Kubernetes' expansion_test.go", () => {
  const variables = new Map([["VAR_A", "A"], ["VAR_B", "B"], ["VAR_REF", "$(VAR_A)"], ["VAR_EMPTY", ""]]);
  const table: [string, string][] = [
    ["$(VAR_A)", "A"],
    ["___$(VAR_B)___", "___B___"],
    ["$(VAR_A)$(VAR_A)_$(VAR_B)", "AA_B"],
    ["$(VAR_REF)", "$(VAR_A)"],
    ["%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"],
    ["foo$(VAR_EMPTY)bar", "foobar"],
    ["foo$$(VAR_A)", "foo$(VAR_A)"],
    ["$$$(VAR_A)", "$A"],
    ["$$$$(VAR_A)", "$$(VAR_A)"],
    ["foo\\$(VAR_A)bar", "foo\\Abar"],
    ["f000-$VAR_A", "f000-$VAR_A"],
    ["foo$", "foo$"],
    ["foo$(VAR_A", "foo$(VAR_A"],
    ["$(VAR_DNE)", "$(VAR_DNE)"],
    ["$($(VAR_A))", "$($(VAR_A))"],
    ["$()", "$()"],
    ["$((VAR_A)", "$((VAR_A)"],
    ["a$&b$1$'$`", "a$&b$1$'$`"],
    ["\u00e9$\u00e9$(VAR_A)", "\u00e9$\u00e9A"],
  ];
  for (const [input, expected] of table) assertEquals(expand(input, variables), expected, input);
});

Deno.test("env overrides envFrom, later envFrom overrides earlier, names keep their first place", () => {
  const other: ConfigMap = { data: { COLOR: "red", SIZE: "1" } };
  const resolved = resolveEnv(
    pod,
    {
      name: "c",
      envFrom: [{ configMapRef: { name: "settings" } }, { configMapRef: { name: "other" } }],
      env: [
        { name: "SIZE", value: "$(COLOR)/$(LATER)" },
        { name: "LATER", value: "z" },
        { name: "COLOR", value: "green-$(SIZE)" },
      ],
    },
    { ...objects, configMaps: new Map([...objects.configMaps, ["shop/other", other]]) },
    facts,
  );
  assertEquals(resolved, {
    env: [
      { name: "COLOR", value: "green-red/$(LATER)" },
      { name: "file.txt", value: "x" },
      { name: "SIZE", value: "red/$(LATER)" },
      { name: "LATER", value: "z" },
    ],
    warnings: [
      "Keys [a=b] from the EnvFrom configMap shop/settings were skipped since they are considered invalid " +
      "environment variable names.",
    ],
  });
});

Deno.test("prefix, secrets as text, stringData, optional sources", () => {
  assertEquals(
    envOf({
      envFrom: [
        { prefix: "CM_", configMapRef: { name: "settings" } },
        { configMapRef: { name: "gone", optional: true } },
        { secretRef: { name: "gone", optional: true } },
      ],
      env: [
        { name: "TOKEN", valueFrom: { secretKeyRef: { name: "keys", key: "TOKEN" } } },
        { name: "PLAIN", valueFrom: { secretKeyRef: { name: "keys", key: "PLAIN" } } },
        { name: "NO1", valueFrom: { secretKeyRef: { name: "keys", key: "no", optional: true } } },
        { name: "NO2", valueFrom: { configMapKeyRef: { name: "gone", key: "no", optional: true } } },
        { name: "EMPTY" },
      ],
    }),
    { CM_COLOR: "blue", "CM_file.txt": "x", TOKEN: "s3cret", PLAIN: "text", EMPTY: "" },
  );
});

Deno.test("an optional key that is absent leaves the value of envFrom", () => {
  assertEquals(
    envOf({
      envFrom: [{ configMapRef: { name: "settings" } }],
      env: [{ name: "COLOR", valueFrom: { configMapKeyRef: { name: "gone", key: "x", optional: true } } }],
    }),
    { COLOR: "blue", "file.txt": "x" },
  );
});

Deno.test("what is missing is said in the kubelet's words, and secrets never are", () => {
  const key = (valueFrom: NonNullable<NonNullable<Container["env"]>[number]["valueFrom"]>) =>
    envOf({ env: [{ name: "X", valueFrom }] });
  assertEquals(envOf({ envFrom: [{ configMapRef: { name: "gone" } }] }), `configmap "gone" not found`);
  assertEquals(envOf({ envFrom: [{ secretRef: { name: "gone" } }] }), `secret "gone" not found`);
  assertEquals(key({ configMapKeyRef: { name: "gone", key: "k" } }), `configmap "gone" not found`);
  assertEquals(
    key({ configMapKeyRef: { name: "settings", key: "k" } }),
    "couldn't find key k in ConfigMap shop/settings",
  );
  assertEquals(key({ secretKeyRef: { name: "keys", key: "k" } }), "couldn't find key k in Secret shop/keys");
  assertEquals(
    key({ secretKeyRef: { name: "keys", key: "RAW" } }),
    "key RAW in Secret shop/keys is not UTF-8 text",
  );
  assertEquals(key({ fieldRef: { fieldPath: "spec.volumes" } }), "field label not supported: spec.volumes");
  assertEquals(key({ fieldRef: { fieldPath: "constructor" } }), "field label not supported: constructor");
  const bad: Secret = { metadata: { name: "bad" }, data: { K: "s3cret!!" } };
  const resolved = resolveEnv(
    pod,
    { name: "c", envFrom: [{ secretRef: { name: "bad" } }] },
    { ...objects, secrets: new Map([["shop/bad", bad]]) },
    facts,
  );
  assertEquals(resolved, { error: "key K in data of Secret bad is not base64" });
});

Deno.test("fieldRef reads the pod and the node", () => {
  const read = (fieldPath: string) => envOf({ env: [{ name: "X", valueFrom: { fieldRef: { fieldPath } } }] });
  const table: [string, string][] = [
    ["metadata.name", "web"],
    ["metadata.namespace", "shop"],
    ["metadata.uid", "u-1"],
    ["metadata.labels['tier']", "front"],
    ["metadata.labels['none']", ""],
    ["metadata.labels['toString']", ""],
    ["metadata.labels", 'app="web"\ntier="front"'],
    ["metadata.annotations", 'example.com/note="say \\"hi\\"\\n\\x01\u00e9\\u2028"'],
    ["spec.nodeName", "node-a"],
    ["spec.serviceAccountName", "robot"],
    ["status.podIP", "10.1.0.7"],
    ["status.podIPs", "10.1.0.7,fd00::7"],
    ["status.hostIP", "192.0.2.1"],
    ["status.hostIPs", "192.0.2.1,2001:db8::1"],
  ];
  for (const [path, expected] of table) assertEquals(read(path), { X: expected }, path);
});

Deno.test("resourceFieldRef divides and rounds up; missing limits are the node's", () => {
  const container: Container = {
    name: "c",
    resources: { limits: { cpu: "1500m", memory: "100Mi" }, requests: { cpu: "70m" } },
  };
  const read = (resource: string, divisor?: string, from: Container = container) => {
    const ref = divisor === undefined ? { resource } : { resource, divisor };
    return envOf({ ...from, env: [{ name: "X", valueFrom: { resourceFieldRef: ref } }] });
  };
  assertEquals(read("limits.cpu"), { X: "2" });
  assertEquals(read("limits.cpu", "1m"), { X: "1500" });
  assertEquals(read("requests.cpu", "1m"), { X: "70" });
  assertEquals(read("requests.cpu"), { X: "1" });
  assertEquals(read("limits.memory", "1Mi"), { X: "100" });
  assertEquals(read("limits.memory", "1G"), { X: "1" });
  assertEquals(read("requests.memory", "1Mi"), { X: "100" });
  assertEquals(read("limits.cpu", undefined, { name: "d" }), { X: "2" });
  assertEquals(read("limits.memory", "1Gi", { name: "d" }), { X: "4" });
  assertEquals(read("requests.memory", undefined, { name: "d" }), { X: "0" });
  assertEquals(read("limits.gpu"), "unsupported container resource : limits.gpu");
});

Deno.test("command, args and subPathExpr are filled in from the resolved variables", () => {
  const env = [{ name: "A", value: "1" }, { name: "E", value: "" }];
  assertEquals(
    expandCommand({ name: "c", command: ["/bin/x", "$(A)"], args: ["$$(A)", "$(B)"] }, env),
    { command: ["/bin/x", "1"], args: ["$(A)", "$(B)"] },
  );
  assertEquals(expandSubPath("logs/$(A)", env), { value: "logs/1" });
  assertEquals(expandSubPath("$(Z)/$(E)/$(B)", env), { error: "missing value for B, E, Z" });
});

Deno.test("a variable with a NUL byte is refused before the runtime sees it", () => {
  assertEquals(envOf({ env: [{ name: "X", value: "a\0b" }] }), "environment variable X contains a NUL byte");
});
