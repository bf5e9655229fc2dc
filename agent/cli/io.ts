/**
 * All that a command touches, in one value: main and the tests give it. Not for: what commands mean.
 */
import type { ParsedConfig } from "../config/config.ts";
import { defaultValues, instanceOf } from "../config/defaults.ts";
import { keyByName } from "../config/keys.ts";
import type { Problem } from "../model/errors.ts";
import type { ManifestObjects } from "../model/objects.ts";
import type { CniPlaces, CniTool } from "./cni_tool.ts";
import type { Flag, ParsedArgs } from "./command.ts";
import type { JoinAsked, JoinOutcome, ResetAsked, TellStep } from "./join_steps.ts";

/** What `agent version` says; agent/build_info.ts fills it. */
export interface Build {
  version: string;
  commit: string;
  packaging: string;
  target: string;
  deno: string;
}

/** The files that apply and delete touch; the Host has all of this. A missing file is `undefined`. */
export interface CliFiles {
  list(path: string): Promise<string[] | undefined>;
  stat(path: string): Promise<{ kind: string } | undefined>;
  lstat(path: string): Promise<{ kind: string } | undefined>;
  mkdir(path: string): Promise<void>;
  writeFileAtomic(path: string, content: string, mode?: number): Promise<void>;
  remove(path: string): Promise<void>;
}

/** What one manifest file says. */
export interface Manifest extends ManifestObjects {
  problems: Problem[];
}

/** The configuration as config/config.ts parsed it. */
export type EffectiveConfig = Pick<ParsedConfig, "values" | "origin">;

/** Standard input as a session with a container needs it. */
export interface Input {
  isTerminal: boolean;
  /** Up to the end of the input; bytes as they come. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Raw: each key at once and unseen, Ctrl-C as a byte. Only for terminals. Returns what undoes it. */
  makeRaw(): () => void;
  /** Cells of the terminal, wherever one is; `undefined` where there is none. */
  size(): { columns: number; rows: number } | undefined;
  /** Calls back when the terminal's size has changed. */
  onResize(listener: () => void, signal: AbortSignal): void;
  /** Calls back with the exit status when the program is told to end (SIGINT, SIGTERM, SIGHUP), instead of ending it. */
  onEnd(listener: (status: number) => void, signal: AbortSignal): void;
}

/** The terminal: what terminal.ts makes of the real one. */
export interface Terminal {
  /** Writes all of it to standard output. Throws BrokenPipe when nobody reads any more. */
  out(chunk: string | Uint8Array): Promise<void>;
  err(chunk: string | Uint8Array): Promise<void>;
  /** Whether a person looks at standard output, and at standard error. */
  outIsTerminal: boolean;
  errIsTerminal: boolean;
  /** Width of the terminal in cells. */
  columns(): number;
  env(name: string): string | undefined;
  readStdin(): Promise<string>;
  input: Input;
  cwd(): string;
}

/** What only main can give, since the command line may not import it. */
export interface Services {
  /** Milliseconds since the epoch. */
  now(): number;
  build: Build;
  files: CliFiles;
  /** Reads one manifest's text; problems carry positions where they are known. Never throws. */
  parseManifest(file: string, text: string): Promise<Manifest>;
  /** The manifests of a directory, or the one file; what cannot be read is left out. */
  readManifests(path: string): Promise<{ path: string; text: string }[]>;
  /** Problems of the files and directories, together. */
  check(paths: readonly string[], signal: AbortSignal): Promise<Problem[]>;
  /** `agent run`, which is the whole agent. */
  run: {
    flags: readonly Flag[];
    details?: string;
    run(args: ParsedArgs, argv: readonly string[]): Promise<number>;
    /** With the kubelet's defaults, and by nothing but its flags. */
    asKubelet(args: ParsedArgs): Promise<number>;
  };
  /** What `agent run` would go by with these flags; `undefined` when it has errors, which are printed. */
  config: { flags: readonly Flag[]; read(args: ParsedArgs): Promise<EffectiveConfig | undefined> };
  /** `agent teardown`: every pod of the instance and its own runtime end. */
  teardown: { flags: readonly Flag[]; run(args: ParsedArgs): Promise<number> };
  /** Becoming a node of a cluster, and no longer being one; `undefined` when the configuration has errors, which are printed. */
  cluster: {
    flags: readonly Flag[];
    join(args: ParsedArgs, asked: JoinAsked, tell: TellStep): Promise<JoinOutcome | undefined>;
    reset(args: ParsedArgs, asked: ResetAsked, tell: TellStep): Promise<JoinOutcome | undefined>;
  };
  /** Networks by CNI; `undefined` when the configuration has errors, which are printed. */
  cni(places: CniPlaces): Promise<CniTool | undefined>;
  /** Aborts on Ctrl-C. */
  signal: AbortSignal;
}

export type Io = Terminal & Services;

/** Colours for people only, and never against NO_COLOR (no-color.org). */
export const wantsColour = (io: Pick<Terminal, "outIsTerminal" | "env">): boolean =>
  io.outIsTerminal && (io.env("NO_COLOR") ?? "") === "" && io.env("TERM") !== "dumb";

/** As the agent itself finds it: a private instance is named by its socket or by its root directory. */
export function socketPath(args: ParsedArgs, io: Pick<Terminal, "env">): string {
  const named = args.text("socket") ?? io.env("AGENT_SOCKET");
  if (named) return named;
  const root = io.env("AGENT_ROOT_DIR") || String(keyByName.get("rootDir")!.default);
  return String(defaultValues(instanceOf(root), () => undefined).values.get("socket"));
}
