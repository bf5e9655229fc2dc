// Packaging as a self-extracting file: tools/launcher.sh, then Deno and the program, each packed by gzip. Not for the
// form by `deno compile` (package_compile.ts).

// deno-lint-ignore-file no-console
import { join } from "@std/path";
import { type BuildRequest, root, stampProgram } from "./build_request.ts";
import { capture, hashFile } from "./shell.ts";

/** Deno as npm has it, by target; the same version as the one that builds. */
const RUNTIMES: Record<string, { machine: string; npm: string }> = {
  "x86_64-unknown-linux-gnu": { machine: "x86_64", npm: "@deno/linux-x64-glibc" },
  "aarch64-unknown-linux-gnu": { machine: "aarch64", npm: "@deno/linux-arm64-glibc" },
};

interface Runtime {
  path: string;
  version: string;
}

/** A file to be carried: where it lies, where packed, what the launcher must know of it. */
interface Payload {
  name: string;
  packed: string;
  sum: string;
  size: number;
}

/** Keeps a plain `deno run` from looking for configuration, locks and packages around the program. */
const RUN_FLAGS = ["--no-lock", "--no-npm", "--no-remote", "--node-modules-dir=none", "--no-check"];

/** Writes `request.out`, through a file beside it, so that a running agent's file is replaced and not overwritten. */
export async function packSelfExtracting(request: BuildRequest): Promise<void> {
  const runtime = RUNTIMES[request.target];
  if (runtime === undefined) {
    throw new Error(`TARGET ${request.target}: expected one of ${Object.keys(RUNTIMES).join(", ")}`);
  }
  await Deno.mkdir(request.cacheDir, { recursive: true });
  const deno = await findDeno(request, runtime.npm);
  const carriedRuntime = await packRuntime(request, deno);
  const carriedProgram = await packProgram(request);
  const header = await renderLauncher(request, runtime.machine, carriedRuntime, carriedProgram);
  const fresh = `${request.out}.new`;
  await Deno.writeTextFile(fresh, header, { mode: 0o755 });
  await appendFile(fresh, carriedRuntime.packed);
  await appendFile(fresh, carriedProgram.packed);
  await Deno.rename(fresh, request.out);
}

/** The runtime to carry: the Deno that builds, or for another machine npm's copy of it. */
async function findDeno(request: BuildRequest, npmPackage: string): Promise<Runtime> {
  if (request.runtime !== undefined) return { path: request.runtime, version: Deno.version.deno };
  if (request.target === Deno.build.target) return { path: Deno.execPath(), version: Deno.version.deno };
  const directory = join(request.cacheDir, `${npmPackage.replaceAll("/", "-")}-${Deno.version.deno}`);
  const path = join(directory, "package", "deno");
  if (!await Deno.stat(path).then(() => true, () => false)) await fetchDeno(npmPackage, directory);
  const { version } = JSON.parse(await Deno.readTextFile(join(directory, "package", "package.json")));
  if (version !== Deno.version.deno) {
    console.log(
      `  npm has no ${npmPackage}@${Deno.version.deno}; the file carries ${version}, the newest before it`,
    );
  }
  return { path, version };
}

/** Unpacks our version into `directory`/package; where npm lacks it for that machine, the newest patch before it. */
async function fetchDeno(npmPackage: string, directory: string): Promise<void> {
  const [major, minor] = Deno.version.deno.split(".");
  const wanted = `${npmPackage}@>=${major}.${minor}.0 <=${Deno.version.deno}`;
  console.log(`fetch ${wanted} from npm`);
  await capture(join(root, "tools/setup.sh"), ["npm"], root);
  await Deno.mkdir(join(directory, "part"), { recursive: true });
  const packed = await capture("npm", ["pack", "--loglevel=error", wanted], directory);
  // Renamed when whole: an interrupted build leaves no half runtime under the name we look for.
  await capture("tar", ["-xzf", packed.trim(), "-C", "part"], directory);
  await Deno.rename(join(directory, "part", "package"), join(directory, "package"));
  await Deno.remove(join(directory, packed.trim()));
}

/** Packing Deno takes 10 s, so the result is kept by the sum of what was packed. */
async function packRuntime(request: BuildRequest, { path, version }: Runtime): Promise<Payload> {
  const sum = await hashFile(path);
  const { size } = await Deno.stat(path);
  const packed = join(request.cacheDir, `deno-${sum}.gz`);
  const name = `deno-${version}-${sum.slice(0, 12)}/agent`;
  if (!await Deno.stat(packed).then(() => true, () => false)) {
    if (size > 1e6) console.log(`pack the runtime, ${(size / 1e6).toFixed(1)} MB`);
    await gzip(path, packed);
  }
  return { name, packed, sum, size };
}

async function packProgram(request: BuildRequest): Promise<Payload> {
  const plain = join(request.cacheDir, `agent-${request.target}.js`);
  await Deno.writeTextFile(plain, stampProgram(request, "self-extracting"));
  const sum = await hashFile(plain);
  const packed = `${plain}.gz`;
  await gzip(plain, packed);
  const name = `agent-${request.stamp.version}-${sum.slice(0, 12)}.js`;
  return { name, packed, sum, size: (await Deno.stat(plain)).size };
}

async function gzip(from: string, to: string): Promise<void> {
  using source = await Deno.open(from);
  using target = await Deno.open(`${to}.new`, { write: true, create: true, truncate: true });
  const child = new Deno.Command("gzip", { args: ["-9", "-n"], stdin: "piped", stdout: "piped" }).spawn();
  await Promise.all([source.readable.pipeTo(child.stdin), child.stdout.pipeTo(target.writable)]);
  if (!(await child.status).success) throw new Error(`gzip could not pack ${from}`);
  await Deno.rename(`${to}.new`, to);
}

/** The launcher with its blanks filled. Offsets count from 1, as `tail -c +N` does, and depend on its own length. */
async function renderLauncher(
  request: BuildRequest,
  machine: string,
  runtime: Payload,
  program: Payload,
): Promise<string> {
  const template = await Deno.readTextFile(join(root, "tools/launcher.sh"));
  const packedSizes = await Promise.all(
    [runtime, program].map(async (it) => (await Deno.stat(it.packed)).size),
  );
  const [runtimePacked = 0, programPacked = 0] = packedSizes;
  // Offsets are written with a fixed number of digits, so that filling them in does not move them.
  const fill = (headerSize: number) => {
    const at = (offset: number) => String(offset).padStart(10, "0");
    const blanks: Record<string, string | number> = {
      MACHINE: machine,
      FLAGS: [...request.flags, ...RUN_FLAGS].map((flag) => `'${flag}'`).join(" "),
      RUNTIME_NAME: runtime.name,
      RUNTIME_SUM: runtime.sum,
      RUNTIME_SIZE: runtime.size,
      RUNTIME_PACKED: runtimePacked,
      RUNTIME_AT: at(headerSize + 1),
      PROGRAM_NAME: program.name,
      PROGRAM_SUM: program.sum,
      PROGRAM_SIZE: program.size,
      PROGRAM_PACKED: programPacked,
      PROGRAM_AT: at(headerSize + runtimePacked + 1),
    };
    return template.replace(/@([A-Z_]+)@/g, (blank, name) => String(blanks[name] ?? blank));
  };
  return fill(new TextEncoder().encode(fill(0)).length);
}

async function appendFile(path: string, from: string): Promise<void> {
  using source = await Deno.open(from);
  const target = await Deno.open(path, { append: true });
  await source.readable.pipeTo(target.writable);
}
