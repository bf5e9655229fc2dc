// What a build is asked for, and the program text that both packagings start from. Not for packaging itself.

import { fromFileUrl } from "@std/path";
import type { BuildStamp } from "../agent/build_info.ts";

export const root = fromFileUrl(new URL("..", import.meta.url));

/** What both ways of packaging are given. */
export interface BuildRequest {
  /** Target triple, e.g. `x86_64-unknown-linux-gnu`. */
  readonly target: string;
  /** The program as one JavaScript file; `stampProgram` makes it know its packaging. */
  readonly bundle: string;
  readonly stamp: Omit<BuildStamp, "packaging">;
  /** Arguments of `deno run` and `deno compile` that the program needs. */
  readonly flags: readonly string[];
  /** For what is worth keeping between builds. */
  readonly cacheDir: string;
  readonly out: string;
  /** Deno executable for the self-extracting file to carry; by default the one for `target`. */
  readonly runtime?: string;
}

/** The program with its stamp; variables that only served to start it do not reach its children. */
export function stampProgram(request: BuildRequest, packaging: BuildStamp["packaging"]): string {
  const stamp: BuildStamp = { ...request.stamp, packaging };
  const unit = Deno.readTextFileSync(new URL("../manifests/agent.service", import.meta.url));
  const called = "AGENT_CALLED";
  return `globalThis.__AGENT_BUILD__=${JSON.stringify(stamp)};globalThis.__AGENT_UNIT__=${
    JSON.stringify(unit)
  };` +
    `globalThis.__AGENT_CALLED__=Deno.env.get("${called}");` +
    `for(const name of ["DENO_DIR","DENO_NO_UPDATE_CHECK","${called}"])Deno.env.delete(name);\n${request.bundle}`;
}
