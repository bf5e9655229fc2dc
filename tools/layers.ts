// Who may import whom, as a table, and the other rules that a machine can check on a source file: where `Deno` and
// `console` may stand and how long a file may be. Pure: facts about a file in, violations out. Not for reading files
// (tests/layers_test.ts does) nor for style (deno lint does).

import { dirname, join } from "@std/path";

/** One thing a file says that a rule is about. */
export type Mention =
  | { readonly kind: "import"; readonly specifier: string; readonly line: number }
  | { readonly kind: "global"; readonly name: string; readonly line: number };

/** A source file as the rules see it; `path` is relative to the root of the project. */
export interface SourceFile {
  readonly path: string;
  readonly lines: number;
  readonly mentions: readonly Mention[];
}

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
}

interface Rule {
  /** Places of the project, as prefixes of paths; the own place is always allowed. */
  readonly inside: readonly string[];
  /** Libraries by the name they are imported by; `name*` stands for what begins so. */
  readonly libraries: readonly string[];
}

/** Anything in the places that make up the agent's core. */
const SHARED = [
  "agent/model/",
  "agent/ports.ts",
  "agent/plugin_ports.ts",
  "agent/lib/",
  "agent/status_store.ts",
  "agent/build_info.ts",
];

const EVERYTHING: Rule = { inside: [""], libraries: ["*"] };

/** By place, the longest prefix of a path decides. This is the table of the architecture. */
const RULES: Readonly<Record<string, Rule>> = {
  "agent/model/": { inside: [], libraries: [] },
  "agent/model/parse_yaml.ts": { inside: ["agent/model/"], libraries: ["@std/yaml"] },
  "agent/lib/": { inside: [], libraries: ["@std/*"] },
  "agent/build_info.ts": { inside: [], libraries: [] },
  "agent/ports.ts": { inside: ["agent/model/"], libraries: [] },
  "agent/plugin_ports.ts": { inside: ["agent/model/"], libraries: [] },
  "agent/host.ts": {
    inside: ["agent/model/", "agent/ports.ts", "agent/lib/", "agent/inotify.ts"],
    libraries: ["@std/path", "node:*"],
  },
  "agent/inotify.ts": { inside: ["agent/model/", "agent/lib/"], libraries: ["@std/path"] },
  "agent/status_store.ts": {
    inside: ["agent/model/", "agent/ports.ts", "agent/lib/"],
    libraries: ["@std/path"],
  },
  "agent/agent.ts": { inside: SHARED, libraries: [] },
  "agent/sources/": { inside: SHARED, libraries: ["@std/path"] },
  // Positions in YAML, for the one problem that is shown; loaded only then.
  "agent/sources/locate.ts": { inside: [...SHARED, "agent/sources/"], libraries: ["yaml"] },
  "agent/reconcile/": { inside: SHARED, libraries: ["@std/path"] },
  "agent/volumes/": { inside: SHARED, libraries: ["@std/path"] },
  "agent/node/": { inside: SHARED, libraries: ["@std/path"] },
  "agent/cluster/": { inside: SHARED, libraries: ["@std/path"] },
  // TLS without verification, which only Node's interface has.
  "agent/cluster/client/unverified.ts": { inside: [...SHARED, "agent/cluster/"], libraries: ["node:https"] },
  "agent/api/": { inside: SHARED, libraries: ["hono*"] },
  // TLS with client certificates and connections that change their protocol, which only Node's interface has.
  "agent/api/kubelet/": { inside: [...SHARED, "agent/api/"], libraries: ["node:*"] },
  "agent/config/": { inside: ["agent/model/"], libraries: ["@std/yaml", "@std/flags", "@std/path"] },
  "agent/cli/": {
    inside: ["agent/config/", "agent/model/", "agent/lib/", "agent/build_info.ts"],
    libraries: ["@std/flags", "@std/path", "@std/yaml"],
  },
  // Directories by descriptor, which only Node's interface has.
  "agent/cli/local_files.ts": { inside: ["agent/cli/", "agent/model/"], libraries: ["node:fs"] },
  "agent/main.ts": { inside: ["agent/", "plugins/*/mod.ts"], libraries: [] },
  // The composition root's rooms: with main.ts the only code that knows all the parts.
  "agent/compose/": { inside: ["agent/", "plugins/*/mod.ts"], libraries: ["@std/path"] },
  "plugins/": {
    inside: [
      ...["agent/model/", "agent/ports.ts", "agent/plugin_ports.ts", "agent/lib/"],
      ...["plugins/rpc/", "plugins/processes/"],
    ],
    libraries: ["*"],
  },
  "tools/": EVERYTHING,
  "tests/": EVERYTHING,
};

