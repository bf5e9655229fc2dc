/** Reading manifests for apply and delete, and carrying their plans out. Not for: deciding (manifest_plan.ts). */
import { formatProblem } from "../model/errors.ts";
import type { AgentStatus } from "../model/status_types.ts";
import type { Pod } from "../model/gen/v1.ts";
import type { ApiClient } from "./client.ts";
import { CommandError } from "./command.ts";
import type { Io } from "./io.ts";
import {
  documentTexts,
  type ManifestDocument,
  type ManifestPlan,
  type ManifestText,
  objectTexts,
} from "./manifest_plan.ts";
import { nameOf } from "./output.ts";

/** Where the running agent reads manifests. */
export async function manifestDirectory(client: ApiClient, io: Io): Promise<string> {
  const status = await client.get<AgentStatus>("/status", io.signal);
  if (status.paths.manifests !== "") return status.paths.manifests;
  throw new CommandError("the agent has no manifest directory (--pod-manifest-path, staticPodPath)");
}

async function parseDocuments(path: string, text: string, io: Io): Promise<ManifestDocument[]> {
  const documents: ManifestDocument[] = [];
  for (const part of documentTexts(text)) {
    documents.push({ text: part, objects: objectTexts(await io.parseManifest(path, part)) });
  }
  return documents;
}

/** The manifest directory as it is now. Links and broken documents are left alone. */
export async function readDirectory(directory: string, io: Io): Promise<ManifestText[]> {
  const files: ManifestText[] = [];
  for (const { path, text } of await io.readManifests(directory)) {
    const link = (await io.files.lstat(path))?.kind === "symlink";
    files.push({
      path,
      documents: await parseDocuments(path, text, io),
      ...link ? { locked: "is a symbolic link: change what it points to, where that is kept" } : {},
    });
  }
  return files;
}

export interface Input {
  documents: ManifestDocument[];
  pods: Pod[];
}

async function readSources(paths: readonly string[], io: Io): Promise<{ path: string; text: string }[]> {
  const sources: { path: string; text: string }[] = [];
  for (const path of paths) {
    if (path === "-") sources.push({ path: "standard input", text: await io.readStdin() });
    else if (await io.files.stat(path) === undefined) throw new CommandError(`${path} does not exist`);
    else {
      const found = await io.readManifests(path);
      if (found.length === 0) throw new CommandError(`${path}: no manifest found there (.yaml, .yml, .json)`);
      sources.push(...found);
    }
  }
  return sources;
}

/** What -f names, checked; an error in any of it throws, after all problems were printed. */
export async function readInput(paths: readonly string[], io: Io): Promise<Input> {
  const input: Input = { documents: [], pods: [] };
  let errors = 0;
  for (const { path, text } of await readSources(paths, io)) {
    const manifest = await io.parseManifest(path, text);
    for (const problem of manifest.problems) await io.err(formatProblem(problem) + "\n");
    errors += manifest.problems.filter((problem) => problem.severity === "error").length;
    input.pods.push(...manifest.pods);
    input.documents.push(...await parseDocuments(path, text, io));
  }
  if (errors > 0) throw new CommandError(`nothing was changed: ${errors} error${errors === 1 ? "" : "s"}`);
  if (input.documents.every((document) => document.objects.size === 0)) {
    throw new CommandError("no objects found");
  }
  return input;
}

/** `pod/web`, with the namespace when it is not the default one. */
export function outcomeName(key: string): string {
  const [kind = "", path = ""] = key.split(" ");
  const [namespace, name] = path.split("/");
  if (name === undefined) return nameOf(kind, path);
  return nameOf(kind, name) + (namespace === "default" ? "" : ` (namespace ${namespace})`);
}

/** All or nothing as far as refusals go; each file on its own is replaced atomically. */
export async function applyPlan(plan: ManifestPlan, dryRun: boolean, io: Io): Promise<void> {
  if (plan.refusals.length > 0) {
    throw new CommandError(`nothing was changed: ${[...new Set(plan.refusals)].join("; ")}`);
  }
  if (!dryRun) {
    for (const { path, text } of plan.changes) {
      const directory = path.slice(0, path.lastIndexOf("/"));
      if (await io.files.stat(directory) === undefined) await io.files.mkdir(directory);
      // Manifests may hold secrets: only the owner reads them.
      if (text !== undefined) await io.files.writeFileAtomic(path, text, 0o600);
    }
    for (const { path, text } of plan.changes) if (text === undefined) await io.files.remove(path);
  }
  for (const { key, verb } of plan.outcomes) {
    await io.out(`${outcomeName(key)} ${verb}${dryRun ? " (dry run)" : ""}\n`);
  }
}
