/**
 * Which files of a manifest directory are manifests, and reading them: names, kinds, sizes, encodings. A file that has
 * not changed is not read again. Not for: what is in them (model/manifest.ts).
 *
 * The kubelet reads every file that does not begin with a dot. Here `.yaml`, `.yml`, `.json` and `.manifest` are read,
 * what editors and package tools leave behind is passed over, and any other file gets a warning that it is not read.
 * Directories below are passed over, as by the kubelet; links are followed.
 */
import { basename, join } from "@std/path";
import { errorText, type Problem } from "../model/errors.ts";
import { manifestSizeLimit } from "../model/manifest.ts";
import type { FileStat, Host } from "../ports.ts";

export interface ManifestFile {
  path: string;
  text: string;
}

/** One file as it was found; `text` or why there is none. */
export interface ScannedFile {
  path: string;
  /** Equal while the file was not touched. */
  identity: string;
  /** It was not modified for a moment before it was read: an equal identity now means equal content. */
  settled: boolean;
  /** Milliseconds since the epoch, by the clock of its file system. */
  mtimeMs: number;
  text?: string;
  problem?: Problem;
}

export interface Scan {
  /** `false`: there is no directory, or it cannot be read; nothing is known about its files. */
  readable: boolean;
  files: ScannedFile[];
  /** Concern names, not manifests. */
  problems: Problem[];
}

export type ScanFiles = Pick<Host, "now" | "list" | "stat" | "lstat" | "readFile">;

const extensions = /\.(yaml|yml|json|manifest)$/i;
const leftovers =
  /^[.]|^#.*#$|~$|\.(swp|swo|swx|bak|backup|old|orig|rej|tmp|part|save|rpm(save|new|orig)|(dpkg|ucf)-[\w-]+)$/i;

/** Coarse clocks give equal times to changes that follow each other this fast. */
const clockStepMs = 100;

export const isLeftover = (name: string): boolean => leftovers.test(name);
export const isManifestName = (name: string): boolean => extensions.test(name) && !isLeftover(name);

/** Texts of the manifests of a directory, in the order of their names; what cannot be read is left out. */
export async function readManifests(host: ScanFiles, directory: string): Promise<ManifestFile[]> {
  const { files } = await scanDirectory(host, directory, new Map());
  return files.flatMap(({ path, text }) => text === undefined ? [] : [{ path, text }]);
}

/** `known`: what an earlier scan found, by path. A directory that is a file is the only manifest. Never throws. */
export async function scanDirectory(
  host: ScanFiles,
  directory: string,
  known: ReadonlyMap<string, ScannedFile>,
): Promise<Scan> {
  try {
    const found = await host.stat(directory);
    if (found === undefined) return unreadable(directory, "does not exist");
    if (found.kind === "file") return single(await scanFile(host, directory, known.get(directory)));
    const names = await host.list(directory);
    if (names === undefined) return unreadable(directory, "does not exist");
    const manifests = names.filter(isManifestName);
    const files = await Promise.all(manifests.map((name) => {
      const path = join(directory, name);
      return scanFile(host, path, known.get(path));
    }));
    const others = names.filter((name) => !extensions.test(name) && !isLeftover(name));
    const problems = await Promise.all(others.map((name) => warnOfOther(host, join(directory, name))));
    return {
      readable: true,
      files: files.filter((f) => f !== undefined),
      problems: problems.filter((p) => p !== undefined),
    };
  } catch (error) {
    return unreadable(directory, `cannot be read: ${errorText(error)}`);
  }
}

/** A path that a user names: a directory, or a file whatever its name. */
export async function scanPath(host: ScanFiles, path: string): Promise<Scan> {
  const found = await host.stat(path).catch(() => undefined);
  if (found?.kind === "directory") return await scanDirectory(host, path, new Map());
  const file = await scanFile(host, path);
  if (file !== undefined) return single(file);
  const message = "does not exist: expected a manifest or a directory of manifests";
  return { readable: false, files: [], problems: [{ severity: "error", file: path, message }] };
}

const single = (file: ScannedFile | undefined): Scan => ({
  readable: true,
  files: file === undefined ? [] : [file],
  problems: [],
});

function unreadable(directory: string, why: string): Scan {
  const message = `the manifest directory ${why}; pods that it described before keep running`;
  return { readable: false, files: [], problems: [{ severity: "error", file: directory, message }] };
}

async function warnOfOther(host: ScanFiles, path: string): Promise<Problem | undefined> {
  const found = await host.stat(path).catch(() => undefined);
  if (found?.kind !== "file") return undefined;
  const message = "not read: expected a name that ends in .yaml, .yml, .json or .manifest";
  return { severity: "warning", file: path, message };
}

/** `undefined` when the file vanished, or is a directory. */
export async function scanFile(
  host: ScanFiles,
  path: string,
  known?: ScannedFile,
): Promise<ScannedFile | undefined> {
  try {
    const found = await host.stat(path);
    if (found === undefined) return await danglingLink(host, path);
    if (found.kind === "directory") return undefined;
    const identity = [found.dev, found.ino, found.mtimeMs, found.size].join(":");
    if (known?.identity === identity && known.settled) return known;
    // A clock that runs behind the file system's tells nothing: then the file is read again and again.
    const settled = host.now() - found.mtimeMs > clockStepMs;
    return { path, identity, settled, mtimeMs: found.mtimeMs, ...await readContent(host, path, found) };
  } catch (error) {
    return unread(path, `cannot be read: ${errorText(error)}`);
  }
}

function unread(path: string, message: string): ScannedFile {
  const problem: Problem = { severity: "error", file: path, message };
  return { path, identity: message, settled: false, mtimeMs: 0, problem };
}

async function danglingLink(host: ScanFiles, path: string): Promise<ScannedFile | undefined> {
  const link = await host.lstat(path);
  return link?.kind === "symlink" ? unread(path, "is a link to a file that does not exist") : undefined;
}

async function readContent(
  host: ScanFiles,
  path: string,
  { kind, size }: FileStat,
): Promise<Pick<ScannedFile, "text" | "problem">> {
  const problem = (message: string) => ({ problem: { severity: "error" as const, file: path, message } });
  if (kind !== "file") return problem(`expected a regular file, found a ${kind}`);
  if (size > manifestSizeLimit) return problem(tooLarge);
  const bytes = await host.readFile(path);
  if (bytes === undefined) return problem("vanished while it was read");
  if (bytes.length > manifestSizeLimit) return problem(tooLarge);
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return problem(`expected UTF-8 text in ${basename(path)}`);
  }
}

const tooLarge = `larger than ${manifestSizeLimit / 1024 / 1024} MiB: expected a manifest`;
