/**
 * Regenerates plugins/rpc/gen from plugins/rpc/proto: `deno run -A tools/proto.ts`.
 * With `--check` it writes nothing and exits 1 when the checked-in files are not what the .proto files give.
 * Not part of the agent: buf and ts-proto are needed only here.
 */
// deno-lint-ignore-file no-console -- a command line tool
import { join, relative } from "@std/path";

const root = join(import.meta.dirname ?? ".", "..");
const protoDir = join(root, "plugins/rpc/proto");
const genDir = join(root, "plugins/rpc/gen");
const header = "// generated, never edit: written by `deno task proto` from plugins/rpc/proto\n" +
  "// deno-lint-ignore-file\n// deno-fmt-ignore-file\n";

/** ts-proto options: plain interfaces, bigint for 64-bit integers, definitions only (no client or server classes). */
const options = [
  "outputServices=generic-definitions",
  "outputJsonMethods=false",
  "forceLong=bigint",
  "esModuleInterop=true",
  "importSuffix=.ts",
  "useOptionals=messages",
  "useExactTypes=false",
  "unrecognizedEnum=false",
  "annotateFilesWithVersion=false",
];

function template(out: string): string {
  const plugin = ["deno", "run", "-A", "npm:ts-proto@2.18.0/protoc-gen-ts_proto"];
  return JSON.stringify({ version: "v2", plugins: [{ local: plugin, out, opt: options }] });
}

async function generate(out: string): Promise<void> {
  const args = [
    "run",
    "-A",
    "npm:@bufbuild/buf@1.70.0/buf",
    "generate",
    "--template",
    template(out),
    protoDir,
  ];
  const { success } = await new Deno.Command("deno", { args, cwd: root }).output();
  if (!success) throw new Error(`buf generate ended with an error; run: deno ${args.join(" ")}`);
  for (const path of listFiles(out)) Deno.writeTextFileSync(path, header + Deno.readTextFileSync(path));
}

function listFiles(dir: string): string[] {
  const entries = [...Deno.readDirSync(dir)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap((e) => e.isDirectory ? listFiles(join(dir, e.name)) : [join(dir, e.name)]);
}

function readTree(dir: string): Map<string, string> {
  return new Map(listFiles(dir).map((path) => [relative(dir, path), Deno.readTextFileSync(path)]));
}

/** The paths, relative to the generated directory, at which two trees differ. */
function diffTrees(fresh: Map<string, string>, checkedIn: Map<string, string>): string[] {
  const paths = new Set([...fresh.keys(), ...checkedIn.keys()]);
  return [...paths].filter((path) => fresh.get(path) !== checkedIn.get(path)).sort();
}

async function main(): Promise<number> {
  const out = Deno.makeTempDirSync({ prefix: "proto-" });
  try {
    await generate(out);
    const stale = diffTrees(readTree(out), readTree(genDir));
    if (Deno.args.includes("--check")) {
      for (const path of stale) console.error(`stale: plugins/rpc/gen/${path}; run: deno task proto`);
      return stale.length === 0 ? 0 : 1;
    }
    Deno.removeSync(genDir, { recursive: true });
    for (const [path, text] of readTree(out)) {
      Deno.mkdirSync(join(genDir, path, ".."), { recursive: true });
      Deno.writeTextFileSync(join(genDir, path), text);
    }
    return 0;
  } finally {
    Deno.removeSync(out, { recursive: true });
  }
}

Deno.exit(await main());
