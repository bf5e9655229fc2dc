/**
 * What happens to directories, by inotify(7): one descriptor and one waiting thread for all who watch. The platform's own
 * watcher also asks for every opening of every file, and answers each by opening all watched directories: where /dev or /etc
 * is among them, each process that starts on the machine costs. Not for: what the events mean (lib/watch.ts).
 */
import { join } from "@std/path";
import type { EventSource, FileEvents } from "./lib/watch.ts";
import { AgentError } from "./model/errors.ts";

const symbols = {
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  write: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  close: { parameters: ["i32"], result: "i32" },
} as const;
type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const POLLIN = 1;

// ATTRIB, MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF
const NAMES = 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800;
// MODIFY, CLOSE_WRITE
const WRITING = 0x2 | 0x8;
// ONLYDIR, and MASK_ADD: who else watches the same directory may want more.
const HOW = 0x01000000 | 0x20000000;
const Q_OVERFLOW = 0x4000;
const IGNORED = 0x8000;

const bufferSize = 64 * 1024;
/** More paths than this are told as "look at all". */
const maxPaths = 1_000;

interface Queue {
  descriptor: number;
  /** Reading and writing end: what is written ends the wait. */
  wake: Int32Array;
  readers: Set<Reader>;
}

interface Reader {
  /** By watch descriptor; two paths may lead to one directory. */
  paths: Map<number, string[]>;
  tell(event: FileEvents): void;
}

let libc: Libc | undefined;
let queue: Queue | undefined;

/**
 * @param directories each with whether the writing of files in it counts, too
 * @throws {AgentError} when one of them cannot be watched
 */
export function openEvents(directories: ReadonlyMap<string, boolean>): EventSource {
  libc ??= Deno.dlopen("libc.so.6", symbols).symbols;
  const { queue: told, events, close } = createEvents();
  const reader: Reader = { paths: new Map(), tell: told };
  const joined = joinQueue(libc, reader);
  const leave = () => {
    close();
    leaveQueue(libc!, joined, reader);
  };
  for (const [path, writing] of directories) {
    const mask = HOW | NAMES | (writing ? WRITING : 0);
    const name = new TextEncoder().encode(`${path}\0`);
    const wd = path.includes("\0") ? -1 : libc.inotify_add_watch(joined.descriptor, name, mask);
    if (wd < 0) {
      leave();
      throw new AgentError("Unknown", `cannot watch ${path}`);
    }
    reader.paths.set(wd, [...reader.paths.get(wd) ?? [], path]);
  }
  return { events, close: leave };
}

function joinQueue(c: Libc, reader: Reader): Queue {
  const joined = queue ?? openQueue(c);
  joined.readers.add(reader);
  if (queue === undefined) void run(c, queue = joined);
  return joined;
}

function openQueue(c: Libc): Queue {
  const descriptor = c.inotify_init1(O_NONBLOCK | O_CLOEXEC);
  const wake = new Int32Array(2);
  if (descriptor >= 0 && c.pipe2(new Uint8Array(wake.buffer), O_CLOEXEC) === 0) {
    return { descriptor, wake, readers: new Set() };
  }
  if (descriptor >= 0) c.close(descriptor);
  throw new AgentError(
    "Unknown",
    "cannot watch directories: no inotify instance or no file descriptor is left",
  );
}

/** The last one ends the wait, too. */
function leaveQueue(c: Libc, left: Queue, reader: Reader): void {
  if (!left.readers.delete(reader)) return;
  const others = [...left.readers];
  for (const wd of reader.paths.keys()) {
    if (!others.some(({ paths }) => paths.has(wd))) c.inotify_rm_watch(left.descriptor, wd);
  }
  if (others.length > 0) return;
  if (queue === left) queue = undefined;
  c.write(left.wake[1]!, new Uint8Array(1), 1n);
}

async function run(c: Libc, { descriptor, wake, readers }: Queue): Promise<void> {
  const waited = new Uint8Array(new Int32Array([descriptor, POLLIN, wake[0]!, POLLIN]).buffer);
  const buffer = new Uint8Array(bufferSize);
  while (readers.size > 0) {
    await c.poll(waited, 2n, -1);
    for (let length = 1; length > 0 && readers.size > 0;) {
      length = Number(c.read(descriptor, buffer, BigInt(bufferSize)));
      if (length > 0) distribute(buffer.subarray(0, length), readers);
    }
  }
  for (const fd of [descriptor, ...wake]) c.close(fd);
}

function distribute(bytes: Uint8Array, readers: ReadonlySet<Reader>): void {
  for (const { wd, mask, name } of parseEvents(bytes)) {
    for (const { paths, tell } of [...readers]) {
      if ((mask & Q_OVERFLOW) !== 0) tell({ paths: [], rescan: true });
      const directories = paths.get(wd) ?? [];
      if (directories.length > 0) tell({ paths: directories.map((path) => join(path, name)), rescan: false });
      if ((mask & IGNORED) !== 0) paths.delete(wd);
    }
  }
}

export interface InotifyEvent {
  wd: number;
  mask: number;
  /** "" for the directory itself. */
  name: string;
}

/** Of struct inotify_event, in the machine's byte order, which is little-endian wherever this runs. */
export function parseEvents(bytes: Uint8Array): InotifyEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: InotifyEvent[] = [];
  for (let at = 0; at + 16 <= bytes.length;) {
    const length = view.getUint32(at + 12, true);
    const padded = bytes.subarray(at + 16, at + 16 + length);
    const end = padded.indexOf(0);
    const name = new TextDecoder().decode(end < 0 ? padded : padded.subarray(0, end));
    events.push({ wd: view.getInt32(at, true), mask: view.getUint32(at + 4, true), name });
    at += 16 + length;
  }
  return events;
}

/** What was told and not yet read is one event. */
function createEvents() {
  let pending: FileEvents | undefined;
  let closed = false;
  let wake = () => {};
  const queue = ({ paths, rescan }: FileEvents) => {
    pending ??= { paths: [], rescan: false };
    pending.paths.push(...paths);
    if (rescan || pending.rescan || pending.paths.length > maxPaths) pending = { paths: [], rescan: true };
    wake();
  };
  const events = async function* (): AsyncGenerator<FileEvents> {
    for (;;) {
      while (pending === undefined && !closed) await new Promise<void>((resolve) => wake = resolve);
      if (closed) return;
      const told = pending!;
      pending = undefined;
      yield told;
    }
  };
  const close = () => {
    closed = true;
    wake();
  };
  return { queue, events: events(), close };
}
