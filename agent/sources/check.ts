/**
 * Judges manifests without running anything: everything that the agent would say of them, with positions. For `agent
 * check` and before a file is written into the manifest directory. Not for: what the runtime or a registry would say.
 */
import type { Problem } from "../model/errors.ts";
import { adoptScan, emptyState, snapshotOf } from "./directory_state.ts";
import { locateProblems } from "./locate.ts";
import { type ManifestFile, type ScanFiles, scanPath } from "./manifest_files.ts";
import { mergeSnapshots } from "./merge.ts";
import { staticPod } from "./static_pod.ts";
import type { ScannedFile } from "./manifest_files.ts";

/** Files (whatever their names) and directories, judged together. A path that does not exist is an error. */
export async function checkFiles(host: ScanFiles, paths: readonly string[]): Promise<Problem[]> {
  const scans = await Promise.all(paths.map((path) => scanPath(host, path)));
  return await check(scans.flatMap((s) => s.files), scans.flatMap((s) => s.problems));
}

/** The same for texts that are at hand. */
export function checkManifests(manifests: readonly ManifestFile[]): Promise<Problem[]> {
  return check(manifests.map((m) => ({ ...m, identity: "", settled: true, mtimeMs: -Infinity })), []);
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
  const order = (p: Problem) => [p.line ?? Infinity, p.column ?? Infinity] as const;
  return located.map((list) =>
    list.sort((a, b) => order(a)[0] - order(b)[0] || order(a)[1] - order(b)[1] || 0)
  ).flat();
}
