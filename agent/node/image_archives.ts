/**
 * The images directory: archives are imported at start and when they appear or change, one after the other, and only
 * pods that need their images wait for them. Not for: the import itself (Images), or collecting images.
 */
import { join } from "@std/path";
import type { Log } from "../lib/log.ts";
import { createMailbox } from "../lib/mailbox.ts";
import { AgentError, errorText, type Problem } from "../model/errors.ts";
import { normalizeImageName } from "../model/image_name.ts";
import type { Host, Images } from "../ports.ts";
import { openImports } from "./image_archive_imports.ts";
import { readArchiveNames } from "./image_archive_names.ts";
import {
  type ArchiveFile,
  type ArchivePlan,
  identityOf,
  type ImportRecord,
  isArchiveName,
  type PendingArchive,
  planArchives,
  QUIET_MS,
  waitFor,
} from "./image_archive_plan.ts";

export interface ImageArchivesOptions {
  directory: string;
  /** Remembers what was imported; its directory must exist. */
  checkpointPath: string;
  host: Pick<
    Host,
    | "list"
    | "stat"
    | "mkdir"
    | "openFile"
    | "watch"
    | "now"
    | "monotonic"
    | "sleep"
    | "readText"
    | "writeFileAtomic"
    | "rename"
  >;
  images: Pick<Images, "list" | "status" | "importArchive">;
  log: Log;
  /** Told all problems of the directory when they have changed. */
  report(problems: Problem[]): void;
  /** Told after each import, with the answer whether it may have brought an image. */
  onImported(brings: (image: string) => boolean): void;
}

export interface ImageArchives {
  /** Imports until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when no archive that may bring the image is waiting to be imported. Throws when the signal aborts. */
  settled(image: string, signal: AbortSignal): Promise<void>;
  /** True when an archive that is in the directory brought the image. */
  brought(image: string): boolean;
  /** Full names of the images that archives in the directory brought: not to be collected. */
  pinned(): ReadonlySet<string>;
}

const RETRY_MS = { first: 500, most: 30_000 };
/** Covers lost events, and images that somebody removed from the runtime. */
const SLOW_LOOK_MS = 60_000;
const WATCH_AGAIN_MS = 1_000;

