// Packaging by `deno compile`, for where its runtime base (denort) can be had. Not for the other form
// (package_self.ts).

import { join } from "@std/path";
import { type BuildRequest, root, stampProgram } from "./build_request.ts";
import { capture } from "./shell.ts";

const PROBE_MS = 4000;

/**
 * Where the runtime base for a target would come from: $DENORT_BIN, Deno's cache or the network; undefined when it is
 * nowhere. Answers within seconds, so that a build without network does not hang in `deno compile`'s retries.
 */
export async function findRuntimeBase(target: string): Promise<string | undefined> {
  const named = Deno.env.get("DENORT_BIN");
  if (named) return named;
  const archive = `release/v${Deno.version.deno}/denort-${target}.zip`;
  const info: { denoDir?: string } = JSON.parse(await capture(Deno.execPath(), ["info", "--json"], root));
  const cached = join(info.denoDir ?? "", "dl", archive);
  if (await Deno.stat(cached).then(() => true, () => false)) return cached;
  const url = `https://dl.deno.land/${archive}`;
  try {
    const response = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(PROBE_MS) });
    await response.body?.cancel();
    return response.ok ? url : undefined;
  } catch {
    return undefined;
  }
}

/** Writes `request.out` by `deno compile`. */
export async function compileProgram(request: BuildRequest): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "agent-compile-" });
  try {
    const program = join(directory, "agent.js");
    await Deno.writeTextFile(program, stampProgram(request, "deno compile"));
    const args = ["compile", ...request.flags, "--target", request.target, "-o", request.out, program];
    await capture(Deno.execPath(), args, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
