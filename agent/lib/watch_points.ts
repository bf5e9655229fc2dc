/**
 * Which directories have to be watched to learn of every change to what a directory shows: itself, those below it, where
 * its symlinks lead, the places where a part of a path may be replaced, and the nearest ancestor when it is missing.
 * Only reads, through the functions given. Not for: watching.
 */
import { basename, dirname, join } from "@std/path";

export interface WatchFs {
  lstat(path: string): Promise<{ kind: string; dev: number; ino: number } | undefined>;
  readlink(path: string): Promise<string | undefined>;
  list(path: string): Promise<string[] | undefined>;
}

export interface WatchPoints {
  /** Existing directories, free of symlinks, with the identity (`device:inode`) they had. */
  watched: Map<string, string>;
  /** Those of them where what is written into files counts; elsewhere names alone do. */
  contents: ReadonlySet<string>;
  /** Equal for equal sets. */
  key: string;
  /** Whether a change of this path can change what the directory shows; the rest is noise of siblings. */
  concerns(path: string): boolean;
}

/** More than this many directories below are left to the reader's slow look. */
const maxDirectories = 256;
const maxSymlinks = 40;

/** A directory, and the names in it that matter; without `only` all that is below it does. */
export interface WatchPlace {
  directory: string;
  only?: (name: string) => boolean;
}

/** What is to be watched for all of these places together. */
export async function findAllWatchPoints(places: readonly WatchPlace[], fs: WatchFs): Promise<WatchPoints> {
  const all: WatchPoints[] = [];
  for (const { directory, only } of places) all.push(await findWatchPoints(directory, fs, only));
  const watched = new Map(all.flatMap((points) => [...points.watched]));
  const contents = new Set(all.flatMap((points) => [...points.contents]));
  const concerns = (path: string) => all.some((points) => points.concerns(path));
  return { watched, contents, key: keyOf(watched, contents), concerns };
}

const keyOf = (watched: ReadonlyMap<string, string>, contents: ReadonlySet<string>): string =>
  JSON.stringify([[...watched], [...contents].sort()]);

/** With `only` nothing but the directory's own entries whose names it accepts concerns us. */
export async function findWatchPoints(
  directory: string,
  fs: WatchFs,
  only?: (name: string) => boolean,
): Promise<WatchPoints> {
  const contents = new Set<string>();
  const names = new Set<string>();
  const places = new Set<string>();
  const note = (path: string) => {
    names.add(path);
    places.add(dirname(path));
  };
  /** Where files lie that are watched by name. */
  const homes = new Set<string>();
  const queue = [await trace(directory, fs, note)];
  for (const found of queue) {
    if (found?.kind === "file") homes.add(dirname(found.path));
    if (found?.kind !== "directory" || contents.has(found.path) || contents.size >= maxDirectories) continue;
    contents.add(found.path);
    if (only !== undefined) break;
    for (const name of await fs.list(found.path) ?? []) {
      const path = join(found.path, name);
      const kind = (await fs.lstat(path))?.kind;
      if (kind === "directory") queue.push({ path, kind });
      // Only the first level: a link further down, or behind a link, may lead anywhere.
      if (kind === "symlink" && found === queue[0]) {
        queue.push(exceptBelow(await trace(path, fs, note), contents));
      }
    }
  }
  const written = only === undefined ? new Set([...contents, ...homes]) : new Set<string>();
  return await seal(new Set([...places, ...contents]), written, fs, (path) =>
    names.has(path) ||
    (only === undefined
      ? contents.has(path) || contents.has(dirname(path))
      : contents.has(dirname(path)) && only(basename(path))));
}

type Found = { path: string; kind: string } | undefined;

/** A directory behind a link is watched without what lies below it. */
function exceptBelow(found: Found, contents: Set<string>): Found {
  if (found?.kind !== "directory") return found;
  contents.add(found.path);
  return undefined;
}

/** Resolves a path part by part, noting every name whose replacement would lead elsewhere. */
async function trace(path: string, fs: WatchFs, note: (path: string) => void): Promise<Found> {
  let current = "/";
  let rest = parts(path);
  let links = 0;
  let kind = "directory";
  while (rest.length > 0) {
    const next = join(current, rest[0]!);
    const found = await fs.lstat(next);
    if (found === undefined || found.kind === "symlink") note(next);
    if (found === undefined) return undefined;
    rest = rest.slice(1);
    if (found.kind === "symlink") {
      const target = await fs.readlink(next);
      if (target === undefined || ++links > maxSymlinks) return undefined;
      if (target.startsWith("/")) current = "/";
      rest = [...parts(target), ...rest];
      continue;
    }
    current = next;
    kind = found.kind;
  }
  if (basename(current) !== "") note(current);
  return { path: current, kind };
}

function parts(path: string): string[] {
  return path.split("/").filter((p) => p !== "" && p !== ".");
}

async function seal(
  directories: Set<string>,
  contents: ReadonlySet<string>,
  fs: WatchFs,
  concerns: WatchPoints["concerns"],
): Promise<WatchPoints> {
  const watched = new Map<string, string>();
  for (const path of [...directories].sort()) {
    const found = await fs.lstat(path);
    if (found?.kind === "directory") watched.set(path, `${found.dev}:${found.ino}`);
  }
  return { watched, contents, key: keyOf(watched, contents), concerns };
}
