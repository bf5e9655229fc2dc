/**
 * What a command is, as data: parsing, help, completion and the words of a usage error all read the same table. Pure.
 * Not for: the commands themselves.
 */
import { parseArgs } from "@std/flags";
import { didYouMean } from "../model/suggest.ts";
import type { Io } from "./io.ts";
import { parseDuration } from "./render/duration.ts";

/** What the shell may offer at a place: fixed words, or something that is looked up. */
export type Completion =
  | readonly string[]
  | "files"
  | "directories"
  | "pods"
  /** Of the kind that the first argument says. */
  | "names"
  | "images"
  | "commands"
  | "none";

export interface Flag {
  /** Without dashes: `output`. */
  name: string;
  /** One letter, without dash. */
  short?: string;
  /** `duration` as `90s`, `5m`, `1h30m`; read as milliseconds. */
  kind: "boolean" | "text" | "number" | "duration";
  /** What stands for the value in help: `FILE`. */
  placeholder?: string;
  summary: string;
  /** The only words allowed. */
  values?: readonly string[];
  complete?: Completion;
  /** May be given several times. */
  repeated?: boolean;
  /** False: taken and without effect; left out of help and completion. */
  supported?: boolean;
}

export interface Argument {
  /** In capitals, as help shows it. */
  name: string;
  required: boolean;
  repeated?: boolean;
  summary?: string;
  values?: readonly string[];
  complete?: Completion;
}

export interface Example {
  does: string;
  line: string;
}

export interface Command {
  name: string;
  summary: string;
  /** Further paragraphs of its help. */
  details?: string;
  arguments: readonly Argument[];
  flags: readonly Flag[];
  examples: readonly Example[];
  /** Resolves to the exit status. */
  run(args: ParsedArgs, io: Io): Promise<number>;
}

/** What was typed, checked against the command's table. */
export interface ParsedArgs {
  positional: readonly string[];
  /** A boolean flag that is set. */
  is(flag: string): boolean;
  /** `undefined` when it was not typed, so that `--flag=false` can be told from silence. */
  boolean(flag: string): boolean | undefined;
  text(flag: string): string | undefined;
  texts(flag: string): readonly string[];
  number(flag: string): number | undefined;
  /** Milliseconds. */
  duration(flag: string): number | undefined;
}

/** Something was typed wrongly; exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something failed that the user can read as it is; exit status 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** Flags that every command takes. */
export const globalFlags: readonly Flag[] = [
  {
    name: "socket",
    kind: "text",
    placeholder: "PATH",
    summary: "socket of the agent (default $AGENT_SOCKET, or the one of $AGENT_ROOT_DIR)",
    complete: "files",
  },
  { name: "help", short: "h", kind: "boolean", summary: "show this help" },
];

/** The command's own flags and the global ones. */
export const flagsOf = (command: Command): readonly Flag[] => {
  const own = new Set(command.flags.map((flag) => flag.name));
  return [...command.flags, ...globalFlags.filter((flag) => !own.has(flag.name))];
};

const shown = (flag: Flag): string => `--${flag.name}`;

const truths: Record<string, boolean> = { true: true, "1": true, false: false, "0": false };

/**
 * What parseArgs would misread, written plainly: `-ojson` (a row of letters is a row of flags to it) becomes `-o=json`;
 * a boolean's value other than `false` counts as true to it.
 */
function plainWord(flags: readonly Flag[], word: string): string {
  const long = /^--([^=]+)=(.*)$/s.exec(word);
  if (long !== null) {
    const flag = flags.find((f) => f.name === long[1] && f.kind === "boolean");
    if (flag === undefined) return word;
    const value = truths[long[2]!];
    if (value === undefined) {
      throw new UsageError(`${shown(flag)}: expected true or false, found "${long[2]}"`);
    }
    return `${shown(flag)}=${value}`;
  }
  const short = /^-([A-Za-z])([^=].*)$/s.exec(word);
  const flag = short === null ? undefined : flags.find((f) => f.short === short[1]);
  return flag === undefined || flag.kind === "boolean" ? word : `-${short![1]}=${short![2]}`;
}

