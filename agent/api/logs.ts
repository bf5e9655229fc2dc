/**
 * Container logs out of the CRI log files: which file, from where, and following it through rotation and truncation
 * until the container has ended. Not for: the format of a line (model/cri_log.ts), rotating (node/).
 */
import type { ContainerStatus, Pod } from "../model/gen/v1.ts";
import {
  concatBytes,
  createLogParser,
  type LogLine,
  type LogOptions,
  parseLogEntry,
  renderLogLine,
} from "../model/cri_log.ts";
import type { StatusStore } from "../status_store.ts";
import { containerNames, type Refusal } from "./lookup.ts";
import { type FileId, type FilesInside, type OpenedFile, openInside } from "./open_inside.ts";
import { streamOf } from "./stream.ts";

/** What reading logs needs of the host. */
export interface LogFiles extends FilesInside {
  list(path: string): Promise<string[] | undefined>;
  stat(path: string): Promise<FileId | undefined>;
  watch(directory: string, signal: AbortSignal): AsyncIterable<void>;
}

const block = 64 * 1024;
const newline = 10;

/** Where the last `lines` lines begin. An entry that is only part of a line does not count as one. */
export async function tailOffset(file: OpenedFile, size: number, lines: number): Promise<number> {
  let found = 0;
  let carry: Uint8Array = new Uint8Array();
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - block);
    const bytes = concatBytes([await file.read(start, end - start), carry]);
    let lineEnd = bytes.lastIndexOf(newline);
    while (lineEnd >= 0) {
      const before = lineEnd === 0 ? -1 : bytes.lastIndexOf(newline, lineEnd - 1);
      if (before < 0 && start > 0) break;
      if (parseLogEntry(bytes.subarray(before + 1, lineEnd))?.partial === false && ++found > lines) {
        return start + lineEnd + 1;
      }
      lineEnd = before;
    }
    carry = lineEnd < 0 ? bytes : bytes.slice(0, lineEnd + 1);
    end = start;
  }
  return 0;
}

export interface LogSource {
  /** Holds the logs of all pods: what a link leads out of it to is no log. */
  root: string;
  /** `…/pods/NAMESPACE_NAME_UID/CONTAINER` */
  directory: string;
  /** `0.log`: the file of one attempt. */
  file: string;
  /** True once the container that writes this file has ended. */
  ended(): boolean;
  /** Calls back when `ended` may have changed. */
  subscribe(listener: () => void, signal: AbortSignal): void;
}

/** Sleeps until something happened since the last sleep; never misses what happens in between. */
function createBell() {
  let rung = false;
  let wake = () => {};
  return {
    ring() {
      rung = true;
      wake();
    },
    async wait() {
      if (!rung) await new Promise<void>((resolve) => wake = resolve);
      rung = false;
    },
  };
}

async function* readTo(file: OpenedFile, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to;) {
    const bytes = await file.read(at, Math.min(block, to - at));
    if (bytes.length === 0) return;
    at += bytes.length;
    yield bytes;
  }
}

/** Bytes of the file as they come; ends when the container has ended and all was read, or with the signal. */
async function* followFile(
  files: LogFiles,
  source: LogSource,
  first: OpenedFile,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const path = `${source.directory}/${source.file}`;
  const bell = createBell();
  source.subscribe(() => bell.ring(), signal);
  signal.addEventListener("abort", () => bell.ring(), { once: true });
  // Hints only: events can be lost, so a slow look covers them. Without a watch the looks are what is left.
  const looks = setInterval(() => bell.ring(), 2000);
  const watching = (async () => {
    for await (const _ of files.watch(source.directory, signal)) bell.ring();
  })().catch(() => {});
  let file = first;
  let at = from;
  try {
    while (!signal.aborted) {
      const over = source.ended();
      const { size, dev, ino } = await file.stat();
      if (size < at) at = 0;
      for await (const bytes of readTo(file, at, size)) {
        at += bytes.length;
        yield bytes;
      }
      const named = await files.stat(path);
      if (named !== undefined && (named.dev !== dev || named.ino !== ino)) {
        // Rotated: what the writer still put into the old file before it opened the new one.
        for await (const bytes of readTo(file, at, (await file.stat()).size)) {
          at += bytes.length;
          yield bytes;
        }
        const next = await openInside(files, source.root, path);
        if (next !== undefined) {
          file.close();
          [file, at] = [next, 0];
          continue;
        }
      }
      if (over) return;
      await bell.wait();
    }
  } finally {
    clearInterval(looks);
    if (file !== first) file.close();
    if (signal.aborted) await watching;
  }
}

/** Following closes a file when it was rotated away, so that its space can be freed; reading closes it at the end. */
function closedOnce(file: OpenedFile): OpenedFile {
  let open = true;
  const close = () => {
    if (open) file.close();
    open = false;
  };
  return { stat: () => file.stat(), read: (offset, length) => file.read(offset, length), close };
}

