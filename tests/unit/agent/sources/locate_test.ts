import { assertEquals } from "@std/assert";
import { fieldText } from "../../../../agent/model/finding.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import { locateProblems, parseField } from "../../../../agent/sources/locate.ts";

async function places(text: string): Promise<(string | number | undefined)[][]> {
  const problems = await locateProblems(text, parseManifest("f", text).problems);
  return problems.map((p) => [p.field, p.line, p.column]);
}

Deno.test("values, keys, missing fields, items of lists, later documents", async () => {
  const text = `# comment
apiVersion: v1
kind: Pod
metadata:
  name: Web
  lables: {a: b}
spec:
  hostPID: maybe
  containers:
    - name: a
      imagee: x
      ports: [{containerPort: 80}, {containerPort: 99999}]
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: c}
    data:
      "a/b": x
`;
  assertEquals(await places(text), [
    ["metadata.lables", 6, 3],
    ["spec.hostPID", 8, 12],
    ["spec.containers[0].imagee", 11, 7],
    ["metadata.name", 5, 9],
    ["spec.containers[0].image", 10, 7],
    ["spec.containers[0].ports[1].containerPort", 12, 52],
    ['data["a/b"]', 21, 14],
  ]);
});

Deno.test("through aliases and merge keys", async () => {
  const text = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - &a {name: a, image: 1}
    - <<: *a
      name: b
`;
  assertEquals(await places(text), [["spec.containers[0].image", 6, 27], [
    "spec.containers[1].image",
    6,
    27,
  ]]);
});

Deno.test("problems that name only the object are found by it", async () => {
  const text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  hostname: x\n";
  const problem = { severity: "warning" as const, file: "f", message: "m", object: "Pod default/web" };
  const [located] = await locateProblems(`---\n${text}`, [{ ...problem, field: "spec.hostname" }]);
  assertEquals([located?.line, located?.column], [6, 13]);
  const [lost] = await locateProblems(text, [{
    ...problem,
    object: "Pod default/other",
    field: "spec.hostname",
  }]);
  assertEquals(lost?.line, undefined);
});

Deno.test("what has a position keeps it, and text that is not YAML is no obstacle", async () => {
  const known = { severity: "error" as const, file: "f", message: "m", line: 7 };
  const open = {
    severity: "error" as const,
    file: "f",
    message: "m",
    field: "a",
    place: { document: 0, path: ["a"], atKey: false },
  };
  const [a, b] = await locateProblems("{[", [known, open]);
  assertEquals(a, known);
  assertEquals(Object.hasOwn(b!, "place"), false);
});

Deno.test("field texts can be read back", () => {
  for (
    const path of [["spec", "containers", 0, "image"], ["metadata", "labels", "a.b/c"], ["data", '"x"'], [
      "a",
      1,
      2,
    ]]
  ) {
    assertEquals(parseField(fieldText(path)), path);
  }
});