/** Where the runtime's own interface may be named; everything else gets it through ports. */
const MAY_NAME_DENO = [
  "agent/host.ts",
  "agent/inotify.ts",
  "agent/main.ts",
  "agent/compose/",
  "agent/cli/",
  "agent/api/serve.ts",
  "agent/cluster/client/client.ts",
  "plugins/",
  "tools/",
  "tests/",
];

/** They put the program together, so nothing below may know them. */
const ROOTS = ["agent/main.ts", "agent/compose/"];

const MAY_NAME_CONSOLE = ["agent/main.ts", "agent/cli/", "tools/", "tests/"];

/** Libraries that live in few places only, whatever the table says. */
const KEPT_TO: Readonly<Record<string, readonly string[]>> = {
  "hono": ["agent/api/", "tests/", "tools/"],
  "@std/flags": ["agent/cli/", "agent/config/", "tests/", "tools/"],
};

export const LONG_FILE = 300;
export const TOO_LONG_FILE = 400;

/** Written by generators, so neither short nor ours to shape. */
export function isGenerated(path: string): boolean {
  return path.includes("/gen/") || path.endsWith("_gen.ts");
}

/** All rules that a file breaks, each with its line. */
export function checkSourceFile(file: SourceFile): Violation[] {
  const found: Violation[] = [];
  for (const mention of file.mentions) {
    const rule = mention.kind === "import"
      ? checkImport(file.path, mention.specifier)
      : checkGlobal(file.path, mention.name);
    if (rule !== undefined) found.push({ path: file.path, line: mention.line, rule });
  }
  if (file.lines > TOO_LONG_FILE && !isGenerated(file.path)) {
    found.push({
      path: file.path,
      line: file.lines,
      rule: `a file has at most ${TOO_LONG_FILE} lines; split it`,
    });
  }
  return found;
}

function checkGlobal(path: string, name: string): string | undefined {
  if (name === "Deno" && !isIn(path, MAY_NAME_DENO)) {
    return `only ${MAY_NAME_DENO.join(", ")} may name Deno; take what you need as a port`;
  }
  if (name === "console" && !isIn(path, MAY_NAME_CONSOLE)) {
    return `only ${MAY_NAME_CONSOLE.join(", ")} may use console; log through agent/lib/log.ts`;
  }
  return undefined;
}

function checkImport(path: string, specifier: string): string | undefined {
  const place = placeOf(path);
  const rule = RULES[place];
  if (rule === undefined) return "this place is not in the table of tools/layers.ts";
  if (!specifier.startsWith(".")) return checkLibrary(path, place, rule, specifier);
  const target = join(dirname(path), specifier);
  if (target === "agent/main.ts") return "nobody imports agent/main.ts";
  if (isIn(target, ROOTS) && !isIn(path, [...ROOTS, "tests/"])) return `nobody below imports ${target}`;
  if (target.startsWith("tests/") && !isIn(path, ["tests/", "tools/"])) return "no program imports tests";
  const own = ownPlace(path);
  if (target.startsWith(own) || rule.inside.some((prefix) => covers(prefix, target))) return undefined;
  return `${place} may import ${list([own, ...rule.inside])}, not ${target}`;
}

function checkLibrary(path: string, place: string, rule: Rule, library: string): string | undefined {
  for (const [name, places] of Object.entries(KEPT_TO)) {
    const isIt = library === name || library.startsWith(`${name}/`);
    if (isIt && !isIn(path, places)) return `${name} is for ${list(places)} only`;
  }
  if (rule.libraries.some((allowed) => covers(allowed, library))) return undefined;
  return `${place} may import ${list(rule.libraries) || "no library"}, not ${library}`;
}

/** `plugins/cri/` for its files: drivers may not import each other. */
function ownPlace(path: string): string {
  return path.startsWith("plugins/") ? path.split("/").slice(0, 2).join("/") + "/" : placeOf(path);
}

function placeOf(path: string): string {
  const fitting = Object.keys(RULES).filter((prefix) => path.startsWith(prefix));
  return fitting.sort((a, b) => b.length - a.length)[0] ?? dirname(path);
}

function isIn(path: string, places: readonly string[]): boolean {
  return places.some((place) => path.startsWith(place));
}

/** A prefix, or a pattern in which `*` stands for one name, or for the rest when it is last. */
function covers(pattern: string, text: string): boolean {
  const [head = "", tail] = pattern.split("*");
  if (tail === undefined || tail === "") return tail === undefined ? fits(head, text) : text.startsWith(head);
  return text.startsWith(head) && text.endsWith(tail) && !text.slice(head.length, -tail.length).includes("/");
}

/** A directory or a whole name; `agent/model/` covers what is under it, `@std/path` only itself. */
function fits(pattern: string, text: string): boolean {
  return pattern === "" || pattern.endsWith("/") ? text.startsWith(pattern) : text === pattern;
}

function list(names: readonly string[]): string {
  return names.join(", ");
}
