/**
 * What was imported from the images directory, over a restart of the agent. Not for: deciding what is to be imported
 * (image_archive_plan.ts).
 */
import { type Checkpoint, type CheckpointFiles, createCheckpoint } from "../lib/checkpoint.ts";
import type { ImportRecord } from "./image_archive_plan.ts";

/** Records by the path of their archive. The directory of `path` must exist. */
export function openImports(
  files: CheckpointFiles,
  path: string,
  report: (message: string) => void,
): Checkpoint<[string, ImportRecord][]> {
  return createCheckpoint({ files, path, version: 1, parse: parseRecords, report });
}

function parseRecords(value: unknown): [string, ImportRecord][] {
  if (!Array.isArray(value)) throw new TypeError("expected a list of imports");
  return value.map((entry: unknown) => {
    const [path, record] = Array.isArray(entry) ? entry as unknown[] : [];
    const { identity, names } = (record ?? {}) as { identity?: unknown; names?: unknown };
    if (typeof path !== "string" || typeof identity !== "string" || !Array.isArray(names)) {
      throw new TypeError("expected [path, { identity, names }]");
    }
    return [path, { identity, names: names.filter((n) => typeof n === "string") }];
  });
}
