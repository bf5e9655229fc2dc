/**
 * Judges manifests without running anything: everything that the agent would say of them, with positions. For `agent
 * check` and before a file is written into the manifest directory. Not for: what the runtime or a registry would say.
 */
import type { Problem } from "../model/errors.ts";
import { adoptScan, emptyState, snapshotOf } from "./directory_state.ts";
import { locateProblems } from "./locate.ts";
import { type ScanFiles, type ScannedFile, scanPath } from "./manifest_files.ts";
import { mergeSnapshots } from "./merge.ts";
import { staticPod } from "./static_pod.ts";

/** Problems by file name, then line. Files (whatever their names) and directories, judged together. A path that does not exist is an error. */
export async function checkFiles(host: ScanFiles, paths: readonly string[]): Promise<Problem[]> {
  const scans = await Promise.all(paths.map((path) => scanPath(host, path)));
  return await check(scans.flatMap((s) => s.files), scans.flatMap((s) => s.problems));
}

async function check(files: readonly ScannedFile[], problems: readonly Problem[]): Promise<Problem[]> {
  const unique = new Map(files.map((file) => [file.path, { ...file, mtimeMs: -Infinity }]));
  const scan = { readable: true, files: [...unique.values()], problems: [...problems] };
  const { state } = adoptScan(emptyState, scan, { now: 0, steady: 0 });
  const snapshot = snapshotOf(state, (pod, origin) => staticPod(pod, "node", origin), new WeakMap());
  const placed = [...state.entries.values()].flatMap((entry) => entry.problems);
  const merged = mergeSnapshots(new Map([["file", { ...snapshot, problems: [] }]]), ["file"]).problems;
  const all = [...placed, ...state.problems, ...merged];
  const located = await Promise.all(
    [...new Set(all.map((p) => p.file))].map((file) =>
      locateProblems(unique.get(file)?.text ?? "", all.filter((p) => p.file === file))
    ),
  );
  const order = (a: Problem, b: Problem) =>
    (a.line ?? Infinity) - (b.line ?? Infinity) || (a.column ?? 0) - (b.column ?? 0) || 0;
  return located.map((list) => list.sort(order)).sort(([a], [b]) => a!.file < b!.file ? -1 : 1).flat();
}
