/**
 * Writes agent/model/gen/v1.ts (the v1 API as TypeScript interfaces) and agent/model/gen/schema.ts (the same as a
 * table that the strict decoder walks) from the models of @kubernetes/client-node, whose classes list every field of
 * the API. `--check` writes nothing and fails when the files are stale.
 *
 * Not for: anything at run time; the package is read as text and never loaded.
 */
// deno-lint-ignore-file no-console
import { dirname, join } from "@std/path";

const roots = [
  "V1Pod",
  "V1PodList",
  "V1ConfigMap",
  "V1Secret",
  "CoreV1Event",
  "V1Node",
  "V1RuntimeClass",
  "V1PersistentVolume",
  "V1PersistentVolumeClaim",
  "V1StorageClass",
  "V1CSIDriver",
];

/** Fields that are a resource.Quantity in the API, which the models show as plain strings. */
const quantities: Record<string, string[]> = {
  ResourceRequirements: ["limits", "requests"],
  VolumeResourceRequirements: ["limits", "requests"],
  ResourceFieldSelector: ["divisor"],
  EmptyDirVolumeSource: ["sizeLimit"],
  PodSpec: ["overhead"],
  Overhead: ["podFixed"],
  ContainerStatus: ["allocatedResources"],
  PodStatus: ["allocatedResources"],
  NodeStatus: ["allocatable", "capacity"],
  PersistentVolumeSpec: ["capacity"],
  PersistentVolumeClaimStatus: ["capacity", "allocatedResources"],
};

interface Attribute {
  baseName: string;
  type: string;
  format: string;
  required: boolean;
  doc: string;
}

const modelsDir = join(
  dirname(new URL(import.meta.resolve("@kubernetes/client-node")).pathname),
  "gen/models",
);

function readModel(name: string): { doc: string; attributes: Attribute[] } {
  const js = Deno.readTextFileSync(join(modelsDir, `${name}.js`));
  const dts = Deno.readTextFileSync(join(modelsDir, `${name}.d.ts`));
  const table = js.match(/attributeTypeMap = (\[[\s\S]*?\n\]);/)?.[1];
  if (table === undefined) throw new Error(`${name}: no attributeTypeMap`);
  const attributes = (JSON.parse(table) as Omit<Attribute, "required" | "doc">[]).map((a) => {
    const declared = dts.match(
      new RegExp(`(?:/\\*\\*\\s*\\n\\s*\\* ([^\\n]*)\\n\\s*\\*/\\s*\\n\\s*)?'_?${a.baseName}'(\\??):`),
    );
    return { ...a, required: declared?.[2] === "", doc: cleanDoc(declared?.[1] ?? "") };
  });
  const doc = js.match(/\/\*\*\n\* ([^\n]*)\n\*\/\nexport class/)?.[1] ?? "";
  return { doc: cleanDoc(doc), attributes };
}

const cleanDoc = (doc: string) => doc.replaceAll("\\'", "'").replaceAll("*/", "* /").trim();

const shortName = (type: string) => type.replace(/^V1|^CoreV1|^EventsV1|^StorageV1/, "");

/** One field's type in the table's words: `string`, `int32`, `quantity`, `Container[]`, `string{}`, … */
function fieldType(model: string, a: Attribute): string {
  const array = a.type.match(/^Array<(.*)>$/)?.[1];
  if (array !== undefined) return fieldType(model, { ...a, type: array }) + "[]";
  const map = a.type.match(/^\{ \[key: string\]: (.*); \}$/)?.[1];
  if (map !== undefined) return fieldType(model, { ...a, type: map }) + "{}";
  if (a.type === "string") {
    if (quantities[shortName(model)]?.includes(a.baseName)) return "quantity";
    return a.format === "byte" ? "bytes" : "string";
  }
  if (a.type === "number") return a.format === "int32" || a.format === "int64" ? a.format : "number";
  if (a.type === "boolean") return "boolean";
  if (a.type === "Date" || a.type === "V1MicroTime") return "time";
  if (a.type === "IntOrString") return "intOrString";
  if (a.type === "any" || a.type === "object") return "any";
  return shortName(a.type);
}