function plainWords(flags: readonly Flag[], argv: readonly string[]): string[] {
  const end = argv.indexOf("--");
  return argv.map((word, i) => end >= 0 && i > end ? word : plainWord(flags, word));
}

/** Throws UsageError. */
export function parseCommandLine(command: Command, argv: readonly string[]): ParsedArgs {
  const flags = flagsOf(command);
  const valued = flags.filter((flag) => flag.kind !== "boolean");
  const booleans = flags.filter((flag) => flag.kind === "boolean").map((flag) => flag.name);
  const found = parseArgs(plainWords(flags, argv), {
    string: [...valued.map((flag) => flag.name), "_"],
    boolean: booleans,
    default: Object.fromEntries(booleans.map((name) => [name, null])),
    collect: valued.map((flag) => flag.name),
    alias: Object.fromEntries(
      flags.flatMap((flag) => flag.short === undefined ? [] : [[flag.name, flag.short]]),
    ),
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new UsageError(unknownFlag(command, arg));
    },
  });
  const values = new Map(valued.map((flag) => [flag.name, (found[flag.name] as string[] | undefined) ?? []]));
  const positional = found._.map(String);
  if (found.help !== true) {
    for (const flag of valued) checkValues(flag, values.get(flag.name)!);
    checkArguments(command, positional);
  }
  const last = (name: string) => values.get(name)?.at(-1);
  return {
    positional,
    is: (name) => found[name] === true,
    boolean: (name) => typeof found[name] === "boolean" ? found[name] : undefined,
    text: last,
    texts: (name) => values.get(name) ?? [],
    number: (name) => last(name) === undefined ? undefined : Number(last(name)),
    duration: (name) => parseDuration(last(name) ?? ""),
  };
}

function unknownFlag(command: Command, arg: string): string {
  const name = arg.split("=")[0]!;
  // Any two single letters are alike: only long names are worth a guess.
  const likely = name.startsWith("--") ? didYouMean(name, flagsOf(command).map(shown)) : "";
  return `unknown flag ${name} of "agent ${command.name}"${likely}`;
}

function checkValues(flag: Flag, values: readonly string[]): void {
  if (values.length > 1 && flag.repeated !== true) {
    throw new UsageError(`${shown(flag)}: given ${values.length} times`);
  }
  for (const value of values) {
    const wrong = (expected: string) =>
      new UsageError(`${shown(flag)}: expected ${expected}, found "${value}"`);
    if (value === "") throw wrong(`a value (${shown(flag)} ${flag.placeholder ?? "VALUE"})`);
    if (flag.values !== undefined && !flag.values.includes(value)) {
      throw new UsageError(
        `${shown(flag)}: expected one of ${flag.values.join(", ")}, found "${value}"${
          didYouMean(value, flag.values)
        }`,
      );
    }
    if (flag.kind === "number" && !/^-?\d{1,15}$/.test(value)) throw wrong("a whole number");
    if (flag.kind === "duration" && parseDuration(value) === undefined) {
      throw wrong("a duration such as 90s, 5m or 1h");
    }
  }
}

function checkArguments(command: Command, positional: readonly string[]): void {
  const required = command.arguments.filter((argument) => argument.required).length;
  const missing = command.arguments[positional.length];
  if (positional.length < required) throw new UsageError(`"agent ${command.name}" needs ${missing!.name}`);
  const repeats = command.arguments.at(-1)?.repeated === true;
  if (!repeats && positional.length > command.arguments.length) {
    throw new UsageError(
      `"agent ${command.name}": unexpected argument "${positional[command.arguments.length]}"`,
    );
  }
  for (const [i, argument] of command.arguments.entries()) {
    const word = positional[i];
    if (word === undefined || argument.values === undefined || argument.values.includes(word)) continue;
    throw new UsageError(
      `${argument.name}: expected one of ${argument.values.join(", ")}, found "${word}"${
        didYouMean(word, argument.values)
      }`,
    );
  }
}
