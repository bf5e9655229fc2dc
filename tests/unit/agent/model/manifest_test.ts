import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";

const pod = (spec: string, metadata = "{name: web}") =>
  `apiVersion: v1\nkind: Pod\nmetadata: ${metadata}\nspec:\n  containers: [{name: a, image: demo:1}]\n${spec}`;

const read = (text: string) => parseManifest("web.yaml", text);
const messages = (text: string) => read(text).problems.map((p) => `${p.field ?? ""}: ${p.message}`);
const only = (text: string): Pod => {
  const { pods, problems } = read(text);
  assertEquals(problems, []);
  assertEquals(pods.length, 1);
  return pods[0]!;
};

Deno.test("scalars are read as Kubernetes reads them, by the type of their field", () => {
  const booleans: [string, boolean | undefined][] = [
    ...["yes", "on", "y", "Yes", "ON", "true", "True"].map((w): [string, boolean] => [w, true]),
    ...["no", "off", "n", "No", "OFF", "false", "FALSE"].map((w): [string, boolean] => [w, false]),
    ["~", undefined],
    ["null", undefined],
    ["", undefined],
  ];
  for (const [text, expected] of booleans) {
    assertEquals(only(pod(`  hostPID: ${text}\n`)).spec?.hostPID, expected, text);
  }
  const integers: [string, number][] = [
    ...[["0644", 420], ["0o644", 420], ["1_000", 1000], ["0x1F", 31], ["1e3", 1000], ["0b11", 3], [
      "+5",
      5,
    ]] as const,
  ].map(([t, n]) => [t, n]);
  for (const [text, expected] of integers) {
    assertEquals(
      only(pod(`  terminationGracePeriodSeconds: ${text}\n`)).spec?.terminationGracePeriodSeconds,
      expected,
    );
  }
  const texts: [string, string][] = [
    ["2020-01-01", "2020-01-01"],
    ["12:30:45", "12:30:45"],
    ["22:22", "22:22"],
    ['"8080"', "8080"],
    ["~", ""],
    ["1.2.3", "1.2.3"],
    ["089", "089"],
  ];
  for (const [text, expected] of texts) {
    const map = read(`apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: ${text}}`);
    assertEquals(map.problems, []);
    assertEquals(map.configMaps[0]?.data, { k: expected });
  }
});

Deno.test("quantities may be numbers or texts", () => {
  for (
    const [text, expected] of [["0.5", "0.5"], ["2", "2"], ["500m", "500m"], ['"1"', "1"], ["1e3", "1000"]]
  ) {
    const { pods, problems } = read(
      `apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n` +
        `  - {name: a, image: b, resources: {limits: {cpu: ${text}}}}`,
    );
    assertEquals(problems, []);
    assertEquals(pods[0]?.spec?.containers[0]?.resources?.limits, { cpu: expected! });
  }
});

Deno.test("each wrong value says what was expected", () => {
  const cases: [string, string][] = [
    ["  hostPID: 1\n", "spec.hostPID: expected true or false, got 1"],
    [
      '  hostPID: "true"\n',
      'spec.hostPID: expected true or false, got the text "true" (write it without quotes)',
    ],
    ["  hostname: 12\n", 'spec.hostname: expected text, got the number 12 (write it in quotes: "12")'],
    ["  hostname: true\n", 'spec.hostname: expected text, got the boolean true (write it in quotes: "true")'],
    ["  activeDeadlineSeconds: 1.5\n", "spec.activeDeadlineSeconds: expected an integer, got 1.5"],
    ["  priority: .inf\n", "spec.priority: expected an integer, got Infinity"],
    [
      "  priority: 3000000000\n",
      "spec.priority: expected an integer from -2147483648 to 2147483647, got 3000000000",
    ],
    ["  volumes: {a: b}\n", "spec.volumes: expected a list of mappings, got a mapping"],
    ["  nodeSelector: [a]\n", "spec.nodeSelector: expected a mapping of names to texts, got a list"],
    ["  hostNetwrok: true\n", 'spec.hostNetwrok: unknown field "hostNetwrok"; did you mean "hostNetwork"?'],
    ["  hostnetwork: true\n", 'spec.hostnetwork: unknown field "hostnetwork"; did you mean "hostNetwork"?'],
    ["  zzzzzzzzzz: true\n", 'spec.zzzzzzzzzz: unknown field "zzzzzzzzzz"'],
    ["  volumes: [{name: v, hostPath: {}}]\n", "spec.volumes[0].hostPath.path: required: expected text"],
    [
      "  volumes: [{name: v, emptyDir: {sizeLimit: big}}]\n",
      "spec.volumes[0].emptyDir.sizeLimit: expected a quantity",
    ],
    [
      "  restartPolicy: always\n",
      'spec.restartPolicy: expected one of Always, OnFailure, Never, got "always"',
    ],
  ];
  for (const [spec, expected] of cases) {
    const found = messages(pod(spec));
    assert(found.some((m) => m.startsWith(expected)), `${spec} -> ${found.join(" | ")}`);
    assertEquals(read(pod(spec)).pods, [], spec);
  }
});

