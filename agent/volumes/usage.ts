/**
 * How much disk, or memory, the emptyDirs of a pod take. Not for: limits and what follows from them.
 *
 * du(1) walks by file descriptor, follows no symlink, opens nothing but directories, stays on the volume's own file
 * system and counts a file with many names once; it runs apart, so that a million files cost the agent nothing.
 */
import { AgentError } from "../model/errors.ts";
import type { DiskUnit, Host } from "../ports.ts";

/** Longer than this a walk is given up: it comes again. */
const limitMs = 60_000;

/**
 * Bytes by path, as `du` counts blocks, or files; paths that do not exist are left out. What containers remove or change
 * meanwhile is counted or not. Throws when there is no du, or it ran past its time.
 */
export async function diskUsage(
  host: Host,
  paths: readonly string[],
  unit: DiskUnit,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  if (paths.length === 0) return new Map();
  const limit = AbortSignal.timeout(limitMs);
  const argv = [
    "nice",
    "-n",
    "19",
    "du",
    "-sx",
    unit === "bytes" ? "--block-size=1" : "--inodes",
    "-0",
    "--",
    ...paths,
  ];
  try {
    const { stdout } = await host.exec(argv, { env: { LC_ALL: "C" } }, AbortSignal.any([signal, limit]));
    return parseUsage(new TextDecoder().decode(stdout), new Set(paths));
  } catch (error) {
    if (!limit.aborted || signal.aborted) throw error;
    throw new AgentError("Unknown", `measuring ${paths.join(", ")} took longer than ${limitMs / 1000} s`);
  }
}

function parseUsage(text: string, paths: ReadonlySet<string>): Map<string, number> {
  const usage = new Map<string, number>();
  for (const record of text.split("\0")) {
    const tab = record.indexOf("\t");
    const path = record.slice(tab + 1);
    if (tab > 0 && paths.has(path)) usage.set(path, Number(record.slice(0, tab)));
  }
  return usage;
}
