/**
 * Reads what a configuration is made of: files, drop-ins, environment, flags. Not for: what it means (config/).
 */
import { join, resolve } from "@std/path";
import { type ConfigInput, parseConfig, type ParsedConfig } from "../config/config.ts";
import type { Problem } from "../model/errors.ts";
import type { Host } from "../ports.ts";

type Flags = Readonly<Record<string, unknown>>;

const texts = (value: unknown): string[] =>
  (Array.isArray(value) ? value : value === undefined ? [] : [value]).map(String);

async function readFiles(
  host: Host,
  paths: string[],
  problems: Problem[],
): Promise<{ path: string; text: string }[]> {
  const files: { path: string; text: string }[] = [];
  for (const path of paths.map((p) => resolve(p))) {
    const text = await host.readText(path).catch(() => undefined);
    if (text !== undefined) files.push({ path, text });
    else {problems.push({
        severity: "error",
        file: path,
        message: "expected a configuration file that can be read",
      });}
  }
  return files;
}

export async function loadConfig(
  host: Host,
  flags: Flags,
  env: Record<string, string>,
  hostname: string,
): Promise<ParsedConfig> {
  const problems: Problem[] = [];
  const directories = texts(flags["config-dir"]).map((d) => resolve(d));
  const dropIns: string[] = [];
  for (const directory of directories) {
    const names = await host.list(directory);
    if (names === undefined) {
      problems.push({ severity: "error", file: directory, message: "expected a directory of drop-ins" });
    }
    dropIns.push(...(names ?? []).filter((n) => n.endsWith(".conf")).map((n) => join(directory, n)));
  }
  const input: ConfigInput = {
    files: await readFiles(host, texts(flags["config"]), problems),
    dropIns: await readFiles(host, dropIns, problems),
    flags,
    env,
    hostname,
  };
  const parsed = parseConfig(input);
  return { ...parsed, problems: [...problems, ...parsed.problems] };
}
