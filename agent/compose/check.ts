/**
 * `agent check` for every kind of file that the agent reads: drivers and credential providers by their own rules, all
 * else as manifests. Not for: the configuration (`agent config`).
 */
import { join } from "@std/path";
import type { Problem } from "../model/errors.ts";
import type { PlacedProblem } from "../model/finding.ts";
import { checkFiles } from "../sources/check.ts";
import { locateProblems } from "../sources/locate.ts";
import { isManifestName, type ScanFiles } from "../sources/manifest_files.ts";
import { parseProviders } from "../../plugins/credentials/mod.ts";
import { parseDrivers } from "../../plugins/drivers/mod.ts";

interface TextFile {
  path: string;
  text: string;
}

const others: Record<string, (files: TextFile[]) => { problems: PlacedProblem[] }> = {
  Driver: parseDrivers,
  CredentialProviderConfig: parseProviders,
};

/** Of the first document, as block style or JSON say it. */
const kindOf = (text: string): string | undefined =>
  /^[\s{]*["']?kind["']?\s*:\s*["']?(\w+)/m.exec(text)?.[1];

export async function checkAll(host: ScanFiles, paths: readonly string[]): Promise<Problem[]> {
  const apart = new Map<string, TextFile[]>();
  const manifests: string[] = [];
  for (const path of paths) {
    const files = await filesOf(host, path);
    const foreign = files.filter(({ text }) => Object.hasOwn(others, kindOf(text) ?? ""));
    for (const file of foreign) {
      const kind = kindOf(file.text)!;
      apart.set(kind, [...apart.get(kind) ?? [], file]);
    }
    if (foreign.length === 0) manifests.push(path);
    else manifests.push(...files.filter((file) => !foreign.includes(file)).map((file) => file.path));
  }
  const found: Problem[] = manifests.length === 0 && apart.size > 0 ? [] : await checkFiles(host, manifests);
  for (const [kind, files] of apart) {
    const { problems } = others[kind]!(files);
    for (const { path, text } of files) {
      found.push(...await locateProblems(text, problems.filter((p) => p.file === path)));
    }
  }
  return found;
}

/** What cannot be read is left to those who check manifests. */
async function filesOf(host: ScanFiles, path: string): Promise<TextFile[]> {
  const files: TextFile[] = [];
  try {
    const directory = (await host.stat(path))?.kind === "directory";
    const names = directory ? (await host.list(path) ?? []).filter(isManifestName) : [""];
    for (const name of names) {
      const file = directory ? join(path, name) : path;
      const bytes = await host.readFile(file).catch(() => undefined);
      if (bytes !== undefined) files.push({ path: file, text: new TextDecoder().decode(bytes) });
    }
  } catch {
    return [];
  }
  return files;
}
