/**
 * What each file of the manifest directory stands for: its objects as they are now, or, while it has errors, as they
 * were when it was last right; and which file an object belongs to when several describe it. Pure. Not for: reading.
 *
 * While a file has errors, what is right in it takes effect, and nothing that it described before is removed: a name
 * that is missing now may be the very thing that is broken.
 */
import type { Problem } from "../model/errors.ts";
import type { ConfigMap, ObjectMeta, Pod, Secret } from "../model/gen/v1.ts";
import type { BrokenObject, Kind, ParsedManifest } from "../model/manifest.ts";

export interface FileObjects {
  pods: Pod[];
  configMaps: ConfigMap[];
  secrets: Secret[];
}

interface Named {
  metadata?: ObjectMeta;
}

export const kindFields = [["Pod", "pods"], ["ConfigMap", "configMaps"], ["Secret", "secrets"]] as const;

export const objectKey = (object: Named): string =>
  `${object.metadata?.namespace ?? "default"}/${object.metadata?.name ?? ""}`;

const identities = (objects: FileObjects): string[] =>
  kindFields.flatMap(([kind, field]) => objects[field].map((o) => `${kind} ${objectKey(o)}`));

/** Whether the file no longer describes something that it did, which a half-written file looks like, too. */
export function shrinks(previous: FileObjects | undefined, parsed: FileObjects): boolean {
  if (previous === undefined) return false;
  const now = new Set(identities(parsed));
  return identities(previous).some((id) => !now.has(id));
}

/** What a file stands for after it was read. */
export function keepLastGood(
  file: string,
  previous: FileObjects | undefined,
  parsed: ParsedManifest,
): { objects: FileObjects; problems: Problem[] } {
  const { pods, configMaps, secrets, broken } = parsed;
  if (previous === undefined || broken.length === 0) {
    return { objects: { pods, configMaps, secrets }, problems: [] };
  }
  const known = new Set(identities(previous));
  const kept: string[] = [];
  const merge = <T extends Named>(kind: Kind, before: readonly T[], now: readonly T[]): T[] => {
    const keys = new Set(now.map(objectKey));
    const missing = before.filter((o) => !keys.has(objectKey(o)) && mayBe(kind, objectKey(o), broken, known));
    kept.push(...missing.map((o) => `${kind} ${objectKey(o)}`));
    return [...now, ...missing];
  };
  const objects = {
    pods: merge("Pod", previous.pods, pods),
    configMaps: merge("ConfigMap", previous.configMaps, configMaps),
    secrets: merge("Secret", previous.secrets, secrets),
  };
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
  files: ReadonlyMap<string, FileObjects>,
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
