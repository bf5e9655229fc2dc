/**
 * Every field of the v1 Pod, from the schema that the decoder uses, each with its row, and a manifest that says just
 * this field. Not for: judging (pod_fields_test.ts) or printing (tools/pod_fields.ts).
 */
import { schema } from "../../agent/model/gen/schema.ts";
import type { Row, Rows } from "./row.ts";

export interface Field {
  type: string;
  name: string;
  /** Where it first stands, from the pod's root: `spec`, `containers[]`, … */
  path: readonly string[];
  /** Its own row; `undefined` where there is none and its type has none either. */
  row: Row | undefined;
  /** Fields of its type have rows of their own, and it has none. */
  descends: boolean;
}

/** `Container[]!` -> `Container`. */
const base = (type: string): string => type.replace(/[[\]{}!]/g, "");

const isStruct = (type: string): boolean => Object.hasOwn(schema, base(type)) && !type.includes("{}");

/** Breadth first, so that each type is met at its shortest path. What is refused or waits as a whole is not entered. */
export function fieldsOf(root: string, rows: Rows): Field[] {
  const fields: Field[] = [];
  const seen = new Set<string>();
  const queue: { type: string; path: readonly string[] }[] = [{ type: root, path: [] }];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (seen.has(next.type)) continue;
    seen.add(next.type);
    for (const [name, type] of Object.entries(schema[next.type]!)) {
      const row = rows[next.type]?.[name];
      const path = [...next.path, type.includes("[]") ? `${name}[]` : name];
      const enters = isStruct(type) && (row === undefined || row.state === "proven");
      fields.push({ type: next.type, name, path, row, descends: enters && row === undefined });
      if (enters) queue.push({ type: base(type), path });
    }
  }
  return fields;
}

const scalars: Readonly<Record<string, unknown>> = {
  string: "x",
  int32: 1,
  int64: 1,
  number: 1,
  boolean: true,
  quantity: "1",
  bytes: "eA==",
  time: "2026-01-01T00:00:00Z",
  intOrString: 80,
  any: {},
};

/** A value of this type with what it requires. */
export function sampleOf(type: string): unknown {
  if (type.includes("[]")) return [sampleOf(base(type))];
  if (type.includes("{}")) return { x: sampleOf(base(type)) };
  const name = base(type);
  return name in scalars ? scalars[name] : requiredOf(name);
}

function requiredOf(type: string): Record<string, unknown> {
  const fields = Object.entries(schema[type] ?? {}).filter(([, t]) => t.endsWith("!"));
  return Object.fromEntries(fields.map(([name, t]) => [name, sampleOf(t)]));
}

/** A pod that is right but for this field, as a manifest's text. */
export function manifestWith(field: Field, sample: unknown): string {
  const pod: Record<string, unknown> = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web" },
    spec: { containers: [{ name: "web", image: "web:1" }] },
  };
  let at = pod;
  let type = "Pod";
  for (const part of field.path.slice(0, -1)) {
    const name = part.replace("[]", "");
    type = base(schema[type]![name]!);
    const known = at[name] as Record<string, unknown> | Record<string, unknown>[] | undefined;
    const inner = (Array.isArray(known) ? known[0] : known) ?? requiredOf(type);
    at[name] = part.endsWith("[]") ? [inner] : inner;
    at = inner;
  }
  at[field.name] = sample ?? sampleOf(schema[field.type]![field.name]!);
  return JSON.stringify(pod);
}

/** As problems name it: `spec.containers[0].image`. */
export const problemField = (field: Field): string =>
  field.path.join(".").replaceAll("[]", "[0]").replace(/\[0\]$/, "");
