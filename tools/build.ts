// `deno task build`: bundles agent/main.ts and makes dist/agent of it, one executable file. TARGET names another
// machine, e.g. aarch64-unknown-linux-gnu; OUT another place for the file; PACKAGING=self-extracting or "deno compile"
// insists on one form; ENTRY another program. Not for installing it (tools/install.sh).
//
// What the build knows reaches the program as `globalThis.__AGENT_BUILD__`, put before the bundle; agent/build_info.ts
// reads it.

// deno-lint-ignore-file no-console
import { dirname, join } from "@std/path";
import type { BuildStamp } from "../agent/build_info.ts";
import config from "../deno.json" with { type: "json" };
import { type BuildRequest, root } from "./build_request.ts";
import { compileProgram, findRuntimeBase } from "./package_compile.ts";
import { packSelfExtracting } from "./package_self.ts";
import { capture, describeFile } from "./shell.ts";

// A small young generation halves what a burst of work leaves resident; with `gc` in reach the agent can give memory
// back when it falls idle (both measured: 86 MB -> 45 MB after the same burst).
const v8Flags = ["--max-semi-space-size=2", "--expose-gc"];

/** Flags for every packaging; the launcher adds those that keep a plain `deno run` from looking around. */
const flags = ["-A", "-q", "--no-config", `--v8-flags=${v8Flags.join(",")}`];

async function bundleProgram(directory: string): Promise<string> {
  const bundle = async (...flags: string[]) => {
    const out = join(directory, "bundle.js");
    const entry = Deno.env.get("ENTRY") ?? "agent/main.ts";
    await capture(Deno.execPath(), ["bundle", "-q", "--platform", "deno", ...flags, "-o", out, entry], root);
    return await Deno.readTextFile(out);
  };
  // Minified it is half as long, and leaves 3 MB less resident.
  const minified = await bundle("--minify");
  proveUsing(await bundle(), minified);
  return lazyRequire(minified);
}

/** The bundler puts a value of `using` that is used once where it is used, and then nobody disposes of it. */
export function proveUsing(plain: string, minified: string): void {
  const count = (text: string) => text.match(/\busing [\w$]+ ?= ?/g)?.length ?? 0;
  if (count(plain) === count(minified)) return;
  throw new Error(
    `${count(plain) - count(minified)} of ${
      count(plain)
    } "using" are lost by --minify: those whose value is ` +
      "used once; write try and finally there",
  );
}

/**
 * CommonJS packages (only `yaml`, loaded when there is something to complain about) ask for Node's own modules. Where
 * the bundler recognises its own shim it imports node:module at the start for that, which costs 5 MB resident; where
 * the shim's minified name escapes it, nothing answers. Both ways end here: they are found when they are asked for.
 */
function lazyRequire(bundle: string): string {
  const find = "((name)=>globalThis.process.getBuiltinModule(name))";
  const imported = /\bimport\s*\{\s*createRequire as ([\w$]+)\s*\}\s*from\s*"node:module";/.exec(bundle);
  if (imported === null) return `var require=${find};\n${bundle}`;
  const call = `${imported[1]}(import.meta.url)`;
  if (!bundle.includes(call)) {
    throw new Error("the bundler makes its require in another way: see lazyRequire");
  }
  return bundle.replace(imported[0], "").replace(call, () => find);
}

/** Short commit, `-dirty` when the tree has changes; `unknown` outside of a checkout. */
async function readCommit(): Promise<string> {
  try {
    return (await capture("git", ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], root))
      .trim();
  } catch {
    return "unknown";
  }
}

/** The file just built must say what we put into it; it unpacks itself beside our caches, not into the system. */
async function proveBuild(request: BuildRequest, packaging: BuildStamp["packaging"]): Promise<void> {
  if (request.target !== Deno.build.target) return;
  const said = await capture(request.out, ["version"], "/", {
    AGENT_UNPACK_DIR: join(request.cacheDir, "unpacked"),
  });
  if (!said.includes(request.stamp.version) || !said.includes(packaging)) {
    throw new Error(`${request.out} version said: ${said.trim() || "nothing"}`);
  }
  await proveComplaint(request);
}

/** What is loaded only to complain must have come along: a wrong manifest is told with its place. */
async function proveComplaint(request: BuildRequest): Promise<void> {
  if (Deno.env.has("ENTRY")) return;
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  await Deno.writeTextFile(path, "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {contaners: []}\n");
  const { stdout, stderr } = await new Deno.Command(request.out, {
    args: ["check", path],
    env: { AGENT_UNPACK_DIR: join(request.cacheDir, "unpacked") },
  }).output();
  await Deno.remove(path);
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!said.includes(":4:8:")) throw new Error(`${request.out} check said: ${said.trim() || "nothing"}`);
}

async function packageProgram(
  request: BuildRequest,
  wanted: string | undefined,
): Promise<BuildStamp["packaging"]> {
  const compile = wanted === "self-extracting" ? undefined : await findRuntimeBase(request.target);
  if (compile !== undefined) {
    try {
      console.log(`deno compile, runtime base: ${compile}`);
      await compileProgram(request);
      await proveBuild(request, "deno compile");
      return "deno compile";
    } catch (error) {
      if (wanted === "deno compile") throw error;
      console.log(`  not usable: ${error instanceof Error ? error.message : error}`);
    }
  } else if (wanted === "deno compile") {
    throw new Error("no runtime base (denort) for deno compile can be had");
  }
  console.log("self-extracting file (no runtime base for deno compile in DENORT_BIN, cache or network)");
  await packSelfExtracting(request);
  await proveBuild(request, "self-extracting");
  return "self-extracting";
}

async function build(): Promise<void> {
  const target = Deno.env.get("TARGET") || Deno.build.target;
  const native = target === Deno.build.target;
  const out = Deno.env.get("OUT") || join(root, "dist", native ? "agent" : `agent-${target}`);
  const work = await Deno.makeTempDir({ prefix: "agent-build-" });
  try {
    console.log(`bundle agent/main.ts for ${target}`);
    const bundle = await bundleProgram(work);
    const stamp = { version: config.version, commit: await readCommit(), target };
    const cacheDir = join(root, ".cache");
    await Deno.mkdir(dirname(out), { recursive: true });
    const packaging = await packageProgram(
      { target, bundle, stamp, flags, cacheDir, out },
      Deno.env.get("PACKAGING"),
    );
    console.log(`${await describeFile(out)}  ${packaging}`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    await build();
  } catch (error) {
    console.error(`build: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
