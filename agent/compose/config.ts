/**
 * Reads what a configuration is made of: what `agent join` has left, files, drop-ins, environment, flags. Not for: what it
 * means (config/).
 */
import { join, resolve } from "@std/path";
import { type ConfigInput, parseConfig, type ParsedConfig } from "../config/config.ts";
import type { Problem } from "../model/errors.ts";
import type { Host } from "../ports.ts";
import { joinedFiles } from "./join/joined.ts";

type Flags = Readonly<Record<string, unknown>>;

export interface ConfigSources {
  flags: Flags;
  env: Record<string, string>;
  hostname: string;
  /** A kubelet's command line: files may be made for a newer one, and what `agent join` has left does not count. */
  asKubelet?: boolean;
}

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

export async function loadConfig(host: Host, sources: ConfigSources): Promise<ParsedConfig> {
  const { flags, env, hostname, asKubelet = false } = sources;
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
  const lenient = (files: { path: string; text: string }[]) =>
    files.map((file) => ({ ...file, lenient: asKubelet }));
  const input: ConfigInput = {
    files: lenient(await readFiles(host, texts(flags["config"]), problems)),
    dropIns: lenient(await readFiles(host, dropIns, problems)),
    flags,
    env,
    hostname,
    asKubelet,
  };
  const alone = parseConfig(input);
  const left = asKubelet ? [] : await joinedFiles(host, alone.config);
  const parsed = left.length === 0 ? alone : parseConfig({ ...input, files: [...left, ...input.files] });
  return { ...parsed, problems: [...problems, ...parsed.problems] };
}
