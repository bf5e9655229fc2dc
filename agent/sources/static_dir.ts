/**
 * The manifest directory as a source: watches it, looks when something may have changed, yields whole snapshots, and
 * keeps the last good objects over a restart. Not for: what a look means (directory_state.ts) or what a manifest means
 * (model/manifest.ts).
 */
import { dirname } from "@std/path";
import type { Checkpoint } from "../lib/checkpoint.ts";
import { listenForHints } from "../lib/hints.ts";
import { aborted } from "../lib/pause.ts";
import { errorText, type Problem } from "../model/errors.ts";
import type { Pod } from "../model/gen/v1.ts";
import { type DesiredPod, noObjects } from "../model/wish.ts";
import type { Host } from "../ports.ts";
import { adoptScan, type DirectoryState, emptyState, snapshotOf } from "./directory_state.ts";
import { openLastGood, rememberedState, type SavedFiles, savedFiles } from "./last_good_file.ts";
import { locateProblems } from "./locate.ts";
import { scanDirectory } from "./manifest_files.ts";
import type { Snapshot } from "../model/wish.ts";
import { staticPod } from "./static_pod.ts";

export interface WatchManifestsOptions {
  host: Host;
  /** Or a single file; "" is none: there are no static pods. */
  directory: string;
  nodeName: string;
  /** Where the last good objects are kept over a restart; absent: nowhere. */
  lastGoodPath?: string;
  /** Between two looks without an event; default a minute. */
  rescanMs?: number;
  signal: AbortSignal;
  onSnapshot(snapshot: Snapshot): void;
}

const recheckMs = 25;
/** Covers lost events. */
const defaultRescanMs = 60_000;
/** Saving waits for a burst to end, as long as the files themselves hold everything. */
const saveDelayMs = 1_000;

/** Runs until the signal. The first snapshot comes as soon as no file looks half written, after 300 ms at the latest. */
export async function watchManifests(options: WatchManifestsOptions): Promise<void> {
  const { host, directory, signal } = options;
  if (directory === "") {
    options.onSnapshot({ ...noObjects, source: "file", pods: new Map(), problems: [] });
    return await aborted(signal);
  }
  const saving = createSaving(options);
  const publish = createPublisher(options, saving);
  let state = await saving.load();
  const watched = async () => (await host.stat(directory))?.kind === "file" ? dirname(directory) : directory;
  const hints = listenForHints(host, watched, signal);
  let spoken = false;
  while (!signal.aborted) {
    const scan = await scanDirectory(host, directory, scannedFiles(state));
    const look = adoptScan(state, scan, { now: host.now(), steady: host.monotonic() });
    state = look.state;
    if (spoken ? look.changed : !look.waiting) {
      spoken = true;
      saving.changed();
      publish(state, scan.readable);
      const located = await locate(state);
      if (located !== state) publish(state = located, scan.readable);
    }
    if (look.waiting || isBroken(state)) saving.hurry();
    if (await saving.saveWhenDue(state)) publish(state, scan.readable);
    const wait = Math.min(look.waiting ? recheckMs : options.rescanMs ?? defaultRescanMs, saving.dueIn());
    await hints.within(wait);
  }
  await hints.ended;
  await saving.saveNow(state);
}

function createPublisher({ nodeName, onSnapshot }: WatchManifestsOptions, saving: Saving) {
  const cache = new WeakMap<Pod, DesiredPod>();
  return (state: DirectoryState, readable: boolean): void => {
    const snapshot = snapshotOf(state, (pod, origin) => staticPod(pod, nodeName, origin), cache);
    const problems = [...snapshot.problems, ...saving.problems()];
    onSnapshot({ ...snapshot, problems, ...(!readable && { readable }) });
  };
}

/** A file does not hold any more what is wanted: only we do. */
const isBroken = ({ entries }: DirectoryState): boolean =>
  [...entries.values()].some((entry) => entry.problems.some((p) => p.severity === "error"));

const scannedFiles = (state: DirectoryState) =>
  new Map(
    [...state.entries].flatMap(([path, { scanned }]) => scanned === undefined ? [] : [[path, scanned]]),
  );

/** The same state when there was nothing to locate. */
async function locate(state: DirectoryState): Promise<DirectoryState> {
  const entries = new Map(state.entries);
  let found = false;
  for (const [path, entry] of state.entries) {
    const open = entry.problems.some((p) => p.line === undefined && p.place !== undefined);
    if (!open || entry.scanned?.text === undefined) continue;
    entries.set(path, { ...entry, problems: await locateProblems(entry.scanned.text, entry.problems) });
    found = true;
  }
  return found ? { ...state, entries } : state;
}

interface Saving {
  load(): Promise<DirectoryState>;
  changed(): void;
  /** What was to be saved soon is to be saved now. */
  hurry(): void;
  /** Milliseconds; infinite when there is nothing to save. */
  dueIn(): number;
  /** True when `problems` says something new. */
  saveWhenDue(state: DirectoryState): Promise<boolean>;
  saveNow(state: DirectoryState): Promise<void>;
  problems(): Problem[];
}

function createSaving({ host, directory, lastGoodPath }: WatchManifestsOptions): Saving {
  if (lastGoodPath === undefined) return noSaving;
  let dueAt = Infinity;
  let unread: Problem[] = [];
  let unsaved: Problem[] = [];
  const warning = (message: string): Problem[] => [{ severity: "warning", file: lastGoodPath, message }];
  const checkpoint: Checkpoint<SavedFiles> = openLastGood(host, lastGoodPath, (why) => unread = warning(why));
  const save = async (state: DirectoryState) => {
    dueAt = Infinity;
    try {
      await host.mkdir(dirname(lastGoodPath), 0o700);
      await checkpoint.save(savedFiles(state));
      unsaved = [];
    } catch (error) {
      unsaved = warning(`the last good manifests cannot be kept over a restart: ${errorText(error)}`);
    }
  };
  return {
    async load() {
      const saved = await checkpoint.load();
      return saved === undefined ? emptyState : rememberedState(saved, directory);
    },
    changed: () => dueAt = Math.min(dueAt, host.monotonic() + saveDelayMs),
    hurry: () => dueAt = dueAt === Infinity ? dueAt : host.monotonic(),
    dueIn: () => dueAt - host.monotonic(),
    async saveWhenDue(state) {
      if (host.monotonic() < dueAt) return false;
      const before = unsaved[0]?.message;
      await save(state);
      return unsaved[0]?.message !== before;
    },
    saveNow: (state) => dueAt === Infinity ? Promise.resolve() : save(state),
    problems: () => [...unread, ...unsaved],
  };
}

const noSaving: Saving = {
  load: () => Promise.resolve(emptyState),
  changed: () => {},
  hurry: () => {},
  dueIn: () => Infinity,
  saveWhenDue: () => Promise.resolve(false),
  saveNow: () => Promise.resolve(),
  problems: () => [],
};
