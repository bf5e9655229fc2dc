/** The records of claims and volumes over a restart. Not for: what is in them (model/claims.ts). */
import { type Checkpoint, type CheckpointFiles, createCheckpoint } from "../../lib/checkpoint.ts";
import type { ClaimRecords } from "../../model/claims.ts";

const version = 1;

export const openClaimRecords = (
  files: CheckpointFiles,
  path: string,
  report: (message: string) => void,
): Checkpoint<ClaimRecords> => createCheckpoint({ files, path, version, parse: parseRecords, report });

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parseRecords(value: unknown): ClaimRecords {
  if (!isRecord(value) || !isRecord(value.claims) || !isRecord(value.volumes)) {
    throw new TypeError("expected claims and volumes");
  }
  for (const claim of Object.values(value.claims)) {
    if (!isRecord(claim) || typeof claim.uid !== "string" || !isRecord(claim.claim)) {
      throw new TypeError("expected uid and claim for each claim");
    }
  }
  for (const volume of Object.values(value.volumes)) {
    if (!isRecord(volume) || !isRecord(volume.volume) || !isRecord(volume.claim)) {
      throw new TypeError("expected volume and claim for each volume");
    }
  }
  return value as unknown as ClaimRecords;
}
