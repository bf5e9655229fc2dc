/**
 * The coverage table is complete and true: each field of the v1 Pod has a row; what is said to be proven names tests
 * that exist and speak of the field; what is said to be refused is refused, and nothing is ignored in silence.
 */
import { assert, assertEquals } from "@std/assert";
import { parseManifest } from "../../agent/model/manifest.ts";
import { rows } from "./mod.ts";
import { type Field, fieldsOf, manifestWith, problemField } from "./walk.ts";
import { schema } from "../../agent/model/gen/schema.ts";

const root = new URL("../../", import.meta.url).pathname;
const fields = fieldsOf("Pod", rows);
const nameOf = (f: Field) => `${f.type}.${f.name}`;

function readText(path: string): string | undefined {
  try {
    if (Deno.statSync(root + path).isFile) return Deno.readTextFileSync(root + path);
    return [...Deno.readDirSync(root + path)].map((e) => Deno.readTextFileSync(`${root}${path}/${e.name}`))
      .join("\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What is wrong with the claim that this test proves this field. */
function doubt(field: Field, test: string): string | undefined {
  const [path = "", name] = test.split(/: (.*)/s);
  const text = readText(path);
  if (text === undefined) return `${path} does not exist`;
  if (name !== undefined && !text.includes(name)) return `${path} has no test "${name}"`;
  return text.includes(field.name) ? undefined : `${path} does not speak of ${field.name}`;
}

/** What a manifest that says just this field is told about it. */
function complaints(field: Field) {
  const at = problemField(field);
  return parseManifest("pod.yaml", manifestWith(field, field.row?.sample)).problems.filter((p) =>
    p.field?.startsWith(at)
  );
}

Deno.test("every field of the v1 Pod has a row in the coverage table", () => {
  assertEquals(fields.filter((f) => f.row === undefined && !f.descends).map(nameOf), []);
});

Deno.test("every row of the coverage table is about a field that exists", () => {
  const known = new Set(fields.map(nameOf));
  const all = Object.entries(rows).flatMap(([type, of]) => Object.keys(of).map((name) => `${type}.${name}`));
  assertEquals(all.filter((name) => !known.has(name)), []);
});

Deno.test("what is proven names tests that exist and speak of the field", () => {
  const doubts = fields.flatMap((f) =>
    f.row?.state === "proven"
      ? f.row.by.flatMap((test) => doubt(f, test) ?? []).map((d) => `${nameOf(f)}: ${d}`)
      : []
  );
  assertEquals(doubts, []);
  assert(fields.every((f) => f.row?.state !== "proven" || f.row.by.length > 0));
});

Deno.test("what is proven is not said to be unsupported", () => {
  const told = fields.filter((f) =>
    f.row?.state === "proven" && f.path[0] === "spec" && schema[f.type] !== undefined
  )
    .flatMap((f) =>
      complaints(f).filter((p) => /not supported|no effect/.test(p.message)).map((p) =>
        `${nameOf(f)}: ${p.message}`
      )
    );
  assertEquals(told, []);
});

Deno.test("what is rejected is an error with the field's name, what needs the cluster is at least a warning", () => {
  const silent = fields.filter((f) => {
    if (f.row?.state === "rejected") return !complaints(f).some((p) => p.severity === "error");
    return f.row?.state === "cluster" && f.row.quiet === undefined && complaints(f).length === 0;
  });
  assertEquals(silent.map(nameOf), []);
});