const referenced = (type: string) =>
  type.match(/\b(?:V1|CoreV1|StorageV1)[A-Z]\w*/g)?.filter((t) => t !== "V1MicroTime") ?? [];

type Model = ReturnType<typeof readModel>;

const attribute = (baseName: string, type: string, doc = ""): Attribute => ({
  ...{ baseName, type, doc, format: "", required: false },
});

/** Kinds of custom resources, which the package does not have. */
const custom: Record<string, Model> = {
  V1NetworkAttachmentDefinition: {
    doc: "A further network of pods, as the Network Plumbing Working Group defines it (k8s.cni.cncf.io/v1).",
    attributes: [
      attribute("apiVersion", "string"),
      attribute("kind", "string"),
      attribute("metadata", "V1ObjectMeta"),
      attribute("spec", "V1NetworkAttachmentDefinitionSpec"),
    ],
  },
  V1NetworkAttachmentDefinitionSpec: {
    doc: "NetworkAttachmentDefinitionSpec says how the network is attached.",
    attributes: [
      attribute("config", "string", "A CNI network configuration, or a list of them, as JSON."),
    ],
  },
};

function closure(names: string[]): Map<string, Model> {
  const found = new Map<string, Model>();
  const queue = [...names];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (found.has(name)) continue;
    const model = readModel(name);
    found.set(name, model);
    for (const a of model.attributes) queue.push(...referenced(a.type));
  }
  for (const [name, model] of Object.entries(custom)) found.set(name, model);
  return new Map([...found].sort(([a], [b]) => shortName(a) < shortName(b) ? -1 : 1));
}

const scalars: Record<string, string> = {
  int32: "number",
  int64: "number",
  quantity: "string",
  bytes: "string",
  time: "string",
  intOrString: "number | string",
  any: "unknown",
};

function tsType(type: string): string {
  if (type.endsWith("[]")) {
    const inner = tsType(type.slice(0, -2));
    return inner.includes(" ") ? `(${inner})[]` : `${inner}[]`;
  }
  if (type.endsWith("{}")) return `Record<string, ${tsType(type.slice(0, -2))}>`;
  return scalars[type] ?? type;
}

const header = (what: string) =>
  `// Generated by tools/schema.ts from the models of @kubernetes/client-node. Never edit.\n// ${what}\n\n`;

function render(models: ReturnType<typeof closure>): { types: string; table: string } {
  let types = header(
    "The v1 API as interfaces: times, quantities and bytes (base64) are strings, as in JSON.",
  );
  let table = header("The v1 API's fields for the strict decoder; `!` marks a required field.") +
    "export const schema: Readonly<Record<string, Readonly<Record<string, string>>>> = {\n";
  for (const [name, model] of models) {
    const short = shortName(name);
    types += `/** ${model.doc} */\nexport interface ${short} {\n`;
    table += `  ${short}: {\n`;
    for (const a of model.attributes) {
      const type = fieldType(name, a);
      const key = /^\w+$/.test(a.baseName) ? a.baseName : JSON.stringify(a.baseName);
      if (a.doc !== "") types += `  /** ${a.doc} */\n`;
      types += `  ${key}${a.required ? "" : "?"}: ${tsType(type)};\n`;
      table += `    ${key}: "${type}${a.required ? "!" : ""}",\n`;
    }
    types += "}\n\n";
    table += "  },\n";
  }
  return { types, table: table + "};\n" };
}

const out = new URL("../agent/model/gen/", import.meta.url).pathname;
const { types, table } = render(closure(roots));
const files = { "v1.ts": types, "schema.ts": table };
let stale = 0;
for (const [name, text] of Object.entries(files)) {
  const path = join(out, name);
  if (!Deno.args.includes("--check")) {
    Deno.mkdirSync(out, { recursive: true });
    Deno.writeTextFileSync(path, text);
  } else if (Deno.readTextFileSync(path) !== text) {
    console.error(`${path} is stale: run deno task gen`);
    stale++;
  }
}
Deno.exit(stale === 0 ? 0 : 1);
