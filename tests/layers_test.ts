// Enforces the import table of the architecture (tools/layers.ts) on every source file, and proves that violations are
// seen. The parser is that of `deno lint`, so comments and strings mislead nobody. Not for style.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join, relative } from "@std/path";
import {
  checkSourceFile,
  isGenerated,
  LONG_FILE,
  type Mention,
  type SourceFile,
  type Violation,
} from "../tools/layers.ts";

const root = fromFileUrl(new URL("..", import.meta.url));
const WATCHED = new Set(["Deno", "console"]);
const IMPORTING = new Set([
  "ImportDeclaration",
  "ExportAllDeclaration",
  "ExportNamedDeclaration",
  "ImportExpression",
  "TSImportType",
]);

/** What a file imports (statically, dynamically, in types, by re-export) and which watched globals it names. */
function readMentions(path: string, text: string): Mention[] {
  const mentions: Mention[] = [];
  const lineAt = (offset: number) => text.slice(0, offset).split("\n").length;
  const plugin: Deno.lint.Plugin = {
    name: "layers",
    rules: {
      mentions: {
        create: () => ({
          Literal(node) {
            const parent = node.parent.type === "TSLiteralType" ? node.parent.parent : node.parent;
            if (typeof node.value !== "string" || !IMPORTING.has(parent.type)) return;
            mentions.push({ kind: "import", specifier: node.value, line: lineAt(node.range[0]) });
          },
          Identifier(node) {
            if (!WATCHED.has(node.name) || isOtherName(node)) return;
            mentions.push({ kind: "global", name: node.name, line: lineAt(node.range[0]) });
          },
        }),
      },
    },
  };
  Deno.lint.runPlugin(plugin, path, text);
  return mentions;
}

/** The name of a property or key; but a property of `globalThis` is the global itself. */
function isOtherName(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  if (parent.type === "MemberExpression" && parent.property === node && !parent.computed) {
    return !(parent.object.type === "Identifier" && parent.object.name === "globalThis");
  }
  return parent.type === "Property" && parent.key === node && !parent.shorthand;
}

function readSource(path: string, text: string): SourceFile {
  return { path, lines: text.trimEnd().split("\n").length, mentions: readMentions(path, text) };
}

function listSources(directory: string): string[] {
  return [...Deno.readDirSync(join(root, directory))].flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) return listSources(path);
    return path.endsWith(".ts") ? [path] : [];
  });
}

const render = ({ path, line, rule }: Violation) => `${path}:${line}: ${rule}`;

Deno.test("every source file keeps the import table, the Deno and console rules and the length", () => {
  const paths = ["agent", "plugins", "tools", "tests"].flatMap(listSources);
  assert(paths.includes(relative(root, fromFileUrl(import.meta.url))), "the walk finds this file");
  const violations: string[] = [];
  for (const path of paths.filter((path) => !isGenerated(path))) {
    const source = readSource(path, Deno.readTextFileSync(join(root, path)));
    violations.push(...checkSourceFile(source).map(render));
    if (source.lines > LONG_FILE) {
      // deno-lint-ignore no-console -- a note to whoever reads the output, not a failure
      console.warn(`note: ${path} has ${source.lines} lines; ${LONG_FILE} is the guide`);
    }
  }
  assert(violations.length === 0, `${violations.length} violations\n${violations.join("\n")}`);
});

/** Each source text with the beginning of the message that it must bring, or none. */
const cases: [path: string, text: string, wanted: string | undefined][] = [
  [
    "agent/model/pod.ts",
    `import type { Host } from "../ports.ts";`,
    "agent/model/ may import agent/model/, not agent/ports",
  ],
  ["agent/model/pod.ts", `import { x } from "./errors.ts";`, undefined],
  [
    "agent/model/pod.ts",
    `import { parse } from "@std/yaml";`,
    "agent/model/ may import no library, not @std/yaml",
  ],
  ["agent/model/parse_yaml.ts", `import { parse } from "@std/yaml";`, undefined],
  ["agent/model/pod.ts", `type T = import("../../plugins/cri/mod.ts").T;`, "agent/model/ may import"],
  ["agent/model/pod.ts", `export * from "../lib/log.ts";`, "agent/model/ may import"],
  ["agent/lib/log.ts", `export { y } from "../model/pod.ts";`, "agent/lib/ may import"],
  [
    "agent/reconcile/worker.ts",
    `const x = await import("../volumes/mod.ts");`,
    "agent/reconcile/ may import",
  ],
  ["agent/reconcile/worker.ts", `import { x } from "../model/plan.ts";`, undefined],
  ["agent/sources/merge.ts", `import { main } from "../main.ts";`, "nobody imports agent/main.ts"],
  [
    "agent/sources/merge.ts",
    `import { fake } from "../../tests/fakes/runtime.ts";`,
    "no program imports tests",
  ],
  ["agent/sources/merge.ts", `import { Hono } from "hono/tiny";`, "hono is for agent/api/"],
  ["plugins/cri/mod.ts", `import { parseArgs } from "@std/flags";`, "@std/flags is for agent/cli/"],
  ["plugins/cri/mod.ts", `import { x } from "../cni/mod.ts";`, "plugins/ may import plugins/cri/, "],
  ["plugins/cri/mod.ts", `import { x } from "../rpc/mod.ts"; import { y } from "./translate.ts";`, undefined],
  [
    "agent/main.ts",
    `import { x } from "../plugins/cri/mod.ts"; import { y } from "./cli/mod.ts";`,
    undefined,
  ],
  ["agent/main.ts", `import { x } from "../plugins/cri/translate.ts";`, "agent/main.ts may import"],
  ["agent/api/local.ts", `import { Hono } from "hono";`, undefined],
  ["agent/api/local.ts", `Deno.exit(1);`, "only agent/host.ts, agent/inotify.ts"],
  ["agent/api/local.ts", `const x = globalThis.Deno;`, "only agent/host.ts, agent/inotify.ts"],
  ["agent/api/local.ts", `type T = Deno.Command;`, "only agent/host.ts, agent/inotify.ts"],
  ["agent/api/local.ts", `const x = { console: 1 }; x.console; "Deno"; // Deno`, undefined],
  ["agent/api/serve.ts", `Deno.serve(() => new Response());`, undefined],
  ["plugins/cri/mod.ts", `console.log(1);`, "only agent/main.ts, agent/cli/, tools/, tests/ may use console"],
  ["agent/lib/long.ts", "//\n".repeat(401), "a file has at most 400 lines"],
  ["agent/lib/long.ts", "//\n".repeat(400), undefined],
  ["agent/odd/new.ts", `import { x } from "../lib/log.ts";`, "this place is not in the table"],
];

for (const [path, text, wanted] of cases) {
  Deno.test(`${wanted === undefined ? "allowed" : "seen"} in ${path}: ${text.slice(0, 60).trim()}`, () => {
    const rules = checkSourceFile(readSource(path, text)).map((violation) => violation.rule);
    assertEquals(rules.map((rule) => rule.slice(0, wanted?.length)), wanted === undefined ? [] : [wanted]);
  });
}

Deno.test("a violation names its file and line", () => {
  const source = readSource("agent/lib/log.ts", `// a\nimport { x } from "./y.ts";\n\nconsole.log(x);\n`);
  assertEquals(checkSourceFile(source).map(render)[0]?.split(": ")[0], "agent/lib/log.ts:4");
});