Deno.test("what is not YAML is a problem with its line, and leaves the siblings alone", () => {
  const cases: [string, number, string][] = [
    ["a:\n\tb: 1\n", 2, "tab"],
    ["a: [1,\n b: 2\n", 2, "flow collection"],
    ["a: 1\na: 2\n", 2, "duplicated key"],
    ["a: b: c\n", 1, "mapping"],
    ["a: *nobody\n", 1, "alias"],
    ["a: 'x\n", 1, "quoted"],
    ["a: !!binary aGk=\n", 1, "tag"],
  ];
  for (const [text, line, word] of cases) {
    const parsed = read(`# first\n---\n${text}---\n${pod("")}`);
    assertEquals(parsed.pods.length, 1, text);
    assertEquals(parsed.problems.length, 1, text);
    assertEquals(parsed.problems[0]?.line, line + 2, text);
    assertStringIncludes(parsed.problems[0]!.message, word);
    assertEquals(parsed.broken, [{}]);
  }
});

Deno.test("tabs are fine where they are content", () => {
  const { problems, configMaps } = read(
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n" +
      "  Makefile: |\n    all:\n    \techo hi\n\n" +
      '  quoted: "a\n\tb"\n# \ta comment\n\t# another\nbinaryData: {\n\tk: aGk=\n}\n',
  );
  assertEquals(problems, []);
  assertEquals(configMaps[0]?.data?.Makefile, "all:\n\techo hi\n");
});

Deno.test("merge keys are merged, explicit keys win, and aliases are followed", () => {
  const { pods, problems } = read(`apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - &base
      name: a
      image: demo:1
      env: &env [{name: X, value: y}]
    - <<: *base
      name: b
    - <<: [{image: demo:2}, *base]
      name: c
      env: *env
`);
  assertEquals(problems, []);
  assertEquals(pods[0]?.spec?.containers.map((c) => [c.name, c.image, c.env?.length]), [
    ["a", "demo:1", 1],
    ["b", "demo:1", 1],
    ["c", "demo:2", 1],
  ]);
});

Deno.test("texts that multiply are refused in time", () => {
  const letters = "abcdefghijkl".split("");
  const lines = letters.map((c, i) =>
    `  ${c}: &${c} {${letters.map((k) => `${k}: ${i === 0 ? "x" : `*${letters[i - 1]}`}`).join(", ")}}`
  );
  const deep = `kind: Pod\napiVersion: v1\nmetadata:\n  managedFields: [{fieldsV1: &x {a: *x}}]\n`;
  const bomb = `kind: Pod\napiVersion: v1\nmetadata:\n name: x\n managedFields:\n - fieldsV1:\n${
    lines.map((l) => `   ${l}`).join("\n")
  }\n`;
  for (const text of [bomb, deep, `a: ${"[".repeat(50_000)}`, `${"- ".repeat(50_000)}`]) {
    const started = performance.now();
    const parsed = read(text);
    assertEquals(parsed.pods, []);
    assert(parsed.problems.some((p) => /expands|deep/.test(p.message)), JSON.stringify(parsed.problems));
    assert(performance.now() - started < 5_000);
  }
});

Deno.test("one file holds many objects: documents, lists, lists in lists, JSON", () => {
  const item = (name: string) => ({ apiVersion: "v1", kind: "Pod", ...content(name) });
  const content = (name: string) => ({
    metadata: { name },
    spec: { containers: [{ name: "a", image: "b" }] },
  });
  const json = (value: unknown) => JSON.stringify(value, null, "\t");
  const text = [
    "# nothing but a comment",
    "",
    json(item("one")),
    json({
      apiVersion: "v1",
      kind: "List",
      items: [item("two"), { apiVersion: "v1", kind: "List", items: [item("three")] }],
    }),
    json({ apiVersion: "v1", kind: "PodList", metadata: {}, items: [content("four")] }),
    json({ apiVersion: "v1", kind: "ConfigMapList", items: [{ metadata: { name: "c" } }] }),
    json({ apiVersion: "v1", kind: "SecretList", items: [{ metadata: { name: "s" } }] }),
    "~",
  ].join("\n---\n");
  const { pods, configMaps, secrets, problems } = read(text);
  assertEquals(problems, []);
  assertEquals(pods.map((p) => p.metadata?.name), ["one", "two", "three", "four"]);
  assertEquals([configMaps.length, secrets.length], [1, 1]);
});

