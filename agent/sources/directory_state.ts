/**
 * What is known of the manifest directory, and how a new look at it changes that: files that came, changed, vanished,
 * broke. Pure. Not for: reading files, or the time to look.
 *
 * - A file that vanishes takes its pods with it; an empty directory has none.
 * - A directory that does not exist, or cannot be read, says nothing: everything stays, and a problem tells why.
 * - A broken file stands for what it said before.
 * - A file that is being written may look broken, shortened or missing: it is judged when it has been quiet for a moment.
 */
import type { Problem } from "../model/errors.ts";
import type { PlacedProblem } from "../model/finding.ts";
import type { ObjectMeta, Pod } from "../model/gen/v1.ts";
import { type ParsedManifest, parseManifest } from "../model/manifest.ts";
import {
  eachField,
  type Kind,
  type ManifestObjects,
  noManifestObjects,
  objectFields,
  objectKey,
} from "../model/objects.ts";
import type { DesiredPod, Objects } from "../model/wish.ts";
import { assignOwners, keepLastGood, shrinks } from "./last_good.ts";
import { withoutPlace } from "./locate.ts";
import type { Scan, ScannedFile } from "./manifest_files.ts";
import type { Snapshot } from "../model/wish.ts";

export interface Entry {
  /** Absent when the objects come from a checkpoint and the file was not read yet. */
  scanned?: ScannedFile;
  objects: ManifestObjects;
  problems: readonly PlacedProblem[];
  /** Milliseconds on the steady clock; set while the file is missing. */
  missingSince?: number;
}

export interface DirectoryState {
  entries: ReadonlyMap<string, Entry>;
  /** The file that each object belongs to, by `Kind namespace/name`. */
  owners: ReadonlyMap<string, string>;
  /** Of the directory itself, of names, and of objects that several files describe. */
  problems: readonly Problem[];
}

export interface Look {
  state: DirectoryState;
  changed: boolean;
  /** A file may be in the middle of a change: look again soon. */
  waiting: boolean;
}

/** `now` as file systems count (ms since the epoch), `steady` on a clock that never jumps. */
export interface Clock {
  now: number;
  steady: number;
}

/** A broken or shortened file that was modified less long ago may be half written. */
const brokenQuietMs = 300;
/** The same for a text that ends in the middle of a line. */
const openEndQuietMs = 100;
/** Editors that save by renaming leave the name unused for an instant. */
const missingQuietMs = 50;
/** A file from further in the future tells nothing about when it was written. */
const clockSkewMs = 1_000;

export const emptyState: DirectoryState = { entries: new Map(), owners: new Map(), problems: [] };

export function adoptScan(state: DirectoryState, scan: Scan, clock: Clock): Look {
  const { entries, waiting } = scan.readable
    ? adoptFiles(state.entries, scan.files, clock)
    : { entries: state.entries, waiting: false };
  const changed = entries.size !== state.entries.size ||
    [...entries].some(([path, entry]) =>
      entry.objects !== state.entries.get(path)?.objects ||
      entry.problems !== state.entries.get(path)?.problems
    );
  const objects = new Map([...entries].map(([path, entry]) => [path, entry.objects]));
  const { owners, problems: clashes } = assignOwners(objects, state.owners);
  const problems = [...scan.problems, ...clashes];
  const told = JSON.stringify(problems) !== JSON.stringify(state.problems);
  return { state: { entries, owners, problems }, changed: changed || told, waiting };
}

function adoptFiles(before: ReadonlyMap<string, Entry>, files: readonly ScannedFile[], clock: Clock) {
  const entries = new Map<string, Entry>();
  let waiting = false;
  for (const file of files) {
    const entry = before.get(file.path);
    const next = adoptFile(entry, file, clock.now);
    if (next === "half written") waiting = true;
    const adopted = next === "half written" ? entry : next;
    if (adopted !== undefined) entries.set(file.path, adopted);
  }
  const found = new Set(files.map((f) => f.path));
  for (const [path, entry] of before) {
    if (found.has(path)) continue;
    const { missingSince = clock.steady } = entry;
    if (clock.steady - missingSince >= missingQuietMs) continue;
    entries.set(path, { ...entry, missingSince });
    waiting = true;
  }
  return { entries, waiting };
}

function adoptFile(entry: Entry | undefined, file: ScannedFile, now: number): Entry | "half written" {
  if (entry?.scanned !== undefined && sameContent(entry.scanned, file)) {
    const { missingSince: _found, ...rest } = entry;
    return { ...rest, scanned: file };
  }
  const parsed = file.text === undefined ? unreadable(file) : parseManifest(file.path, file.text);
  const age = now - file.mtimeMs;
  const young = age > -clockSkewMs && file.text !== undefined &&
    age < quietNeeded(entry?.objects, parsed, file.text);
  if (young) return "half written";
  const { objects, problems } = keepLastGood(file.path, entry?.objects, parsed);
  return { scanned: file, objects, problems: [...parsed.problems, ...problems] };
}

const sameContent = (a: ScannedFile, b: ScannedFile) =>
  a === b || (a.text === b.text && a.problem?.message === b.problem?.message);

const unreadable = ({ problem }: ScannedFile): ParsedManifest => ({
  ...noManifestObjects(),
  broken: [{}],
  problems: problem === undefined ? [] : [problem],
});

/** How long a file must not have been modified before this reading of it counts. */
function quietNeeded(previous: ManifestObjects | undefined, parsed: ParsedManifest, text: string): number {
  if (parsed.broken.length > 0 || shrinks(previous, parsed)) return brokenQuietMs;
  // A JSON text is whole when its last brace is there.
  return text === "" || /[\n}\]]\s*$/.test(text) ? 0 : openEndQuietMs;
}

/** Everything that the directory asks for. Pods of unchanged files are the same values as before (`cache`). */
export function snapshotOf(
  state: DirectoryState,
  toDesired: (pod: Pod, origin: string) => DesiredPod,
  cache: WeakMap<Pod, DesiredPod>,
): Snapshot {
  const pods = new Map<string, DesiredPod>();
  const maps = eachField(() => new Map<string, unknown>());
  for (const [path, { objects }] of state.entries) {
    const owned = <T extends { metadata?: ObjectMeta }>(kind: Kind, list: readonly T[]): [string, T][] =>
      list.map((o): [string, T] => [objectKey(kind, o.metadata), o])
        .filter(([key]) => state.owners.get(`${kind} ${key}`) === path);
    for (const [kind, field] of objectFields) {
      for (const [key, o] of owned<{ metadata?: ObjectMeta }>(kind, objects[field])) maps[field].set(key, o);
    }
    for (const [key, pod] of owned("Pod", objects.pods)) {
      const known = cache.get(pod);
      const desired = known?.origin === path ? known : toDesired(pod, path);
      cache.set(pod, desired);
      pods.set(key, desired);
    }
  }
  const problems = [...state.entries.values()].flatMap((e) => e.problems.map(withoutPlace));
  return {
    source: "file",
    ...maps as unknown as Objects,
    pods,
    origins: state.owners,
    problems: [...state.problems, ...problems],
  };
}
