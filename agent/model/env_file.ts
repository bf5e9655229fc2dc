/**
 * Files of environment variables in volumes (`fileKeyRef`): the strict subset of shell syntax that the kubelet reads.
 * Pure. Not for: finding and opening them (agent/volumes).
 *
 * Source: kubernetes pkg/kubelet/util/env/env_util.go (ParseEnv).
 */
import type { Container } from "./gen/v1.ts";

/** The text of an env file, or why there is none; `undefined` is a file that does not exist. */
export type EnvFile = { text: string } | { error: string } | undefined;

/** By `envFileKey`. */
export type EnvFiles = ReadonlyMap<string, EnvFile>;

export interface EnvFileRef {
  volumeName: string;
  path: string;
}

export const envFileKey = ({ volumeName, path }: EnvFileRef): string => `${volumeName}/${path}`;

/** The files that a container takes variables from, each once. */
export function envFileRefs(container: Container): EnvFileRef[] {
  const refs = (container.env ?? []).flatMap((e) => e.valueFrom?.fileKeyRef ?? []);
  return [...new Map(refs.map((ref) => [envFileKey(ref), ref])).values()];
}

const wrong = (line: number, what: string): { error: string } => ({
  error: `invalid environment variable format at line ${line}: ${what}`,
});

/**
 * The value of a key: `NAME='anything, over lines'`, with comments and empty lines between. `undefined` when the file
 * does not name the key; lines after the one that does are not looked at. Blanks between `=` and the quote mean an empty
 * value, as in a shell.
 */
export function envFileValue(text: string, key: string): { value: string | undefined } | { error: string } {
  const lines = text.split("\n").map((line) => line.endsWith("\r") ? line.slice(0, -1) : line);
  for (let at = 0; at < lines.length; at++) {
    const number = at + 1;
    const line = lines[at]!.replace(/^[ \t]+/, "");
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    if (equals === -1) return wrong(number, "missing '='");
    const name = line.slice(0, equals);
    if (name.trim() === "") return wrong(number, "empty variable name");
    if (/[ \t]$/.test(name)) return wrong(number, "whitespace before '=' is not allowed");
    if (/^[ \t]/.test(line.slice(equals + 1))) {
      if (name === key) return { value: "" };
      continue;
    }
    if (line[equals + 1] !== "'") return wrong(number, "value must be enclosed in single quotes");
    const read = quoted(lines, at, line.slice(equals + 2));
    if ("error" in read) return read;
    if (name === key) return { value: read.value };
    at = read.last;
  }
  return { value: undefined };
}

/** What stands up to the closing quote, which may be lines further on. */
function quoted(
  lines: readonly string[],
  first: number,
  rest: string,
): { value: string; last: number } | { error: string } {
  const parts: string[] = [];
  for (let at = first; at < lines.length; at++) {
    const text = at === first ? rest : lines[at]!;
    const end = text.indexOf("'");
    if (end === -1) {
      parts.push(text);
      continue;
    }
    parts.push(text.slice(0, end));
    if (!/^[ \t]*(#.*)?$/s.test(text.slice(end + 1))) {
      return wrong(at + 1, "unexpected content after closing quote");
    }
    return { value: parts.join("\n"), last: at };
  }
  return {
    error: `invalid environment variable format starting at line ${first + 1}: unclosed single quote`,
  };
}