Deno.test("an empty file, comments and byte order marks are no problem", () => {
  for (const text of ["", "\n", "# x", "---\n---\n", "%YAML 1.2\n---\n...\n", "\ufeff" + pod("")]) {
    assertEquals(read(text).problems, [], JSON.stringify(text));
  }
  assertEquals(read("\ufeff" + pod("")).pods.length, 1);
});

Deno.test("other kinds and versions say what is supported", () => {
  const cases: [string, string][] = [
    [
      "apiVersion: apps/v1\nkind: Deployment\n",
      '"Deployment" is not supported: expected Pod, ConfigMap, Secret',
    ],
    ["apiVersion: v1\nkind: Service\n", '"Service" is not supported'],
    ["apiVersion: v1\nkind: pod\n", 'did you mean "Pod"?'],
    ["apiVersion: v2\nkind: Pod\n", 'expected v1 for kind Pod, got "v2"'],
    ["kind: Pod\n", "required: expected v1 for kind Pod"],
    ["apiVersion: v1\n", "required: expected Pod"],
    ["just text\n", 'RuntimeClass or List, got "just text"'],
    ["- a\n", "RuntimeClass or List, got a list"],
  ];
  for (const [text, message] of cases) assertStringIncludes(read(text).problems[0]?.message ?? "", message);
  assertEquals(read(cases[0]![0]).broken, [], "a foreign document is not a broken pod");
});

Deno.test("what a server wrote into an exported pod has no say", () => {
  const exported = only(
    pod(
      "status: {phase: Nonsense, unknown: 1}\n",
      "{name: web, uid: x, creationTimestamp: null, resourceVersion: '5'}",
    ),
  );
  assertEquals(exported.metadata, { name: "web", namespace: "default" });
  assertEquals(exported.status, undefined);
});

Deno.test("two objects of one name in a file: the first is used and the second is told", () => {
  const { pods, problems } = read(`${pod("")}---\n${pod("  hostPID: true\n")}`);
  assertEquals(pods.map((p) => p.spec?.hostPID), [undefined]);
  assertStringIncludes(problems[0]!.message, "stands twice");
});

Deno.test("no problem shows what a Secret holds", () => {
  const { problems } = read(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: hunter2hunter2!}\nstringData: {b: 13371337, c: true}\n",
  );
  assertEquals(problems.length, 3);
  for (const { message } of problems) assert(!/hunter|1337|got true/.test(message), message);
});

Deno.test("stringData becomes data, in UTF-8", () => {
  const { secrets } = read(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: YQ==, b: YQ==}\nstringData: {b: 'ü'}\n",
  );
  assertEquals(secrets[0]?.data, { a: "YQ==", b: "w7w=" });
  assertEquals(secrets[0]?.stringData, undefined);
  assertEquals(secrets[0]?.type, "Opaque");
});

Deno.test("many problems are cut short", () => {
  const fields = Array.from({ length: 5000 }, (_, i) => `  zz${i}: 1\n`).join("");
  const { problems } = read(pod(fields));
  assert(problems.length > 50 && problems.length <= 102);
});

Deno.test("larger than 10 MiB", () => {
  assertStringIncludes(read("#".repeat(10 * 1024 * 1024 + 1)).problems[0]!.message, "10 MiB");
});

Deno.test("names that JavaScript knows are nothing special", () => {
  const { problems } = read(
    pod("  __proto__: {a: 1}\n  constructor: 1\n", "{name: web, labels: {__proto__: x, constructor: y}}"),
  );
  assertEquals(problems.map((p) => p.field), [
    "spec.__proto__",
    "spec.constructor",
    "metadata.labels.__proto__",
  ]);
  assertEquals(({} as Record<string, unknown>).a, undefined);
});

Deno.test("the example manifests are right", async () => {
  for (const name of ["hello", "web", "device"]) {
    const text = await Deno.readTextFile(new URL(`../../../../manifests/${name}.yaml`, import.meta.url));
    const { pods, problems } = parseManifest(name, text);
    assertEquals(problems, []);
    assertEquals(pods.map((p) => p.metadata?.name), [name]);
  }
});
