/**
 * Turns a file-event source that forgets deleted directories and knows nothing of mounts into dependable "look again"
 * hints for directories. Not for: reading what changed.
 */
import { pause } from "./pause.ts";
import { findAllWatchPoints, type WatchFs, type WatchPlace, type WatchPoints } from "./watch_points.ts";

export interface FileEvents {
  paths: string[];
  /** Some were lost. */
  rescan: boolean;
}

/** Events of exactly these directories, not of those below. */
export interface EventSource {
  events: AsyncIterable<FileEvents>;
  close(): void;
}

export interface WatchDriver extends WatchFs {
  /** Each with whether the writing of files in it counts, beside their coming and going. Throws when it cannot watch. */
  open(directories: ReadonlyMap<string, boolean>): EventSource;
}

/** The first event is a hint at once; those that follow within this time become one more. */
const burstMs = 10;
/** How often identities are compared: a mount over a directory, or a renamed ancestor, makes no event. */
const identityMs = 2_000;
/** How long a hint takes when nothing can be watched, e.g. because the kernel's limit of watches is reached. */
const blindMs = 1_000;

/** The first hint comes at once: what happened before the watch stood is seen by the look that it asks for. */
export async function* watchDirectories(
  places: readonly WatchPlace[],
  driver: WatchDriver,
  signal: AbortSignal,
): AsyncGenerator<void> {
  let armed: Armed | undefined;
  try {
    while (!signal.aborted) {
      let points = await findAllWatchPoints(places, driver);
      // Once more after arming: what changed in between is not watched yet.
      for (let round = 0; armed?.key !== points.key && round < 5; round++) {
        armed?.close();
        armed = arm(points, driver);
        points = await findAllWatchPoints(places, driver);
      }
      armed?.adopt(points);
      const hintedAt = performance.now();
      yield;
      await armed?.changed(signal);
      await pause(hintedAt + burstMs - performance.now(), signal);
      armed?.clear();
    }
  } finally {
    armed?.close();
  }
}

interface Armed {
  /** Of the points that are watched; `undefined` when they could not be. */
  key: string | undefined;
  /** The same directories, but perhaps other names in them. */
  adopt(points: WatchPoints): void;
  /** Resolves when something that concerns the points happened since `clear`, or the signal aborts. */
  changed(signal: AbortSignal): Promise<void>;
  clear(): void;
  close(): void;
}

function arm(points: WatchPoints, driver: WatchDriver): Armed {
  const source = tryOpen(points, driver);
  if (source === undefined) return blind();
  let current = points;
  let pending = false;
  let wake = () => {};
  const tell = () => {
    pending = true;
    wake();
  };
  const listen = async () => {
    for await (const event of source.events) {
      if (event.rescan || event.paths.length === 0 || event.paths.some(current.concerns)) tell();
    }
  };
  listen().catch(tell);
  const timer = setInterval(async () => {
    if (await moved(current, driver)) tell();
  }, identityMs);
  return {
    key: points.key,
    adopt: (newest) => current = newest,
    changed(signal) {
      if (pending || signal.aborted) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      signal.addEventListener("abort", wake, { once: true });
      return promise.finally(() => signal.removeEventListener("abort", wake));
    },
    clear: () => pending = false,
    close() {
      clearInterval(timer);
      source.close();
    },
  };
}

function tryOpen(points: WatchPoints, driver: WatchDriver): EventSource | undefined {
  try {
    return driver.open(new Map([...points.watched.keys()].map((path) => [path, points.contents.has(path)])));
  } catch {
    return undefined; // a directory vanished meanwhile, or the kernel refuses: look again soon instead
  }
}

function blind(): Armed {
  return {
    key: undefined,
    adopt: () => {},
    changed: (signal) => pause(blindMs, signal),
    clear: () => {},
    close: () => {},
  };
}

async function moved(points: WatchPoints, driver: WatchDriver): Promise<boolean> {
  for (const [path, identity] of points.watched) {
    const found = await driver.lstat(path).catch(() => undefined);
    if (`${found?.dev}:${found?.ino}` !== identity) return true;
  }
  return false;
}
