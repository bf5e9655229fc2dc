/**
 * What each file of the manifest directory stands for: its objects as they are now, or, while it has errors, as they
 * were when it was last right; and which file an object belongs to when several describe it. Pure. Not for: reading.
 *
 * While a file has errors, what is right in it takes effect, and nothing that it described before is removed: a name
 * that is missing now may be the very thing that is broken.
 */
import type { Problem } from "../model/errors.ts";
import type { ObjectMeta } from "../model/gen/v1.ts";
import type { BrokenObject, ParsedManifest } from "../model/manifest.ts";
import { type Kind, kindFields, type ManifestObjects, objectKey } from "../model/objects.ts";

interface Named {
  metadata?: ObjectMeta;
}

const identities = (objects: ManifestObjects): string[] =>
  kindFields.flatMap(([kind, field]) => objects[field].map((o) => `${kind} ${objectKey(kind, o.metadata)}`));

/** Whether the file no longer describes something that it did, which a half-written file looks like, too. */
export function shrinks(previous: ManifestObjects | undefined, parsed: ManifestObjects): boolean {
  if (previous === undefined) return false;
  const now = new Set(identities(parsed));
  return identities(previous).some((id) => !now.has(id));
}

/** What a file stands for after it was read. */
export function keepLastGood(
  file: string,
  previous: ManifestObjects | undefined,
  parsed: ParsedManifest,
): { objects: ManifestObjects; problems: Problem[] } {
  const { problems: _told, broken, ...now } = parsed;
  if (previous === undefined || broken.length === 0) return { objects: now, problems: [] };
  const known = new Set(identities(previous));
  const kept: string[] = [];
  const merge = <T extends Named>(kind: Kind, before: readonly T[], now: readonly T[]): T[] => {
    const keyOf = (o: Named) => objectKey(kind, o.metadata);
    const keys = new Set(now.map(keyOf));
    const missing = before.filter((o) => !keys.has(keyOf(o)) && mayBe(kind, keyOf(o), broken, known));
    kept.push(...missing.map((o) => `${kind} ${keyOf(o)}`));
    return [...now, ...missing];
  };
  const merged = kindFields.map(([kind, field]) => [field, merge<Named>(kind, previous[field], now[field])]);
  const objects = Object.fromEntries(merged) as ManifestObjects;
  return { objects, problems: kept.map((object) => keptProblem(file, object)) };
}

/** Whether a broken object of the file may be the one that stood here before: itself, or one of unknown identity. */
const mayBe = (kind: Kind, key: string, broken: readonly BrokenObject[], known: ReadonlySet<string>) =>
  broken.some((b) =>
    b.kind === undefined || b.key === undefined || (b.kind === kind && b.key === key) ||
    !known.has(`${b.kind} ${b.key}`)
  );

const keptProblem = (file: string, object: string): Problem => ({
  severity: "warning",
  file,
  object,
  message: "stays as in the last version of this file that had no errors, until they are mended",
});

/**
 * One file per object. When several describe it, the file keeps it that had it before, else the first by name: a
 * backup copy that appears never replaces the file that is edited.
 */
export function assignOwners(
  files: ReadonlyMap<string, ManifestObjects>,
  previous: ReadonlyMap<string, string>,
): { owners: Map<string, string>; problems: Problem[] } {
  const candidates = new Map<string, string[]>();
  for (const file of [...files.keys()].sort()) {
    for (const id of identities(files.get(file)!)) candidates.set(id, [...candidates.get(id) ?? [], file]);
  }
  const owners = new Map<string, string>();
  const problems: Problem[] = [];
  for (const [object, claims] of candidates) {
    const before = previous.get(object);
    const owner = before !== undefined && claims.includes(before) ? before : claims[0]!;
    owners.set(object, owner);
    for (const file of claims) {
      if (file === owner) continue;
      const message = `is described by ${owner}, too, which is used; expected one description`;
      problems.push({ severity: "error", file, object, field: "metadata.name", message });
    }
  }
  return { owners, problems };
}