export function createImageArchives(o: ImageArchivesOptions): ImageArchives {
  const { host, images, log } = o;
  const checkpoint = openImports(host, o.checkpointPath, (message) => log.warn(message));
  const imported = new Map<string, ImportRecord>();
  const broken = new Map<string, { identity: string; message: string }>();
  /** Since when each file has been seen as it is. */
  const seen = new Map<string, { identity: string; since: number }>();
  const pending = new Map<string, PendingArchive>();
  let pinned: ReadonlySet<string> = new Set();
  let scanned = false;
  /** Once at start; who removes the directory later wants it gone. */
  let made = false;
  let directoryProblem: string | undefined;
  let changed = Promise.withResolvers<void>();

  function announce(): void {
    pinned = new Set([...imported.values()].flatMap((record) => record.names));
    const files = [...broken].map(([file, { message }]): Problem => ({ severity: "error", file, message }));
    o.report(
      directoryProblem === undefined ? files : [
        { severity: "error", file: o.directory, message: directoryProblem },
        ...files,
      ],
    );
    changed.resolve();
    changed = Promise.withResolvers();
  }

  async function listArchives(): Promise<ArchiveFile[]> {
    const names = (await host.list(o.directory) ?? []).filter(isArchiveName);
    const files: ArchiveFile[] = [];
    for (const path of names.map((name) => join(o.directory, name))) {
      const stat = await host.stat(path);
      if (stat?.kind !== "file") continue;
      const identity = identityOf(stat);
      const before = seen.get(path);
      const since = before?.identity === identity ? before.since : host.monotonic();
      seen.set(path, { identity, since });
      files.push({ path, stat, unchangedMs: host.monotonic() - since });
    }
    return files;
  }

  async function look(signal: AbortSignal): Promise<ArchivePlan> {
    const files = await listArchives();
    const paths = new Set(files.map((f) => f.path));
    for (const memory of [imported, broken, seen, pending]) {
      for (const path of memory.keys()) if (!paths.has(path)) memory.delete(path);
    }
    const plan = planArchives({
      files,
      imported,
      broken: new Map([...broken].map(([path, { identity }]) => [path, identity])),
      present: files.some((f) => imported.has(f.path)) ? await presentNames(images, signal) : new Set(),
      now: host.now(),
    });
    for (const file of plan.done) pending.delete(file.path);
    for (const file of [...plan.ready, ...plan.unsettled]) {
      pending.set(file.path, { names: await namesOf(file.path) });
    }
    return plan;
  }

  async function namesOf(path: string): Promise<string[] | undefined> {
    const file = await host.openFile(path);
    try {
      return file === undefined ? undefined : await readArchiveNames(file);
    } finally {
      file?.close();
    }
  }

  /** False when it has to be tried again: it was changed meanwhile, or the runtime was not there. */
  async function importOne(file: ArchiveFile, signal: AbortSignal): Promise<boolean> {
    const { path } = file;
    const identity = identityOf(file.stat);
    const begin = host.monotonic();
    const outcome = await attempt(() => images.importArchive(path, signal));
    signal.throwIfAborted();
    const after = await host.stat(path);
    if (after === undefined || identityOf(after) !== identity) return false;
    if ("error" in outcome) {
      if (isTransient(outcome.error)) throw outcome.error;
      const message = `cannot be imported: ${errorText(outcome.error)}`;
      log.warn("image archive cannot be imported", { file: path, error: message });
      if (isDiskFull(outcome.error)) {
        // Stays pending, and is tried at the next look.
        broken.set(path, { identity: "", message });
        return true;
      }
      broken.set(path, { identity, message });
    } else {
      const names = outcome.value.map((name) => normalizeImageName(name)?.name ?? name);
      broken.delete(path);
      imported.set(path, { identity, names });
      log.info("image archive imported", {
        file: path,
        images: names,
        ms: Math.round(host.monotonic() - begin),
      });
      o.onImported((image) => waitFor(image, [{ names }]) !== "no");
    }
    pending.delete(path);
    return true;
  }

  /** Milliseconds after which to look again though nothing happens. */
  async function round(signal: AbortSignal): Promise<number> {
    if (!made && await host.stat(o.directory) === undefined) await host.mkdir(o.directory, 0o755);
    made = true;
    const plan = await look(signal);
    scanned = true;
    directoryProblem = undefined;
    announce();
    let again = plan.unsettled.length > 0;
    for (const file of plan.ready) {
      again = !await importOne(file, signal) || again;
      await checkpoint.save([...imported]);
      announce();
    }
    await checkpoint.save([...imported]);
    return again ? QUIET_MS : SLOW_LOOK_MS;
  }

  /** Pods do not wait for a directory that cannot be read. */
  function giveUpFor(message: string): void {
    scanned = true;
    directoryProblem = message;
    announce();
  }

  async function run(signal: AbortSignal): Promise<void> {
    for (const [path, record] of await checkpoint.load() ?? []) imported.set(path, record);
    const box = createMailbox<never>(host.monotonic);
    const watching = nudgeOnChange(box, signal);
    let retryMs = RETRY_MS.first;
    while (!signal.aborted) {
      let lookAgain: number;
      try {
        lookAgain = await round(signal);
        retryMs = RETRY_MS.first;
      } catch (error) {
        if (signal.aborted) break;
        if (!isTransient(error)) giveUpFor(errorText(error));
        log.warn("images directory is looked at again", { error: errorText(error), pauseMs: retryMs });
        lookAgain = retryMs;
        retryMs = Math.min(retryMs * 2, RETRY_MS.most);
      }
      await box.wait(signal, host.monotonic() + lookAgain);
    }
    await watching;
  }

  /** A watch that breaks is set up anew. */
  async function nudgeOnChange(box: { nudge(): void }, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const _ of host.watch(o.directory, signal)) box.nudge();
      } catch (error) {
        if (!signal.aborted) log.debug("images directory is not watched", { error: errorText(error) });
      }
      await host.sleep(WATCH_AGAIN_MS, signal).catch(() => {});
      box.nudge();
    }
  }

  async function settled(image: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const next = changed.promise;
      const wait = scanned ? waitFor(image, pending.values()) : "surely";
      if (wait === "no") return;
      if (wait === "perhaps" && await images.status(image, signal) !== undefined) return;
      await orAborted(next, signal);
    }
  }

  return {
    run,
    settled,
    brought: (image) => pinned.has(normalizeImageName(image)?.name ?? image),
    pinned: () => pinned,
  };
}

/** The runtime was away: the archive is not to blame. */
function isTransient(error: unknown): boolean {
  return error instanceof AgentError &&
    (error.reason === "RuntimeUnavailable" || error.reason === "DeadlineExceeded");
}

/** Room can come without a change of the archive. */
const isDiskFull = (error: unknown): boolean =>
  /no space left on device|disk quota exceeded/i.test(errorText(error));

async function attempt<T>(effect: () => Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await effect() };
  } catch (error) {
    return { error };
  }
}

async function presentNames(images: Pick<Images, "list">, signal: AbortSignal): Promise<Set<string>> {
  const tags = (await images.list(signal)).flatMap((image) => image.repoTags);
  return new Set(tags.map((tag) => normalizeImageName(tag)?.name ?? tag));
}

async function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
