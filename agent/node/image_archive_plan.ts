/**
 * Which archives of the images directory are to be imported now, which are still being written, which are done: a pure
 * decision on what was listed and what is remembered. Not for: importing.
 */
import { normalizeImageName } from "../model/image_name.ts";
import type { FileStat } from "../ports.ts";

export interface ArchiveFile {
  path: string;
  stat: FileStat;
  /** Milliseconds for which it has been seen unchanged, by a clock that never jumps. */
  unchangedMs: number;
}

/** What is remembered of an import. */
export interface ImportRecord {
  identity: string;
  /** Full names of the images. */
  names: string[];
}

export interface ArchiveFacts {
  files: ArchiveFile[];
  imported: ReadonlyMap<string, ImportRecord>;
  /** Identity of those whose import failed for good: not tried again until they change. */
  broken: ReadonlyMap<string, string>;
  /** Full names of the images in the runtime. */
  present: ReadonlySet<string>;
  /** Milliseconds since the epoch. */
  now: number;
}

export interface ArchivePlan {
  /** Small ones first, so that most pods wait least. */
  ready: ArchiveFile[];
  /** Changed a moment ago: perhaps their writer is not done. */
  unsettled: ArchiveFile[];
  /** Done before, or known to be broken. */
  done: ArchiveFile[];
}

/** An archive is taken when nothing has changed it for this long. */
export const QUIET_MS = 300;

/** The same as long as nobody wrote the file anew. */
export function identityOf(stat: FileStat): string {
  return [stat.dev, stat.ino, stat.size, stat.mtimeMs].join(":");
}

/** By its name; hidden files are what copying programs write before they rename. */
export function isArchiveName(name: string): boolean {
  return /^[^.].*\.(tar|tar\.gz|tgz|tar\.zst)$/.test(name);
}

export function planArchives(facts: ArchiveFacts): ArchivePlan {
  const plan: ArchivePlan = { ready: [], unsettled: [], done: [] };
  for (const file of facts.files) plan[placeOf(file, facts)].push(file);
  plan.ready.sort((a, b) => a.stat.size - b.stat.size || (a.path < b.path ? -1 : 1));
  return plan;
}

function placeOf(file: ArchiveFile, facts: ArchiveFacts): keyof ArchivePlan {
  const identity = identityOf(file.stat);
  if (facts.broken.get(file.path) === identity) return "done";
  const record = facts.imported.get(file.path);
  // Without its images in the runtime the record is of a store that is no more.
  if (record?.identity === identity && record.names.every((name) => facts.present.has(name))) return "done";
  const age = facts.now - file.stat.mtimeMs;
  return age >= QUIET_MS || file.unchangedMs >= QUIET_MS ? "ready" : "unsettled";
}

/** An archive that is not in yet. `names` is `undefined` when they cannot be told before. */
export interface PendingArchive {
  names: readonly string[] | undefined;
}

/**
 * Whether an image has to wait: `surely` for an archive that names it, `perhaps` for one whose names are not known,
 * which matters only when the image is missing.
 */
export function waitFor(image: string, pending: Iterable<PendingArchive>): "surely" | "perhaps" | "no" {
  const wanted = normalizeImageName(image);
  if (wanted === undefined) return "no";
  let perhaps = false;
  for (const { names } of pending) {
    if (names === undefined) perhaps = true;
    else if (names.some((name) => brings(name, wanted))) return "surely";
  }
  return perhaps ? "perhaps" : "no";
}

/** A digest is not in the archive's names: every image of that repository may be the one. */
function brings(name: string, wanted: NonNullable<ReturnType<typeof normalizeImageName>>): boolean {
  if (wanted.digest === undefined) return name === wanted.name;
  const have = normalizeImageName(name);
  return have?.registry === wanted.registry && have.repository === wanted.repository;
}