/** What the reader is shown, piece by piece. Nothing when the file does not exist. */
export async function* readLog(
  files: LogFiles,
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  const opened = await openInside(files, source.root, `${source.directory}/${source.file}`);
  if (opened === undefined) return;
  const file = closedOnce(opened);
  let left = options.limitBytes ?? Infinity;
  const render = (lines: LogLine[]): Uint8Array => {
    const wanted = lines.filter(({ time, stream }) =>
      (options.sinceMs === undefined || Date.parse(time) >= options.sinceMs) &&
      (options.stream === undefined || stream === options.stream)
    );
    const bytes = concatBytes(wanted.map((line) => renderLogLine(line, options.timestamps)));
    const shown = bytes.subarray(0, Math.min(bytes.length, left));
    left -= shown.length;
    return shown;
  };
  try {
    const { size } = await file.stat();
    const from = options.tailLines === undefined ? 0 : await tailOffset(file, size, options.tailLines);
    const parser = createLogParser();
    const chunks = options.follow ? followFile(files, source, file, from, ended) : readTo(file, from, size);
    for await (const chunk of chunks) {
      const shown = render(parser.push(chunk));
      if (shown.length > 0) yield shown;
      if (left === 0) return;
    }
    const last = render(parser.end());
    if (last.length > 0) yield last;
  } finally {
    stop.abort();
    file.close();
  }
}

/** Where the logs of pods are. */
export interface PodLogs {
  /** Holds a directory for each pod. */
  directory: string;
  files: LogFiles;
}

/** What an attempt of a container has written, as a body that ends with its reader, the container, or the signal. */
export function logBody(
  o: { store: StatusStore; logs: PodLogs; signal: AbortSignal },
  pod: Pod,
  container: string,
  { directory, attempt }: { directory: string; attempt: number },
  options: LogOptions,
): ReadableStream<Uint8Array> {
  const newest = () => o.store.pods().find((p) => p.metadata?.uid === pod.metadata?.uid);
  const source: LogSource = {
    root: o.logs.directory,
    directory,
    file: `${attempt}.log`,
    ended: () => attemptEnded(newest(), container, attempt),
    subscribe: (listener, signal) => o.store.subscribe(listener, signal),
  };
  return streamOf((signal) => readLog(o.logs.files, source, options, signal), o.signal);
}

const logName = /^(\d+)\.log$/;

/** Attempts that have a log file, newest first. */
export function logAttempts(names: readonly string[]): number[] {
  return names.flatMap((name) => logName.exec(name)?.[1] ?? []).map(Number).sort((a, b) => b - a);
}

export function containerStatus(pod: Pod, container: string): ContainerStatus | undefined {
  const { initContainerStatuses, containerStatuses, ephemeralContainerStatuses } = pod.status ?? {};
  return [
    ...(initContainerStatuses ?? []),
    ...(containerStatuses ?? []),
    ...(ephemeralContainerStatuses ?? []),
  ]
    .find((status) => status.name === container);
}

/** True when the container that wrote the log of this attempt writes no more. */
export function attemptEnded(pod: Pod | undefined, container: string, attempt: number): boolean {
  if (pod === undefined) return true;
  const status = containerStatus(pod, container);
  if (status === undefined) return false;
  if (status.restartCount > attempt) return true;
  // Between two attempts the ended one is the last state.
  const over = status.state?.terminated ??
    (status.state?.running === undefined && status.lastState?.terminated);
  return status.restartCount === attempt && over !== undefined && over !== false;
}

/** Which file a request means, or why there is none, in the words of kubectl users. */
export async function findLog(
  files: LogFiles,
  root: string,
  pod: Pod,
  container: string,
  previous: boolean,
): Promise<{ directory: string; attempt: number } | Refusal> {
  const { namespace, name, uid } = pod.metadata ?? {};
  if (!containerNames(pod).includes(container)) {
    const known = containerNames(pod).join(", ");
    return {
      reason: "NotFound",
      message: `container ${container} is not valid for pod ${name}; its containers are: ${known}`,
    };
  }
  const directory = `${root}/${namespace}_${name}_${uid}/${container}`;
  const attempts = logAttempts(await files.list(directory) ?? []);
  const attempt = attempts[previous ? 1 : 0];
  if (attempt !== undefined) return { directory, attempt };
  if (previous) {
    return {
      reason: "BadRequest",
      message: `previous terminated container "${container}" in pod "${name}" not found`,
    };
  }
  const state = containerStatus(pod, container)?.state;
  if (state?.running !== undefined || state?.terminated !== undefined) {
    return {
      reason: "NotFound",
      message: `the log of container "${container}" in pod "${name}" is gone: ${directory}`,
    };
  }
  const why = state?.waiting?.reason ?? "ContainerCreating";
  return {
    reason: "BadRequest",
    message: `container "${container}" in pod "${name}" is waiting to start: ${why}`,
  };
}
