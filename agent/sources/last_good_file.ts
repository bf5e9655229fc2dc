/**
 * The last good objects of the manifest directory over a restart of the agent: without them a file that is broken at
 * the start would take its running pod along. Not for: judging which version is good (last_good.ts).
 *
 * Objects, not texts: a file can be right in part. Secrets are among them, so that only the owner may read it.
 */
import { dirname } from "@std/path";
import { type Checkpoint, type CheckpointFiles, createCheckpoint } from "../lib/checkpoint.ts";
import type { DirectoryState, Entry } from "./directory_state.ts";
import { kindFields, type ManifestObjects } from "../model/objects.ts";

export interface SavedFiles {
  files: Record<string, ManifestObjects>;
  owners: Record<string, string>;
}

const version = 1;

export function openLastGood(
  files: CheckpointFiles,
  path: string,
  report: (message: string) => void,
): Checkpoint<SavedFiles> {
  return createCheckpoint({ files, path, version, parse: parseSavedFiles, report });
}

/** What of a state is worth keeping. */
export function savedFiles({ entries, owners }: DirectoryState): SavedFiles {
  return {
    files: Object.fromEntries([...entries].map(([path, { objects }]) => [path, objects])),
    owners: Object.fromEntries(owners),
  };
}

/** The state before the first look. Files of another directory, from before a change of the configuration, are left out. */
export function rememberedState(saved: SavedFiles, directory: string): DirectoryState {
  const files = Object.entries(saved.files)
    .filter(([path]) => path === directory || dirname(path) === directory)
    .map(([path, objects]): [string, Entry] => [path, { objects, problems: [] }]);
  return { entries: new Map(files), owners: new Map(Object.entries(saved.owners)), problems: [] };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isListOfObjects = (list: unknown) => Array.isArray(list) && list.every(isRecord);

function parseSavedFiles(value: unknown): SavedFiles {
  if (!isRecord(value) || !isRecord(value.files) || !isRecord(value.owners)) {
    throw new TypeError("expected files and owners");
  }
  for (const objects of Object.values(value.files)) {
    if (!isRecord(objects)) throw new TypeError("expected objects for each file");
    // Earlier versions of the agent knew fewer kinds.
    for (const [, field] of kindFields) objects[field] ??= [];
    if (!kindFields.every(([, field]) => isListOfObjects(objects[field]))) {
      throw new TypeError(
        `expected lists of ${kindFields.map(([, field]) => field).join(", ")} for each file`,
      );
    }
  }
  if (!Object.values(value.owners).every((owner) => typeof owner === "string")) {
    throw new TypeError("expected the name of a file for each owner");
  }
  return value as unknown as SavedFiles;
}
