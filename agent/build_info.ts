// What this build is: version, commit, packaging, Deno version. tools/build.ts puts a `__AGENT_BUILD__` value before the
// bundle; a run from source has none. Not for facts about the machine.

export type Packaging = "source" | "deno compile" | "self-extracting";

export interface BuildInfo {
  /** Release of the agent, e.g. `0.1.0`; `0.0.0-source` when run from source. */
  readonly version: string;
  /** Short git commit, with `-dirty` when the tree had changes; `unknown` when run from source. */
  readonly commit: string;
  readonly packaging: Packaging;
  /** Target triple of the build; empty when run from source. */
  readonly target: string;
  /** Version of the Deno runtime that runs now, e.g. `2.9.6`. */
  readonly deno: string;
}

/** The part that only the build knows; the form of `__AGENT_BUILD__`. */
export type BuildStamp = Omit<BuildInfo, "deno">;

declare global {
  var __AGENT_BUILD__: BuildStamp | undefined;
  /** Text of the systemd unit. */
  var __AGENT_UNIT__: string | undefined;
  /** The name by which the program was called: a path, or a word that was found in PATH. */
  var __AGENT_CALLED__: string | undefined;
}

const fromSource: BuildStamp = {
  version: "0.0.0-source",
  commit: "unknown",
  packaging: "source",
  target: "",
};

export function buildInfo(): BuildInfo {
  // Deno's user agent is `Deno/<version>`; it serves here because only few files may name Deno itself.
  return { ...(globalThis.__AGENT_BUILD__ ?? fromSource), deno: navigator.userAgent.replace(/^Deno\//, "") };
}

/** The systemd unit that belongs to this build; a run from source carries none. */
export const unitFile = (): string | undefined => globalThis.__AGENT_UNIT__;

/** By which name the program was called; `undefined` when run from source. */
export const calledAs = (): string | undefined => globalThis.__AGENT_CALLED__;
